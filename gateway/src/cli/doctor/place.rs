//! [`Place`]: a group of checks of `doctor`.

use ringway_host::obstacles::Obstacle;
use ringway_intent::{Finding, Remedy};
use serde_json::Value;

use super::fix::Fix;
use super::{Found, answers, isolation, masquerade, names, ruleset, settings, tracking};
use crate::admin::attention::Kind;
use crate::admin::{Report, socket};
use crate::cli::check::host;
use crate::cli::{Failure, block_on};
use crate::ipv6;
use crate::prepare::Prepared;
use crate::state::space;

/// The groups of checks, in the order of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Obstacles to a start of the gateway.
    Start,
    /// Checks that need more rights.
    Rights,
    /// What `check` finds on the host.
    Host,
    /// Findings of the running gateway.
    Gateway,
    /// The disk of the state directory.
    Disk,
    /// Rules that rewrite sources.
    Masquerade,
    /// Connection tracking.
    Tracking,
    /// Chaincode on a bridge.
    Isolation,
    /// The path of a query.
    Names,
    /// What comes back from the site's hosts.
    Answers,
    /// IPv6 that is disabled.
    Ipv6,
    /// Other settings.
    Settings,
}

/// The subject of the checks.
pub(super) struct Subject<'a> {
    prepared: &'a Prepared,
    /// The report, if the gateway runs. If it does not, the host is not to blame.
    pub(super) running: Option<Report>,
    ruleset: Value,
}

impl<'a> Subject<'a> {
    pub(super) fn new(prepared: &'a Prepared) -> Subject<'a> {
        Subject {
            prepared,
            running: socket::ask(&prepared.config.socket).ok(),
            ruleset: ruleset::read(),
        }
    }
}

impl Place {
    /// All groups.
    pub(super) const ALL: [Place; 12] = [
        Place::Start,
        Place::Rights,
        Place::Host,
        Place::Gateway,
        Place::Disk,
        Place::Masquerade,
        Place::Tracking,
        Place::Isolation,
        Place::Names,
        Place::Answers,
        Place::Ipv6,
        Place::Settings,
    ];

    /// Runs the checks of this group.
    pub(super) fn run(self, subject: &Subject<'_>) -> Result<Vec<Found>, Failure> {
        let config = &subject.prepared.config;

        let findings = match self {
            Place::Start => host::obstacles(config).iter().map(start).collect(),
            Place::Rights => host::unchecked().map(rights).into_iter().collect(),
            Place::Host => block_on(host::findings(subject.prepared))?,
            Place::Gateway => return Ok(reported(subject)),
            Place::Disk => space::find(&config.state_dir).into_iter().collect(),
            Place::Masquerade => masquerade::find(config, &subject.ruleset),
            Place::Tracking => tracking::find(config, &subject.ruleset),
            Place::Isolation => isolation::find(&subject.ruleset),
            // Without the gateway there is no server to ask.
            Place::Names if subject.running.is_none() => Vec::new(),
            Place::Names => names::find(config),
            Place::Answers if subject.running.is_none() => Vec::new(),
            Place::Answers => answers::find(config).into_iter().collect(),
            Place::Ipv6 => ipv6::find(config).into_iter().collect(),
            Place::Settings => settings::find(),
        };
        let found = findings.into_iter().map(|finding| Found {
            fix: Fix::named(&finding),
            finding,
        });
        Ok(found.collect())
    }
}

pub(super) fn start(obstacle: &Obstacle) -> Finding {
    Finding {
        name: format!("start {obstacle}"),
        what: obstacle.to_string(),
        remedy: obstacle.remedy(),
    }
}

pub(super) fn rights(what: &str) -> Finding {
    Finding {
        name: "rights".to_owned(),
        what: what.to_owned(),
        remedy: Remedy::command("sudo ringway doctor"),
    }
}

/// The findings of the running gateway.
fn reported(subject: &Subject<'_>) -> Vec<Found> {
    let items = subject.running.iter().flat_map(|report| &report.attention);

    items
        .map(|item| {
            let finding = Finding {
                name: item.name.clone(),
                what: item.what.clone(),
                remedy: item.fix(),
            };
            // The gateway may have another version than this program.
            let kind = Kind::named(&item.kind);
            let fix = Fix::of_kind(kind, &finding, &subject.prepared.config);
            Found { finding, fix }
        })
        .collect()
}
