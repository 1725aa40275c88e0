//! `ringway policy show`: shows the rules of the file, and whether a running gateway has them.

use std::fmt::Display;
use std::process::ExitCode;

use ringway_config::{Egress, OnDenied, Place, Policy, Service, Target};
use serde::Serialize;

use super::files::Files;
use crate::admin::report::{PolicyReport, RuleReport};
use crate::admin::socket;
use crate::cli::table::Table;
use crate::cli::{Failure, Shown, answer, answer_json, how_to_apply};
use crate::policy::names::{in_site, nodes};

/// Runs `ringway policy show`.
pub(super) fn run(args: &Shown) -> Result<ExitCode, Failure> {
    let files = Files::load(&args.config.path)?;
    // The gateway need not run.
    let running = socket::ask(&files.config.socket).ok();
    let running = running.map(|report| report.policy);

    let rules = RuleReport::all(&files.config.policy);
    let in_force = running
        .as_ref()
        .map(|running| is_same(&rules, &running.rules));
    if args.json {
        let report = Report {
            default_rules: files.config.policy.allow.is_none(),
            egress: egress(&files.config.policy),
            denied: denied(&files.config.policy),
            rules: &rules,
            in_force,
        };
        return answer_json(&report);
    }

    let mut text = text(&files, &rules, running.as_ref());
    match in_force {
        Some(true) => text.push_str("\nThe running gateway has these rules.\n"),
        Some(false) => text.push_str(&format!(
            "\nThe running gateway has other rules.\n{}",
            how_to_apply(&args.config.path)
        )),
        None => text.push_str("\nNo gateway runs with this file.\n"),
    }
    answer(text)
}

/// True if both have the same rules, wherever they are written.
fn is_same(ours: &[RuleReport], running: &[RuleReport]) -> bool {
    ours.len() == running.len()
        && ours
            .iter()
            .zip(running)
            .all(|(ours, running)| ours.says_the_same_as(running))
}

fn text(files: &Files, rules: &[RuleReport], running: Option<&PolicyReport>) -> String {
    let policy = &files.config.policy;
    let mut text = String::new();
    let arriving: Vec<&RuleReport> = rules.iter().filter(|rule| rule.arrives).collect();
    match &policy.allow {
        None => {
            text.push_str("Others may open (there is no [policy]):\nall  this site  icmp echo\n")
        }
        Some(allow) if allow.is_empty() => text.push_str("Others may open nothing.\n"),
        Some(_) => {
            text.push_str("Others may open:\n");
            text.push_str(&table(&arriving, running));
        }
    }
    // An empty list closes everything, even our DNS server.
    if policy.allow.as_ref().is_none_or(|allow| !allow.is_empty()) {
        for listen in &files.config.dns.listen {
            text.push_str(&format!("all  {listen}  DNS, by [dns] listen\n"));
        }
    }

    text.push_str(&format!("\nOur hosts may open {}\n", egress_text(policy)));
    let leaving: Vec<&RuleReport> = rules.iter().filter(|rule| !rule.arrives).collect();
    if !leaving.is_empty() {
        text.push_str(&table(&leaving, None));
    }

    text.push_str(&names(files));
    let denied = match policy.denied {
        OnDenied::Drop => "dropped",
        OnDenied::Reject => "answered with a TCP reset or an ICMP error",
    };
    text.push_str(&format!("\nEverything else is {denied}.\n"));
    text
}

fn table(rules: &[&RuleReport], running: Option<&PolicyReport>) -> String {
    let mut table = Table::new(["FROM", "TO", "SERVICE", "OPENED", "RULE"]);
    for rule in rules {
        // The counters belong to the same rule of the running gateway.
        let opened = running
            .and_then(|running| {
                let mut same = running.rules.iter();
                same.find(|known| known.says_the_same_as(rule))
            })
            .and_then(|known| known.opened);
        table.row([
            rule.from.join(", "),
            rule.to.join(", "),
            rule.services.join(", "),
            opened.map_or("-".into(), |opened| opened.to_string()),
            rule.place.clone(),
        ]);
    }

    table.to_string()
}

