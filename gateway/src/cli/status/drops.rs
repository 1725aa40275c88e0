//! Explains every reason for dropped packets in a sentence.

use std::collections::BTreeMap;

use ringway_dataplane::DropReason as Dropped;
use ringway_filter::Reason as Filtered;
use ringway_host::firewall::DropReason as Guarded;

use super::screen::{Screen, Style};
use crate::admin::Report;

/// The first probes of a session may exceed the peer's budget, which is harmless.
pub(super) const AT_A_START: &str = "echo_limit";

/// All drops, by reason: those of peers, those without a peer, and those by the policy and the
/// guard. The data plane also counts the policy's drops as `denied`; that is left out.
pub(super) fn all(report: &Report) -> BTreeMap<String, u64> {
    let mut all = report.filtered.clone();
    let peers = report.tunnels.iter().chain(&report.nodes);
    let of_peers = peers.flat_map(|tunnel| &tunnel.drops);

    for (reason, count) in of_peers.chain(&report.drops) {
        if reason != Dropped::Denied.name() {
            *all.entry(reason.clone()).or_default() += count;
        }
    }
    all
}

pub(super) fn show(report: &Report, screen: &Screen) -> String {
    let all = all(report);
    if all.is_empty() {
        return "No packet was dropped.\n".to_owned();
    }

    let mut text = String::new();
    for (reason, count) in &all {
        let heading = screen.show(Style::Heading, reason);
        text.push_str(&format!(
            "{heading}: {count}{}\n",
            whose(report, reason, screen)
        ));
        text.push_str(&screen.fold(4, sentence(reason)));
    }
    text.push_str(&of_policy(report, screen));
    text
}

/// The peer with the most drops for a reason, if known.
fn whose(report: &Report, reason: &str, screen: &Screen) -> String {
    match worst(report, reason) {
        // A peer's number counts the drops of the policy for all of its reasons.
        Some((count, peer)) if reason != Dropped::Denied.name() => {
            format!(", {count} of them with {}", screen.show(Style::Plain, peer))
        }
        _ => String::new(),
    }
}

/// The peer with the most drops of the policy.
fn of_policy(report: &Report, screen: &Screen) -> String {
    let Some((count, peer)) = worst(report, Dropped::Denied.name()) else {
        return String::new();
    };

    let peer = screen.show(Style::Plain, peer);
    format!("Of the policy's drops, for any reason, {count} are with {peer}, the most of a peer.\n")
}

fn worst<'r>(report: &'r Report, reason: &str) -> Option<(u64, &'r str)> {
    let tunnels = report.tunnels.iter().chain(&report.nodes);
    let counts =
        tunnels.filter_map(|tunnel| Some((*tunnel.drops.get(reason)?, tunnel.peer.as_str())));

    counts.max()
}

/// The daemon may be newer than this command.
const UNKNOWN: &str = "A reason that this version of the command does not know.";

fn sentence(reason: &str) -> &'static str {
    let dropped = DROPPED.iter().map(|(reason, text)| (reason.name(), *text));
    let filtered = FILTERED.iter().map(|(reason, text)| (reason.name(), *text));
    let guarded = GUARDED
        .iter()
        .map(|(reason, text)| (reason.as_str(), *text));

    let clients = WIREGUARD.iter().copied();

    // The data plane and the filter share this reason, with the same sentence.
    let mut all = dropped.chain(filtered).chain(guarded).chain(clients);
    all.find(|(name, _)| *name == reason)
        .map_or(UNKNOWN, |(_, text)| text)
}

