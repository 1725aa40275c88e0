//! [`Verdict`]: everything that a [`Step`](super::Step) can say. Each has a test.

use serde::Serialize;

use super::State;

macro_rules! verdicts {
    ($($(#[$doc:meta])* $verdict:ident: $state:ident, $step:literal;)*) => {
        /// What a step says. Programs may rely on the names in JSON, such as `tunnel-down`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Verdict {
            $($(#[$doc])* $verdict,)*
        }

        impl Verdict {
            /// Every verdict that there is.
            pub const ALL: &[Verdict] = &[$(Verdict::$verdict,)*];

            /// Whether the step prevents the connection.
            pub fn state(self) -> State {
                match self {
                    $(Verdict::$verdict => State::$state,)*
                }
            }

            /// The name of the step that can say it.
            pub fn step(self) -> &'static str {
                match self {
                    $(Verdict::$verdict => $step,)*
                }
            }
        }
    };
}

verdicts! {
    /// This gateway does not run, or its socket is closed to the user.
    GatewaySilent: Bad, "gateway";
    /// It waits for the right time: its certificate is not valid by this clock.
    GatewayWaits: Bad, "gateway";

    /// The zone has the name, with an address; or the attached node is listed.
    NameFound: Good, "name";
    /// A single label that is neither a member nor a name of our zone.
    NameOfNobody: Bad, "name";
    /// The name is in no member's zone.
    ZoneOfNobody: Bad, "name";
    /// The zone was never received.
    ZoneNeverReceived: Bad, "name";
    /// The zone is too old to be answered.
    ZoneTooOld: Bad, "name";
    /// Its last version was refused.
    ZoneRefused: Bad, "name";
    /// The part of one of its gateways is missing.
    ZoneIncomplete: Bad, "name";
    /// The zone has no such name with an address.
    NameMissing: Bad, "name";
    /// Records of the name are left out of answers.
    NameLeftOut: Bad, "name";
    /// The site's hosts cannot ask our DNS server for it.
    DnsUnreachable: Bad, "name";
    /// They cannot ask it at one of its addresses.
    DnsPartlyUnreachable: Unknown, "name";
    /// This gateway has no DNS server: another one must know the name.
    DnsElsewhere: Unknown, "name";

    /// Both ends are in this site, or in sites that it serves.
    WithinSite: Good, "site";
    /// Both ends are in one other site.
    OtherSite: Unknown, "site";
    /// The ends are in two other sites.
    OtherSites: Unknown, "site";

    /// This host has the address.
    OwnAddress: Good, "route";
    /// This host has a route to an address of its site.
    SiteRoute: Good, "route";
    /// It has none.
    NoSiteRoute: Unknown, "route";

    /// This gateway is on standby.
    Standby: Unknown, "role";

    /// The attached node at the near end is attached.
    NodeUp: Good, "node";
    /// It is not.
    NodeDown: Bad, "node";
    /// It is attached to another gateway of the site.
    NodeElsewhere: Good, "node";
    /// The gateway of the far end says that the host there is an attached node that is down.
    FarNodeDown: Bad, "node";
    /// It says that it is a WireGuard client that has not been heard lately.
    FarNodeQuiet: Unknown, "node";
    /// A WireGuard client that has not been heard lately.
    NodeQuiet: Unknown, "node";
    /// The gateway reports no such node.
    NodeUnknown: Unknown, "node";
    /// Another gateway of the site lists a node there, and this one does not.
    NodeUnlisted: Bad, "node";
    /// Attached nodes may not reach each other.
    NodesApart: Bad, "node";

    /// The prefix of the far end is in use.
    PrefixInUse: Good, "prefix";
    /// It overlaps another one.
    PrefixConflicted: Bad, "prefix";
    /// Its site is refused.
    PrefixRefused: Bad, "prefix";
    /// No member's site has the address.
    PrefixOfNobody: Bad, "prefix";
    /// The files give it to another site than the running gateway, which has not read them.
    PrefixUnread: Bad, "prefix";

    /// A tunnel leads there.
    TunnelUp: Good, "tunnel";
    /// No tunnel of this gateway leads there; another gateway of the site passes packets on.
    BySibling: Good, "tunnel";
    /// The far end lies behind this host, without a tunnel.
    ServedHere: Good, "tunnel";
    /// A tunnel leads there, but the kernel has no route into it.
    RouteMissing: Bad, "tunnel";
    /// Its gateway announces the prefix, and is refused.
    ClaimRefused: Bad, "tunnel";
    /// Its gateway is up, and does not announce the prefix.
    NotAnnounced: Bad, "tunnel";
    /// Its gateways are down.
    TunnelDown: Bad, "tunnel";
    /// Its organization has no gateway.
    NoGateway: Bad, "tunnel";
    /// A tunnel leads to one gateway of the far site; another one there is down.
    OtherGatewayDown: Unknown, "tunnel";

    /// The gateway of the far end accepts the prefix of the near end.
    OurPrefixAccepted: Good, "our prefix";
    /// It refuses it.
    OurPrefixRefused: Bad, "our prefix";

    /// Our rules allow it.
    OursAllow: Good, "our rules";
    /// Our rules do not let it in.
    OursDenyEntry: Bad, "our rules";
    /// They deny it; those of the file, which is not reloaded yet, allow it.
    OursUnread: Bad, "our rules";
    /// Our rules do not let it leave.
    OursDenyExit: Bad, "our rules";

    /// The rules of the far end allow it.
    TheirsAllow: Good, "their rules";
    /// They do not let it in.
    TheirsDenyEntry: Bad, "their rules";
    /// They do not let it leave.
    TheirsDenyExit: Bad, "their rules";
    /// The far end does not say.
    TheirsUntold: Unknown, "their rules";
    /// It says nothing to attached nodes.
    TheirsUntoldToNodes: Unknown, "their rules";
    /// The far end has no gateway, so it has no rules.
    TheirsNone: Good, "their rules";
    /// No tunnel leads there to ask.
    TheirsUnreachable: Unknown, "their rules";
    /// Its version answers no such questions.
    TheirsOlder: Unknown, "their rules";
    /// It did not answer in time.
    TheirsSilent: Unknown, "their rules";

    /// Something on this host stops the connection.
    HostStops: Bad, "host";
    /// Something on this host may stop it.
    HostMayStop: Unknown, "host";
    /// The check of a host of ours fails.
    CheckFails: Bad, "host";

    /// The far host accepted a connection.
    Connected: Good, "connection";
    /// It is up, and refuses the port.
    Refused: Bad, "connection";
    /// It did not answer.
    Silent: Bad, "connection";
    /// The kernel or a host on the way reported an error.
    Failed: Bad, "connection";
    /// Not tried: `--no-probe`.
    NotWanted: Unknown, "connection";
    /// Not tried: it is not TCP.
    NotTcp: Unknown, "connection";
    /// Not tried: this host has no address of its site.
    NoAddressInSite: Unknown, "connection";
    /// Not tried: the far end lets the host in that is meant, but not this one.
    NotLetIn: Unknown, "connection";
    /// Not tried: something stops packets of this host alone.
    StoppedHere: Unknown, "connection";
    /// Not reached, while the node there is down: then its gateway answers in its place.
    NotAttached: Unknown, "connection";

    /// The host of ours answers this gateway, but no member.
    AnswersNobody: Bad, "answers";
    /// It answers this gateway; its answers to members go to the active gateway.
    AnswersElsewhere: Bad, "answers";
}