fn egress_text(policy: &Policy) -> &'static str {
    match (policy.egress, policy.allow_egress.is_empty()) {
        (Egress::All, true) => "everything (egress = \"all\").",
        (Egress::All, false) => "everything (egress = \"all\"), so that these rules add nothing:",
        (Egress::Named, true) => {
            "everything, if they have a name in our zone (egress = \"named\")."
        }
        (Egress::Named, false) => {
            "everything, if they have a name in our zone (egress = \"named\"), and:"
        }
        (Egress::None, true) => "nothing (egress = \"none\").",
        (Egress::None, false) => "only this (egress = \"none\"):",
    }
}

/// The addresses of the names in rules, and of the attached nodes.
fn names(files: &Files) -> String {
    let judge = files.judge();
    let mut table = Table::plain();
    let mut is_empty = true;
    for name in in_site(&files.config.policy) {
        let spec = judge.spec();
        let addresses = spec.names.get(name).into_iter().flatten();
        let ours: Vec<String> = addresses
            .filter(|address| spec.own.iter().any(|own| own.contains(**address)))
            .map(ToString::to_string)
            .collect();
        let ours = if ours.is_empty() {
            "no address in this site: matches nothing".to_owned()
        } else {
            ours.join(", ")
        };
        table.row([name.to_string(), ours]);
        is_empty = false;
    }

    for node in nodes(&files.config.policy) {
        let prefixes = node.prefixes.iter().copied().map(Target::Prefix);
        let prefixes: Vec<String> = prefixes.map(|prefix| prefix.to_string()).collect();
        table.row([node.to_string(), prefixes.join(", ")]);
        is_empty = false;
    }

    if is_empty {
        String::new()
    } else {
        format!("\nNames:\n{table}")
    }
}

/// The rule at a place, as one line.
pub(super) fn rule_at(policy: &Policy, place: &Place) -> String {
    let rules = RuleReport::all(policy);
    let place = place.to_string();
    let Some(rule) = rules.iter().find(|rule| rule.place == place) else {
        return "rule".into();
    };

    format!(
        "from {} to {}: {}",
        rule.from.join(", "),
        rule.to.join(", "),
        rule.services.join(", ")
    )
}

impl RuleReport {
    /// All rules, without counters: `[[policy.allow]]`, then `[[policy.allow-egress]]`.
    pub(crate) fn all(policy: &Policy) -> Vec<RuleReport> {
        let arriving = policy.allow.iter().flatten().map(|rule| RuleReport {
            place: rule.place.to_string(),
            arrives: true,
            from: texts(&rule.from),
            to: texts(&rule.to),
            services: services(policy, &rule.services),
            opened: None,
        });
        let leaving = policy.allow_egress.iter().map(|rule| RuleReport {
            place: rule.place.to_string(),
            arrives: false,
            from: texts(&rule.from),
            to: texts(&rule.to),
            services: services(policy, &rule.services),
            opened: None,
        });

        arriving.chain(leaving).collect()
    }
}

fn texts<T: Display>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

/// The services, with the names of those that have one.
fn services(policy: &Policy, services: &[Service]) -> Vec<String> {
    let mut texts = Vec::new();
    for service in services {
        let alone = std::slice::from_ref(service);
        let mut named = policy.services.iter();
        let name = named.find(|(_, meaning)| meaning.as_slice() == alone);
        texts.push(match name {
            Some((name, _)) => format!("{service} ({name})"),
            None => service.to_string(),
        });
    }

    texts
}

/// The output of `policy show --json`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    default_rules: bool,
    egress: &'static str,
    denied: &'static str,
    rules: &'a [RuleReport],
    in_force: Option<bool>,
}

fn egress(policy: &Policy) -> &'static str {
    match policy.egress {
        Egress::All => "all",
        Egress::Named => "named",
        Egress::None => "none",
    }
}

fn denied(policy: &Policy) -> &'static str {
    match policy.denied {
        OnDenied::Drop => "drop",
        OnDenied::Reject => "reject",
    }
}