/// Reasons of the data plane.
const DROPPED: &[(Dropped, &str)] = &[
    (
        Dropped::Short,
        "Received: too short for a packet of a tunnel. Scans and strays.",
    ),
    (
        Dropped::UnknownType,
        "Received: a type of packet that this version does not know. A newer peer, or a \
         stray.",
    ),
    (
        Dropped::UnknownFlags,
        "Received: a flag that this version does not know. A newer peer, or a stray.",
    ),
    (
        Dropped::UnknownIndex,
        "Received: of a session that is gone or never was. A few after each restart are \
         normal.",
    ),
    (
        Dropped::OffPath,
        "Received: from another address than the peer's, faster than it can be verified that \
         the peer has moved.",
    ),
    (
        Dropped::Phase,
        "Received: under keys that are not held yet, or not any more. A few while keys \
         change.",
    ),
    (
        Dropped::Replay,
        "Received: a second time, or too late. The network repeats or reorders packets, or \
         somebody replays them.",
    ),
    (
        Dropped::Auth,
        "Received: damaged on the way, or forged: the seal is broken.",
    ),
    (
        Dropped::Malformed,
        "No whole IP packet: its header contradicts itself or its length.",
    ),
    (
        Dropped::Options,
        "An IP option or extension header that could lead past the checks, such as a source \
         route.",
    ),
    (
        Dropped::Source,
        "Received: with a source that the sender's member record does not list for its site. \
         Its operator sends from an address outside its prefixes.",
    ),
    (
        Dropped::Destination,
        "Received: for an address that is not in this site's prefixes.",
    ),
    (
        Dropped::Isolated,
        "From one attached node to another; they reach each other only with [nodes] isolation = \
         false.",
    ),
    (
        Dropped::Denied,
        "No rule of the policy lets it pass; see ringway policy denied.",
    ),
    (
        Dropped::Congestion,
        "Received: marked as congested on the way, though its ends cannot be told (RFC 6040).",
    ),
    (
        Dropped::TunWrite,
        "Received: this host's kernel did not take it from the TUN device.",
    ),
    (
        Dropped::EchoLimit,
        "Received: more probes than a peer may send.",
    ),
    (
        Dropped::FlowRecords,
        "Received: records of connections that a gateway of this site may not send, or too \
         many.",
    ),
    (
        Dropped::HandedOver,
        "Received: packets that were handed over by a gateway of another site, or too many.",
    ),
    (
        Dropped::QuicQueueFull,
        "Received: more control packets than could be read. A flood of handshakes, or this \
         host is overloaded.",
    ),
    (
        Dropped::EventQueueFull,
        "Received: more events than the daemon could handle. This host is overloaded.",
    ),
    (
        Dropped::SocketQueue,
        "Received: the buffer of the tunnel's socket was full. This host is too slow for what \
         comes, or needs more lanes ([tun] lanes).",
    ),
    (
        Dropped::TunQueue,
        "Sending: the queue of the TUN device was full. This host is too slow for what its \
         site sends, or needs more lanes ([tun] lanes).",
    ),
    (
        Dropped::TunInput,
        "Received: this host's kernel dropped it behind the TUN device, for want of room.",
    ),
    (
        Dropped::OwnSource,
        "Sending: a source outside this site's prefixes. A host has another address than its \
         site's record says, or a firewall rewrites it.",
    ),
    (
        Dropped::NoRoute,
        "Sending: no tunnel led to the destination.",
    ),
    (
        Dropped::Exhausted,
        "Sending: the session had used up its packet numbers.",
    ),
    (
        Dropped::TooBig,
        "Sending: longer than the path to the peer takes. Its sender gets to know the size \
         that fits.",
    ),
    (
        Dropped::SocketFull,
        "Sending: the network device had no room for seconds. The uplink is slower than what \
         the site sends.",
    ),
    (
        Dropped::Unreachable,
        "Sending: this host has no route to the peer's address, or its firewall forbids it.",
    ),
];

/// Reasons of the policy.
const FILTERED: &[(Filtered, &str)] = &[
    (
        Filtered::Malformed,
        "No whole IP packet: its header contradicts itself or its length.",
    ),
    (
        Filtered::Extension,
        "An IPv6 extension header that no tunnel carries, such as a routing header.",
    ),
    (
        Filtered::Stranger,
        "Arriving: from a gateway whose site the rules do not know.",
    ),
    (
        Filtered::TunnelPort,
        "A tunnel inside the tunnel: it would carry itself.",
    ),
    (
        Filtered::Denied,
        "Arriving: it opens something that no rule allows; see ringway policy denied.",
    ),
    (
        Filtered::NoFlow,
        "Arriving: the middle or the answer of a connection that no host of this site has \
         opened, or that was forgotten.",
    ),
    (
        Filtered::GraceRate,
        "Arriving: of no known connection, and more than are let through after a start.",
    ),
    (
        Filtered::IcmpError,
        "An ICMP error about no connection between the two sites.",
    ),
    (
        Filtered::IcmpKind,
        "An ICMP message that stays on its own link, such as a redirect.",
    ),
    (
        Filtered::Protocol,
        "Arriving: a protocol that no rule allows by its number.",
    ),
    (
        Filtered::FirstFragment,
        "A first fragment that does not hold the whole header.",
    ),
    (
        Filtered::Overlap,
        "A later fragment that would overwrite the header of the first one.",
    ),
    (
        Filtered::Fragment,
        "A later fragment of a packet whose first one was dropped, or never came.",
    ),
    (
        Filtered::SynAck,
        "Leaving: the answer to a connection that no rule allows.",
    ),
    (
        Filtered::Egress,
        "Leaving: the policy does not let this host open anything there; see ringway policy \
         show.",
    ),
];

