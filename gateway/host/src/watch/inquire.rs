//! [`inquire`]: everything of others that is in the way of what passes through the tunnel.

use std::io;

use ringway_config::{Routes as Numbers, TunName};
use ringway_intent::{Finding, Inquiry, Remedy};
use tokio::task::spawn_blocking;

use super::asked::{self, Questions};
use super::foreign::{self, Traffic};
use super::{ipsec, peers, strangers};
use crate::links;
use crate::netlink::Netlink;

/// Asks the kernel about the routes of `inquiry`, and reads the filters of others. Without a device
/// `tun`, about the filters only. Needs a tokio runtime, in the network namespace of the gateway.
pub async fn inquire(
    tun: &TunName,
    numbers: Numbers,
    inquiry: Inquiry,
) -> io::Result<Vec<Finding>> {
    let netlink = Netlink::open()?;
    let names = links::names(&netlink).await?;
    let index = names.iter().find(|(_, name)| *name == tun.as_str());

    let prefixes = inquiry.ways.iter().map(|way| way.prefix).collect();
    let strangers = strangers::find(&netlink, &numbers, &prefixes).await?;

    let mut findings = match index {
        Some((index, _)) => {
            let questions = Questions {
                tun: (tun.to_string(), *index),
                numbers,
                ways: inquiry.ways.clone(),
            };
            asked::ask(&netlink, &names, &questions).await?
        }
        None => Vec::new(),
    };

    findings.extend(strangers);
    findings.extend(ipsec::find(&inquiry.ways));
    findings.extend(peers::find(&netlink, &numbers, &inquiry).await);
    findings.extend(left_out(&inquiry));

    let traffic = Traffic {
        tun: tun.to_string(),
        inquiry,
        names,
    };
    // A host with thousands of rules takes a while to list them.
    findings.extend(spawn_blocking(move || foreign::find(&traffic)).await??);
    Ok(findings)
}

/// The finding that an inquiry does not cover everything: otherwise its silence would look like a
/// good result.
fn left_out(inquiry: &Inquiry) -> Option<Finding> {
    let count = inquiry.unasked;

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
    fn prefixes_that_are_left_out_are_named_by_their_number() {
        let mut inquiry = Inquiry::default();
        assert_eq!(left_out(&inquiry), None);
        inquiry.unasked = 7;
        assert!(left_out(&inquiry).unwrap().what.contains("7 prefixes"));
    }
}
