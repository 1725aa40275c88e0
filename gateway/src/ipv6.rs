//! The finding that IPv6 is disabled although this gateway needs it: for `status`, each time that
//! the kernel is compared, and for `doctor`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use ringway_config::Config;
use ringway_intent::{Finding, Remedy};

const SWITCH: &str = "/proc/sys/net/ipv6/conf/all/disable_ipv6";

/// The name of the finding.
pub(crate) const NAME: &str = "ipv6";

/// The finding about this host now.
pub(crate) fn find(config: &Config) -> Option<Finding> {
    let own = config.own_prefixes().iter();
    let needs = own.into_iter().any(|own| !own.prefix.is_ipv4())
        || matches!(config.listen, SocketAddr::V6(_))
        || config.dns.listen.iter().any(SocketAddr::is_ipv6);

    if needs { finding(state()) } else { None }
}

/// The finding about a host in this state.
pub(crate) fn finding(state: State) -> Option<Finding> {
    let (what, remedy) = match state {
        State::On => return None,
        State::Off => (
            "IPv6 is switched off on this host, and this gateway's files use it",
            "sysctl -w net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0   # \
             then the interfaces need their addresses again",
        ),
        State::Missing => (
            "this kernel has no IPv6, and this gateway's files use it",
            "sed -i 's/ipv6.disable=1//' /etc/default/grub && update-grub   # and restart the \
             host; or take IPv6 out of the files",
        ),
    };
    Some(Finding {
        name: NAME.to_owned(),
        what: what.to_owned(),
        remedy: Remedy::command(remedy),
    })
}

/// Whether IPv6 works on this host.
#[derive(Debug, Clone, Copy)]
pub(crate) enum State {
    On,
    Off,
    Missing,
}

fn state() -> State {
    if !Path::new("/proc/thread-self/net/if_inet6").exists() {
        return State::Missing;
    }

    match fs::read_to_string(SWITCH) {
        Ok(text) if text.trim() == "1" => State::Off,
        _ => State::On,
    }
}
