//! [`inspect`]: finds the filters, routes and policies of other programs that stop traffic between
//! the site and the members.

use std::io;

use ringway_config::{Routes as Numbers, TunName};
use ringway_intent::{Finding, Inspection, Remedy};
use tokio::task::spawn_blocking;

use super::foreign_filters::{self, Traffic};
use super::member_routes::{self, Lookups};
use super::{foreign_routes, ipsec, peer_routes};
use crate::links;
use crate::netlink::Netlink;

/// Looks up the routes of `inspection` in the kernel, and evaluates the filters of other programs.
/// Without a device `tun`, no route to a member is looked up. Needs a tokio runtime, in the network
/// namespace of the gateway.
pub async fn inspect(
    tun: &TunName,
    numbers: Numbers,
    inspection: Inspection,
) -> io::Result<Vec<Finding>> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;
    let index = names.iter().find(|(_, name)| *name == tun.as_str());

    let prefixes = inspection.pairs.iter().map(|pair| pair.prefix).collect();
    let diverting = foreign_routes::find(&netlink, &numbers, &prefixes).await?;

    let mut findings = match index {
        Some((index, _)) => {
            let lookups = Lookups {
                tun: (tun.to_string(), *index),
                numbers,
                pairs: inspection.pairs.clone(),
                site: inspection.site.clone(),
            };
            member_routes::find(&netlink, &names, &lookups).await?
        }
        None => Vec::new(),
    };

    findings.extend(diverting);
    findings.extend(ipsec::find(&inspection.pairs));
    findings.extend(peer_routes::find(&netlink, &numbers, &inspection).await);
    findings.extend(skipped_prefixes(&inspection));

    let traffic = Traffic {
        tun: tun.to_string(),
        inspection,
        names,
    };
    // A host with thousands of rules takes a while to list them.
    findings.extend(spawn_blocking(move || foreign_filters::find(&traffic)).await??);
    Ok(findings)
}

/// The finding that an inspection skips prefixes. Without it, an incomplete inspection would look
/// like one that found nothing.
fn skipped_prefixes(inspection: &Inspection) -> Option<Finding> {
    let count = inspection.skipped;

    (count > 0).then(|| Finding {
        name: "inquiry".into(),
        what: format!(
            "foreign rules and routes in the way of {count} prefixes of members are not looked \
             for: there are too many prefixes"
        ),
        remedy: Remedy::ringway(
            "site set …   # join neighbouring prefixes, as every organization should",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_prefixes_are_reported_with_their_number() {
        let mut inspection = Inspection::default();
        assert_eq!(skipped_prefixes(&inspection), None);
        inspection.skipped = 7;
        assert!(
            skipped_prefixes(&inspection)
                .unwrap()
                .what
                .contains("7 prefixes")
        );
    }
}
