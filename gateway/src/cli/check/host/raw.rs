//! The capability CAP_NET_RAW: what does not work without it, for the running gateway, or else for
//! one started as this process. A command of root says nothing about the capabilities of an
//! unprivileged gateway.

use std::net::SocketAddr;

use ringway_config::Config;
use ringway_host::obstacles::may_send_raw;
use ringway_intent::{Finding, Remedy};

use crate::admin::report::TunnelReport;
use crate::admin::socket;
use crate::ha::keeper::RAW_REMEDY;

/// Path MTU below which the gateway itself fragments longer packets, over IPv4 and IPv6.
const SMALL: [u16; 2] = [1340, 1360];

pub(super) fn find(config: &Config) -> Vec<Finding> {
    let name = config.id.to_string();
    let running = socket::ask(&config.socket).ok();
    let running = running.filter(|report| report.gateway == name);
    if may_send_raw(running.as_ref().map(|report| report.daemon.pid)) {
        return Vec::new();
    }

    let mut findings = Vec::new();
    if !config.ha.addresses.is_empty() {
        findings.push(Finding {
            name: "ha announce".to_owned(),
            what: "virtual addresses cannot be announced by this user: that needs CAP_NET_RAW"
                .to_owned(),
            remedy: Remedy::command(RAW_REMEDY),
        });
    }
    let mut tunnels = running.iter().flat_map(|report| &report.tunnels);
    findings.extend(tunnels.find(|tunnel| is_small(tunnel)).map(fragments));
    findings
}

/// True for a tunnel with a small path MTU.
fn is_small(tunnel: &TunnelReport) -> bool {
    let Some(address) = address(tunnel) else {
        return false;
    };
    let [v4, v6] = SMALL;
    let limit = if address.is_ipv6() { v6 } else { v4 };

    tunnel.state == "up" && tunnel.path_mtu < limit
}

fn address(tunnel: &TunnelReport) -> Option<SocketAddr> {
    tunnel.address.as_deref()?.parse().ok()
}

fn fragments(tunnel: &TunnelReport) -> Finding {
    let is_v6 = address(tunnel).is_some_and(|address| address.is_ipv6());
    let (family, fate) = if is_v6 {
        ("IPv6", "are lost")
    } else {
        (
            "IPv4",
            "are lost unless a router on the path fragments them",
        )
    };

    Finding {
        name: "raw fragments".to_owned(),
        what: format!(
            "the path to {} carries {} bytes over {family}: packets of more than 1200 bytes that \
             are not TCP {fate}, since this user may not send fragments (CAP_NET_RAW)",
            tunnel.peer, tunnel.path_mtu
        ),
        remedy: Remedy::command(RAW_REMEDY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_path_needs_fragments() {
        let tunnel = |address: &str, path_mtu| TunnelReport {
            address: Some(address.to_owned()),
            state: "up".to_owned(),
            path_mtu,
            ..TunnelReport::default()
        };

        assert!(is_small(&tunnel("[2001:db8::1]:4600", 1280)));
        assert!(!is_small(&tunnel("[2001:db8::1]:4600", 1360)));
        assert!(is_small(&tunnel("192.0.2.1:4600", 1280)));
        assert!(!is_small(&tunnel("192.0.2.1:4600", 1340)));

        let what = |address| fragments(&tunnel(address, 1280)).what;
        assert!(what("192.0.2.1:4600").contains("unless a router"));
        assert!(!what("[2001:db8::1]:4600").contains("unless a router"));
    }
}
