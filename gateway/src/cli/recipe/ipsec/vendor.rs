//! [`Vendor`]: the configuration of the devices at the other end, after the vendors' manuals. Each
//! has a block for each tunnel, and one line for each route.

use std::net::IpAddr;

use ringway_config::Prefix;

use super::Link;
use super::tunnel::Tunnel;

/// The vendor of the device at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Vendor {
    /// Huawei (VRP: AR, USG)
    Huawei,
    /// H3C (Comware 7)
    H3c,
    /// Cisco (IOS XE)
    Cisco,
    /// Fortinet (FortiOS)
    Fortinet,
    /// strongSwan 5.9 on Linux
    Strongswan,
}

/// A vendor's commands. `{peer}` is our address, `{own}` the device's, `{n}` the tunnel's number,
/// `{mtu}` and `{mss}` its sizes.
pub(super) struct Template {
    common: &'static str,
    tunnel: &'static str,
    /// The route of a prefix through a tunnel. The active tunnel's route is preferred.
    route: fn(&Prefix, &Tunnel) -> String,
    comment: &'static str,
}

impl Vendor {
    /// The vendor's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Vendor::Huawei => "Huawei VRP (AR, USG)",
            Vendor::H3c => "H3C Comware 7",
            Vendor::Cisco => "Cisco IOS XE",
            Vendor::Fortinet => "Fortinet FortiOS",
            Vendor::Strongswan => "strongSwan 5.9",
        }
    }

    /// The vendor's commands; none for strongSwan, which is configured by files.
    pub(super) fn template(self) -> Option<&'static Template> {
        match self {
            Vendor::Huawei => Some(&HUAWEI),
            Vendor::H3c => Some(&H3C),
            Vendor::Cisco => Some(&CISCO),
            Vendor::Fortinet => Some(&FORTINET),
            Vendor::Strongswan => None,
        }
    }
}

/// Fills the template with the values of `link`.
pub(super) fn fill(template: &Template, link: &Link<'_>) -> String {
    let mut text = String::from(template.common);

    for tunnel in &link.tunnels {
        let block = template
            .tunnel
            .replace("{n}", &tunnel.number.to_string())
            .replace("{own}", &tunnel.peer)
            .replace("{peer}", &link.local)
            .replace("{mtu}", &super::tunnel::MTU.to_string())
            .replace("{mss}", &super::tunnel::MSS.to_string());
        text.push_str(&block);
    }
    for network in &link.ours {
        for tunnel in &link.tunnels {
            text.push_str(&(template.route)(&network.prefix, tunnel));
        }
    }
    if link.certificate {
        text.push_str(template.comment);
        text.push_str(" certificates in place of the keys: see the manual\n");
    }
    if link.policy_based {
        text.push_str(template.comment);
        text.push_str(" without tunnel interfaces: an access list of the selectors above\n");
    }
    text
}

const HUAWEI: Template = Template {
    common: "ike proposal 10
 encryption-algorithm aes-256
 authentication-algorithm sha2-256
 integrity-algorithm hmac-sha2-256
 prf hmac-sha2-256
 dh group14
 sa duration 86400
ipsec proposal ringway
 esp encryption-algorithm aes-256
 esp authentication-algorithm sha2-256
",
    tunnel: "ike peer ringway{n}
 undo version 1
 ike-proposal 10
 pre-shared-key cipher <key {n}>
 local-id-type ip
 local-id {own}
 remote-id-type ip
 remote-id {peer}
 remote-address {peer}
 dpd type periodic
 dpd idle-time 10
ipsec profile ringway{n}
 ike-peer ringway{n}
 proposal ringway
 pfs dh-group14
 sa duration time-based 3600
interface Tunnel{n}
 tunnel-protocol ipsec
 source {own}
 destination {peer}
 mtu {mtu}
 tcp adjust-mss {mss}
 ipsec profile ringway{n}
",
    route: route_static,
    comment: "#",
};