/// Reasons of the guard.
const GUARDED: &[(Guarded, &str)] = &[
    (
        Guarded::Leak,
        "On its way to a member by another interface than the TUN device, where it would have \
         left in clear.",
    ),
    (
        Guarded::Spoofed,
        "With a member's address as source, from an interface where none can come from.",
    ),
    (
        Guarded::Transit,
        "From an interface that forwards for the mesh alone, on its way to elsewhere.",
    ),
    (
        Guarded::TunnelPort,
        "A tunnel inside the tunnel: it would carry itself.",
    ),
    (
        Guarded::WrongSource,
        "Sending: a source outside this site's prefixes. A host has another address than its \
         site's record says, or a firewall rewrites it.",
    ),
];

/// Reasons at the port and the device for WireGuard clients.
const WIREGUARD: &[(&str, &str)] = &[
    (
        "no_session",
        "Sending: a WireGuard client that has not been heard of since this gateway started.",
    ),
    (
        "wireguard_malformed",
        "Received: no packet of WireGuard, or none whole. Scans and strays.",
    ),
    (
        "wireguard_handshake_mac",
        "Received: a handshake of WireGuard for another gateway's key, or a stray.",
    ),
    (
        "wireguard_handshake_auth",
        "Received: a handshake of WireGuard that cannot be read with this gateway's key.",
    ),
    (
        "wireguard_handshake_load",
        "Received: more handshakes of WireGuard than are computed in a second. A flood.",
    ),
    (
        "wireguard_handshake_cookie",
        "Received: many handshakes of WireGuard; the sender was asked to prove its address \
         first.",
    ),
    (
        "wireguard_unknown_key",
        "Received: a handshake of a WireGuard client whose key is that of no node. It was \
         removed, or its key was replaced.",
    ),
    (
        "wireguard_unknown_index",
        "Received: of a session that is not held. A few after a restart are normal.",
    ),
    (
        "wireguard_not_sent",
        "Sending: this host did not take a packet for a WireGuard client.",
    ),
    (
        "wireguard_not_written",
        "Received: this host's kernel did not take a packet from the device of WireGuard \
         clients.",
    ),
    (
        "wireguard_no_route",
        "Sending: the kernel gave the device of WireGuard clients a packet for another address.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::TunnelReport;

    #[test]
    fn every_reason_has_a_sentence() {
        let names = Dropped::ALL
            .iter()
            .map(|reason| reason.name())
            .chain(Filtered::ALL.iter().map(|reason| reason.name()))
            .chain(Guarded::ALL.iter().map(|reason| reason.as_str()))
            .chain(WIREGUARD.iter().map(|(reason, _)| *reason));
        for name in names {
            let sentence = sentence(name);
            assert!(sentence.ends_with('.') && sentence != UNKNOWN, "{name}");
        }
    }

    #[test]
    fn what_the_policy_drops_is_counted_once() {
        let report = Report {
            drops: BTreeMap::from([("denied".to_owned(), 5), ("replay".to_owned(), 2)]),
            filtered: BTreeMap::from([("denied".to_owned(), 5)]),
            ..Report::default()
        };
        let all = all(&report);
        assert_eq!((all["denied"], all["replay"]), (5, 2));
    }

    #[test]
    fn a_peers_drops_by_the_policy_are_not_those_of_one_reason() {
        let tunnel = |peer: &str, denied, replay| TunnelReport {
            peer: peer.to_owned(),
            drops: BTreeMap::from([("denied".to_owned(), denied), ("replay".to_owned(), replay)]),
            ..TunnelReport::default()
        };
        let report = Report {
            tunnels: vec![tunnel("gw.beta", 264, 2), tunnel("gw.gamma", 3, 1)],
            filtered: [("denied", 206), ("egress", 61)]
                .map(|(reason, count)| (reason.to_owned(), count))
                .into(),
            ..Report::default()
        };

        let text = show(&report, &Screen::plain(100));
        for line in ["denied: 206\n", "replay: 3, 2 of them with gw.beta\n"] {
            assert!(text.contains(line), "{text}");
        }
        let of_policy = "Of the policy's drops, for any reason, 264 are with gw.beta,";
        assert!(text.contains(of_policy), "{text}");
    }
}
