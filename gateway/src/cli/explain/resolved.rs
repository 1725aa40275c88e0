//! The names of the ends at an attached node, which holds no zones: this host's resolver is asked,
//! as its programs do.

use std::net::{IpAddr, ToSocketAddrs as _};

use ringway_config::{DnsName, Opening, Party};
use ringway_intent::Remedy;

use super::naming;
use crate::admin::Report;
use crate::explain::{Step, Verdict};
use crate::policy::Judge;
use crate::policy::ends::Unresolved;

/// Teaches `judge` the addresses that this host's resolver has for the ends.
pub(super) fn learn(judge: &mut Judge<'_>, parties: &[Party]) {
    for party in parties {
        if let Party::Name(name) = party {
            judge.learn_name(name.clone(), lookup(name));
        }
    }
}

/// The addresses of `name`; none if it does not exist or no server answers.
fn lookup(name: &DnsName) -> Vec<IpAddr> {
    // Absolute, so that no search domain is appended.
    let found = (format!("{name}."), 0).to_socket_addrs();
    let mut addresses: Vec<IpAddr> = found.into_iter().flatten().map(|it| it.ip()).collect();

    addresses.sort();
    addresses.dedup();
    addresses
}

/// Where the names of the ends come from.
pub(super) fn names(parties: &[Party; 2], opening: Opening) -> Vec<Step> {
    let ends = parties.iter().zip([opening.source, opening.destination]);

    ends.filter_map(|(party, address)| named(party, address))
        .collect()
}

fn named(party: &Party, address: IpAddr) -> Option<Step> {
    let Party::Name(name) = party else {
        return None;
    };

    let text = format!("{name} is {address}, by this host's resolver");
    Some(Step::new(Verdict::NameFound, text))
}

/// The step that says why an end has no address here.
pub(super) fn unknown_end(unresolved: &Unresolved, report: &Report) -> Step {
    let step = unknown_name(unresolved).unwrap_or_else(|| naming::unknown_end(unresolved, report));

    match step.verdict {
        // A node lists no members.
        Verdict::PrefixOfNobody => {
            step.with("a gateway of this node knows the members' sites: there, ringway member list")
        }
        _ => step,
    }
}

/// `None` if its name is not the cause.
fn unknown_name(unresolved: &Unresolved) -> Option<Step> {
    let name = match unresolved {
        Unresolved::NoAddress(name) => name.to_string(),
        Unresolved::Nobody(label) => {
            let text = format!("{label} is not a whole name, and a node holds no zone of its own");
            let remedy = format!("give the whole name, such as {label}.<org>.<domain>");
            return Some(Step::new(Verdict::NameOfNobody, text).with(remedy));
        }
        _ => return None,
    };

    let text = format!(
        "this host's resolver has no address for {name} in a site of the consortium; a node holds \
         no zones to look it up"
    );
    let ask = Remedy::command(format!(
        "getent ahosts {name}   # or give the address instead of the name"
    ));
    Some(Step::new(Verdict::NameMissing, text).with(ask))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::State;

    #[test]
    fn a_node_says_that_its_resolver_was_asked() {
        let name: DnsName = "peer0.beta.consortium.example".parse().unwrap();
        let report = Report::default();
        let step = unknown_end(&Unresolved::NoAddress(name.clone()), &report);
        assert_eq!(step.state, State::Bad);
        assert!(step.text.contains("this host's resolver"), "{}", step.text);
        assert!(step.remedy.starts_with("getent ahosts peer0.beta."));

        let address = "10.2.0.11".parse().unwrap();
        let found = named(&Party::Name(name), address).unwrap();
        assert_eq!(
            found.text,
            "peer0.beta.consortium.example is 10.2.0.11, by this host's resolver"
        );

        let prefix = Unresolved::NoPrefix("10.9.0.1/32".parse().unwrap());
        let step = unknown_end(&prefix, &report);
        assert_eq!(step.verdict, Verdict::PrefixOfNobody);
        assert!(step.remedy.starts_with("a gateway of this node"));
    }
}
