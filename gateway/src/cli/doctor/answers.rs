//! Hosts of the site that answer no member: what a cloud does that drops what has not the gateway's
//! own addresses, or has no route for the members' prefixes. A gateway sees no more of that than
//! the silence.

use ringway_config::Config;
use ringway_intent::{Finding, Remedy};

use crate::admin::socket;

/// Fewer connections may have been to hosts that are down.
const ENOUGH: u64 = 5;

pub(super) fn find(config: &Config) -> Option<Finding> {
    // A gateway of an older version does not know.
    let answers = socket::ask_answers(&config.socket).ok()?;
    let waiting = answers.all_silent().filter(|waiting| *waiting >= ENOUGH)?;

    Some(finding(waiting, config.tun.as_str()))
}

pub(super) fn finding(waiting: u64, tun: &str) -> Finding {
    Finding {
        name: "answers".to_owned(),
        what: format!(
            "{waiting} connections of members went to hosts of this site, and no answer has come \
             by here. In a cloud, either the source/destination check (IP forwarding) of this \
             host's network interface drops them, or the VPC's route table has no route for the \
             members' prefixes to it"
        ),
        remedy: Remedy::command(format!(
            "tcpdump -ni any not port 4600 and tcp   # do answers come, and leave by {tun}? If \
             none come: deploy/clouds.md"
        )),
    }
}
