//! End-to-end tests: the real programs, in network namespaces. They need root and the Debian
//! packages that `tests/run` installs.
//!
//! Each test has a laboratory of its own, and only one test has one at a time: see
//! `ringway_tests::scene`. To run one module or one test:
//!
//! ```sh
//! cargo test -p ringway-tests --test netns mesh::
//! ```
//! Unless a module draws its topology, it is that of `ringway lab`, drawn at the head of
//! `ringway_lab`.

mod alerts;
mod announce;
mod attach;
mod bridge;
mod busy_siblings;
mod certificates;
mod clock;
mod companions;
mod death;
mod dialling;
mod dns_listen;
mod dns_rate;
mod dns_siblings;
mod docker;
mod doctor;
mod emulator;
mod ending;
mod endurance;
mod etcd;
mod etcd_siblings;
mod explain;
mod exposure;
mod forwarding;
mod fragments;
mod frr;
mod full_disk;
mod handbook;
mod health;
mod host;
mod http;
mod identity;
mod impaired_path;
mod ipsec;
mod isolation;
#[cfg(feature = "kube")]
mod kubernetes;
mod lab;
mod lanes;
mod legacy_filter;
mod malicious_owner;
mod membership;
mod mesh;
mod moving;
mod observability;
mod outage;
mod overlap;
mod partition;
mod path_mtu;
mod pod;
mod pointers;
mod policy;
mod policy_tests;
mod private_state;
mod quick_start;
mod read_only;
mod recipes;
mod recovery;
mod refused_reload;
mod removed;
mod renumbered;
mod restarts;
mod revocation_list;
mod routing_daemons;
mod service;
mod siblings;
mod status;
mod strangers;
mod streams;
mod takeover;
mod tun_device;
mod two_consortia;
mod two_sites;
mod unprivileged;
mod versions;
mod via;
mod virtual_address;
mod wan_addresses;
mod watch;
mod wireguard;
mod withheld;
mod zones;

/// The program under test.
const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
/// The laboratory's program.
const LAB: &str = env!("CARGO_BIN_EXE_ringway-lab-under-test");
/// The link emulator.
const EMULATOR: &str = env!("CARGO_BIN_EXE_ringway-emulator");
/// A gateway that attacks its peers with its zone.
const MALICIOUS_OWNER: &str = env!("CARGO_BIN_EXE_ringway-malicious-owner");

/// Private source and destination addresses, as a filter for tcpdump.
const PRIVATE: &str =
    "net 10.0.0.0/8 or net 172.16.0.0/12 or net 192.168.0.0/16 or ip6 net fc00::/7";

/// Drops IPv4 to and from gw.org2 on the WAN, so that its tunnels run over IPv6.
const CUT_IPV4_TO_ORG2: &str = "table ip cut {
    chain through { type filter hook forward priority 0; policy accept;
        ip saddr 203.0.113.10 drop
        ip daddr 203.0.113.10 drop
    }
}";
