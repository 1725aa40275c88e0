//! Whether the client can ask our DNS server for the name of the other end.

use std::net::{IpAddr, SocketAddr};

use ringway_config::{Config, Party};
use ringway_host::obstacles::is_privileged;
use ringway_host::watch::dns_obstructions;
use ringway_intent::{Remedy, absent_dns_address};

use super::ends::{Between, Found};
use crate::admin::Report;
use crate::cli::block_on;
use crate::dns_ports::taken;
use crate::explain::{Step, Verdict};

/// A reason why an address of our DNS server cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    what: String,
    fix: Remedy,
}

/// The steps about our DNS server; none if the client is elsewhere, asks for no name, or can ask.
pub(super) fn steps(
    config: &Config,
    parties: &[Party; 2],
    ways: &[Found],
    report: &Report,
) -> Vec<Step> {
    let is_named = matches!(parties[1], Party::Name(_) | Party::Org(_));
    let clients = ways.iter();
    let clients: Vec<&Found> = clients
        .filter(|way| matches!(way.between, Between::Leaving | Between::WithinSite))
        .collect();
    if !is_named || clients.is_empty() {
        return Vec::new();
    }

    let problems = config.dns.listen.iter().map(|server| {
        let known = known(*server, report);
        let mut clients = clients.iter().map(|way| way.opening.source);
        let client = clients.find(|client| client.is_ipv4() == server.is_ipv4());
        let filter = client.and_then(|client| filter(config, client, *server));
        known.or(filter)
    });
    judge(&problems.collect::<Vec<_>>(), &parties[1])
}

/// The steps, by the problem of each address of our DNS server.
fn judge(servers: &[Option<Problem>], name: &Party) -> Vec<Step> {
    if servers.is_empty() {
        let text = format!(
            "this gateway has no DNS server ([dns] listen): another one must know {name} for the \
             site's hosts"
        );
        let remedy = format!("on the host that opens the connection: getent ahosts {name}");
        return vec![Step::new(Verdict::DnsElsewhere, text).with(remedy)];
    }

    let mut problems: Vec<&Problem> = Vec::new();
    for problem in servers.iter().flatten() {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    let verdict = if servers.iter().all(Option::is_some) {
        Verdict::DnsUnreachable
    } else {
        Verdict::DnsPartlyUnreachable
    };
    let steps = problems.into_iter().map(|problem| {
        let text = format!("hosts that ask for {name}: {}", problem.what);
        Step::new(verdict, text).with(problem.fix.clone())
    });
    steps.collect()
}

/// What the gateway knows of one address.
fn known(server: SocketAddr, report: &Report) -> Option<Problem> {
    let names = [absent_dns_address(server.ip()).name, taken(server).name];
    let mut items = report.attention.iter();
    let item = items.find(|item| names.contains(&item.name))?;

    Some(Problem {
        what: item.what.clone(),
        fix: item.fix(),
    })
}

/// A filter of another program in front of it; `None` also if that could not be looked at.
fn filter(config: &Config, client: IpAddr, server: SocketAddr) -> Option<Problem> {
    if !is_privileged() {
        return None;
    }
    let found = block_on(dns_obstructions(&config.tun, client, server.ip()));
    let first = found.ok()?.ok()?.into_iter().next()?;

    Some(Problem {
        what: first.what,
        fix: first.remedy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::AttentionReport;

    fn report(finding: ringway_intent::Finding) -> Report {
        let item = AttentionReport {
            kind: "address-missing".into(),
            name: finding.name,
            what: finding.what,
            since: String::new(),
            remedy: finding.remedy.to_string(),
            fix: finding.remedy,
        };
        Report {
            attention: vec![item],
            ..Report::default()
        }
    }

    #[test]
    fn a_dns_server_that_nobody_can_ask_is_a_cause_of_a_named_end() {
        let name = Party::Name("peer0.beta.consortium.example".parse().unwrap());
        let server: SocketAddr = "10.1.0.1:53".parse().unwrap();
        let other: SocketAddr = "10.1.0.2:53".parse().unwrap();
        let good = Report::default();

        for finding in [absent_dns_address(server.ip()), taken(server)] {
            let report = report(finding.clone());
            let found = known(server, &report);
            assert_eq!(found.as_ref().unwrap().what, finding.what);
            assert_eq!(known(other, &report), None);

            let all = judge(std::slice::from_ref(&found), &name);
            assert_eq!(all.len(), 1);
            assert_eq!(all[0].verdict, Verdict::DnsUnreachable);
            assert!(all[0].text.ends_with(&finding.what), "{}", all[0].text);
            assert_eq!(all[0].remedy, finding.remedy.to_string());
            let some = judge(&[found, None], &name);
            assert_eq!(some[0].verdict, Verdict::DnsPartlyUnreachable);
        }
        assert_eq!(judge(&[known(server, &good), None], &name), []);

        let none = judge(&[], &name);
        assert_eq!(none[0].verdict, Verdict::DnsElsewhere);
        assert!(none[0].remedy.contains("getent ahosts peer0.beta."));
    }
}
