//! The recipe for a routing daemon on the gateway host: it announces to the site's routers by BGP
//! which members this gateway reaches. BFD detects within a second that the host is dead.
//!
//! On the gateway host, this is BIRD. FRR 8 cannot do it: it imports only tables up to 252 and only
//! IPv4, takes the last route of a prefix whatever its metric, even the `unreachable` one, and
//! keeps a route whose device is gone. Routers may run FRR: [`frr`].

use std::fmt::Write as _;

use ringway_config::{Config, Prefix};

/// Interval of BFD packets, milliseconds; a host is dead after three missed ones. With shorter
/// intervals, a virtual machine that is alive misses more than one.
const INTERVAL: u32 = 300;

/// BIRD 2, both families.
pub(super) fn bird(config: &Config) -> String {
    format!(
        "# BIRD 2: include this in bird.conf, on each gateway of this site.\n\
         # What stands in angle brackets is the site's: its AS number, and its routers.\n\
         {}{}\
         protocol bfd ringway_bfd {{\n\
         \x20   interface \"*\" {{ interval {INTERVAL} ms; multiplier 3; }};\n\
         }}\n\
         template bgp ringway {{\n\
         \x20   local as <as>;\n\
         \x20   bfd on;\n\
         \x20   # After BFD has ended a session, another one is tried soon.\n\
         \x20   error wait time 1, 30;\n\
         {}{}\
         }}\n\
         # One block for each router:\n\
         protocol bgp ringway_router from ringway {{\n\
         \x20   neighbor <router> as <as of the router>;\n\
         }}\n",
        bird_routes(config, 4),
        bird_routes(config, 6),
        bird_channel(4),
        bird_channel(6),
    )
}

/// The routes that BIRD learns from the kernel, in tables of their own so that nothing else is
/// exported by accident.
fn bird_routes(config: &Config, version: u8) -> String {
    let table = config.routes.table;
    let protocol = config.routes.protocol;

    format!(
        "ipv{version} table ringway{version};\n\
         protocol kernel ringway_routes{version} {{\n\
         \x20   kernel table {table};\n\
         \x20   learn;\n\
         \x20   scan time 1;\n\
         \x20   ipv{version} {{\n\
         \x20       table ringway{version};\n\
         \x20       # A prefix without a tunnel has another protocol number; those that keep\n\
         \x20       # its packets from leaving in clear are unreachable.\n\
         \x20       import where krt_source = {protocol} && dest != RTD_UNREACHABLE;\n\
         \x20       export none;\n\
         \x20   }};\n\
         }}\n"
    )
}

/// The routes that BIRD announces to a router.
fn bird_channel(version: u8) -> String {
    format!(
        "    ipv{version} {{\n\
         \x20       table ringway{version};\n\
         \x20       import none;\n\
         \x20       export where source = RTS_INHERIT;\n\
         \x20       next hop self;\n\
         \x20   }};\n"
    )
}

/// FRR on a router, both families over one session.
pub(super) fn frr(config: &Config) -> String {
    format!(
        "! FRR 8 (bgpd and bfdd in /etc/frr/daemons): for a router of this site. The gateways run\n\
         ! BIRD: ringway recipe bird. What stands in angle brackets is the site's.\n\
         bfd\n\
         \x20profile ringway\n\
         \x20 detect-multiplier 3\n\
         \x20 receive-interval {INTERVAL}\n\
         \x20 transmit-interval {INTERVAL}\n\
         \x20exit\n\
         exit\n\
         ! The members' prefixes, and nothing else, come from a gateway; nothing goes to it.\n\
         {}\
         route-map ringway-nothing deny 10\n\
         exit\n\
         router bgp <as of the router>\n\
         \x20! These lines for each gateway; standbys carry packets, too:\n\
         \x20neighbor <gateway> remote-as <as>\n\
         \x20neighbor <gateway> bfd profile ringway\n\
         \x20neighbor <gateway> timers connect 5\n\
         {}{}\
         exit\n",
        frr_prefixes(config),
        frr_family(4),
        frr_family(6),
    )
}

/// The prefixes that a gateway may announce.
fn frr_prefixes(config: &Config) -> String {
    let sites = config.members.iter().flat_map(|member| &member.sites);
    let other = config
        .own
        .sites
        .iter()
        .filter(|site| site.name != config.site);
    let mut prefixes: Vec<Prefix> = sites
        .chain(other)
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix)
        .collect();
    prefixes.sort();

    let mut text = String::new();
    for prefix in prefixes {
        let (family, list) = if prefix.is_ipv4() {
            ("ip", "ringway4")
        } else {
            ("ipv6", "ringway6")
        };
        _ = writeln!(text, "{family} prefix-list {list} permit {prefix}");
    }
    text
}

fn frr_family(version: u8) -> String {
    format!(
        "\x20address-family ipv{version} unicast\n\
         \x20 neighbor <gateway> activate\n\
         \x20 neighbor <gateway> prefix-list ringway{version} in\n\
         \x20 neighbor <gateway> route-map ringway-nothing out\n\
         \x20exit-address-family\n"
    )
}
