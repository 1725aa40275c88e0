//! The right to send packets of one's own making, CAP_NET_RAW: what is lost without it, of the
//! gateway that runs, or else of one that this process would be. Root's command tells nothing of an
//! unprivileged gateway's rights.

use std::net::SocketAddr;

use ringway_config::Config;
use ringway_host::obstacles::may_send_raw;
use ringway_intent::{Finding, Remedy};

use crate::admin::report::TunnelReport;
use crate::admin::socket;
use crate::ha::keeper::RAW_REMEDY;

/// Bytes of an IPv6 path below which the gateway makes the fragments of longer packets itself.
const SMALL: u16 = 1360;

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

/// True for a tunnel on a small path over IPv6.
fn is_small(tunnel: &TunnelReport) -> bool {
    let address = tunnel.address.as_deref().and_then(|text| text.parse().ok());
    let is_ipv6 = address.is_some_and(|address: SocketAddr| address.is_ipv6());

    is_ipv6 && tunnel.state == "up" && tunnel.path_mtu < SMALL
}

fn fragments(tunnel: &TunnelReport) -> Finding {
    Finding {
        name: "raw fragments".to_owned(),
        what: format!(
            "the path to {} carries {} bytes over IPv6: packets of more than 1200 bytes that are \
             not TCP are lost, since this user may not send fragments (CAP_NET_RAW)",
            tunnel.peer, tunnel.path_mtu
        ),
        remedy: Remedy::command(RAW_REMEDY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_small_path_over_ipv6_needs_fragments() {
        let tunnel = |address: &str, path_mtu| TunnelReport {
            address: Some(address.to_owned()),
            state: "up".to_owned(),
            path_mtu,
            ..TunnelReport::default()
        };

        assert!(is_small(&tunnel("[2001:db8::1]:4600", 1280)));
        assert!(!is_small(&tunnel("[2001:db8::1]:4600", 1360)));
        assert!(!is_small(&tunnel("192.0.2.1:4600", 1280)));
    }
}