const H3C: Template = Template {
    common: "ikev2 proposal ringway
 encryption aes-cbc-256
 integrity sha256
 prf sha256
 dh group14
ikev2 policy ringway
 proposal ringway
ipsec transform-set ringway
 protocol esp
 encapsulation-mode tunnel
 esp encryption-algorithm aes-cbc-256
 esp authentication-algorithm sha256
 pfs dh-group14
",
    tunnel: "ikev2 keychain ringway{n}
 peer ringway
  address {peer}
  identity address {peer}
  pre-shared-key plaintext <key {n}>
ikev2 profile ringway{n}
 authentication-method local pre-share
 authentication-method remote pre-share
 keychain ringway{n}
 identity local address {own}
 match remote identity address {peer}
 sa duration 86400
 dpd interval 5 periodic
ipsec profile ringway{n} isakmp
 transform-set ringway
 ikev2-profile ringway{n}
 sa duration time-based 3600
interface Tunnel{n} mode ipsec
 source {own}
 destination {peer}
 mtu {mtu}
 tcp mss {mss}
 tunnel protection ipsec profile ringway{n}
",
    route: route_static,
    comment: "#",
};

const CISCO: Template = Template {
    common: "crypto ikev2 proposal ringway
 encryption aes-cbc-256
 integrity sha256
 prf sha256
 group 14
crypto ikev2 policy ringway
 proposal ringway
crypto ipsec transform-set ringway esp-aes 256 esp-sha256-hmac
 mode tunnel
",
    tunnel: "crypto ikev2 keyring ringway{n}
 peer ringway
  address {peer}
  pre-shared-key <key {n}>
crypto ikev2 profile ringway{n}
 match identity remote address {peer}
 identity local address {own}
 authentication remote pre-share
 authentication local pre-share
 keyring local ringway{n}
 lifetime 86400
 dpd 10 3 periodic
crypto ipsec profile ringway{n}
 set transform-set ringway
 set pfs group14
 set security-association lifetime seconds 3600
 set security-association lifetime kilobytes disable
 set ikev2-profile ringway{n}
 responder-only
interface Tunnel{n}
 ip unnumbered <inside interface>
 ip mtu {mtu}
 ip tcp adjust-mss {mss}
 tunnel source {own}
 tunnel mode ipsec ipv4
 tunnel destination {peer}
 tunnel protection ipsec profile ringway{n}
",
    route: |prefix, tunnel| {
        let command = family(prefix, "ip route", "ipv6 route");
        let (place, number) = (place_with_mask(prefix), tunnel.number);
        format!("{command} {place} Tunnel{number} {number}\n")
    },
    comment: "!",
};

const FORTINET: Template = Template {
    common: "",
    tunnel: "config vpn ipsec phase1-interface
    edit \"ringway{n}\"
        set interface <outside interface>
        set local-gw {own}
        set ike-version 2
        set peertype any
        set net-device disable
        set passive-mode enable
        set proposal aes256-sha256
        set dhgrp 14
        set keylife 86400
        set localid-type address
        set dpd on-idle
        set dpd-retryinterval 5
        set remote-gw {peer}
        set psksecret <key {n}>
    next
end
config vpn ipsec phase2-interface
    edit \"ringway{n}\"
        set phase1name \"ringway{n}\"
        set proposal aes256-sha256
        set pfs enable
        set dhgrp 14
        set keylifeseconds 3600
    next
end
config system interface
    edit \"ringway{n}\"
        set mtu-override enable
        set mtu {mtu}
    next
end
",
    route: |prefix, tunnel| {
        let table = family(prefix, "router static", "router static6");
        let number = tunnel.number;
        format!(
            "config {table}\n    edit 0\n        set dst {prefix}\n        set device \
             \"ringway{number}\"\n        set distance {}\n    next\nend\n",
            10 * number
        )
    },
    comment: "#",
};

/// The route command of VRP and Comware.
fn route_static(prefix: &Prefix, tunnel: &Tunnel) -> String {
    let command = family(prefix, "ip route-static", "ipv6 route-static");
    let preference = 50 + 10 * tunnel.number;
    let place = place(prefix);

    format!(
        "{command} {place} Tunnel{} preference {preference}\n",
        tunnel.number
    )
}

fn family<'t>(prefix: &Prefix, v4: &'t str, v6: &'t str) -> &'t str {
    if prefix.is_ipv4() { v4 } else { v6 }
}

/// Address and prefix length, as two words.
fn place(prefix: &Prefix) -> String {
    format!("{} {}", prefix.address(), prefix.len())
}

/// Address and mask; for IPv6 the prefix itself.
fn place_with_mask(prefix: &Prefix) -> String {
    match prefix.address() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.len()));
            let mask = std::net::Ipv4Addr::from(mask.unwrap_or_default());
            format!("{address} {mask}")
        }
        IpAddr::V6(_) => prefix.to_string(),
    }
}
