//! The report as text: what needs attention, a summary, then the tables.

use std::path::Path;

use super::screen::{Screen, Style};
use super::{Args, drops, sections, tunnels};
use ringway_intent::Remedy;

use crate::admin::Report;
use crate::admin::report::{AttentionReport, PolicyReport, ReloadReport, VirtualAddressReport};
use crate::cli::{named, remedy};
use sections::counted;

/// Number of items of one kind that are listed; the JSON has all.
const MOST: usize = 5;

/// Everything that `args` request.
pub(super) fn whole(report: &Report, args: &Args, screen: &Screen) -> String {
    // This is a page of its own.
    if args.drops {
        return drops::show(report, screen);
    }

    let mut parts = vec![attention(report, args, screen), head(report, screen)];
    parts.push(tunnels::show(report, args, screen));
    parts.push(tunnels::show_nodes(report, args, screen));
    if args.peer.is_none() {
        parts.extend(sections::show(report, args, screen));
    }
    if args.peer.is_none() && args.org.is_none() {
        parts.push(packets(report, screen));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// The output of `--check`. `report` contains only the requested part.
pub(super) fn line(report: &Report) -> String {
    let screen = Screen {
        has_colour: false,
        ..Screen::of_stdout()
    };
    let mut text = format!("{}: {}", report.state, tunnels::summary(&report.tunnels));

    if let Some(first) = report.attention.first() {
        text.push_str(&format!("; {}", first.what));
    }
    if report.attention.len() > 1 {
        text.push_str(&format!(" (and {} more)", report.attention.len() - 1));
    }
    screen.show(Style::Plain, &text) + "\n"
}

/// True if the tunnel to `peer` of `org` is requested.
pub(super) fn is_asked_for(args: &Args, peer: &str, org: &str) -> bool {
    args.peer.as_ref().is_none_or(|asked| asked == peer)
        && args.org.as_ref().is_none_or(|asked| asked == org)
}

/// True if `item` is about the requested peer or organization.
pub(super) fn concerns(args: &Args, item: &AttentionReport) -> bool {
    let mut about = args.peer.iter().chain(&args.org);

    about.all(|name| mentions(&item.what, name))
}

/// True if `text` contains `name` as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(belongs_to_a_name) && !after.is_some_and(belongs_to_a_name)
    })
}

fn belongs_to_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The list of what needs attention, with remedies.
fn attention(report: &Report, args: &Args, screen: &Screen) -> String {
    let items: Vec<&AttentionReport> = report
        .attention
        .iter()
        .filter(|item| concerns(args, item))
        .collect();
    if items.is_empty() && report.attention.is_empty() {
        return "Nothing needs attention.\n".to_owned();
    }
    if items.is_empty() {
        let about = args.peer.as_ref().or(args.org.as_ref());
        let about = about.map_or_else(String::new, |name| format!(" about {name}"));
        let others = report.attention.len();
        let whole = remedy::for_gateway(&Remedy::ringway("status"), &args.config.path);
        let text =
            format!("Nothing{about} needs attention. Findings about others: {others} ({whole})");
        return screen.whole(0, &text);
    }

    let heading = format!("Attention ({})", items.len());
    let mut text = format!("{}\n", screen.show(Style::Bad, &heading));
    // They are sorted, so those of one kind are adjacent.
    let mut kind = "";
    let mut of_kind = 0;
    for item in items {
        of_kind = if item.kind == kind { of_kind + 1 } else { 0 };
        kind = &item.kind;
        if of_kind < MOST {
            text.push_str(&one(item, &args.config.path, screen));
        }
    }
    text.push_str(&left_out(report, screen));
    text
}

/// The remedy is copied and pasted: a folded line would become two commands.
fn one(item: &AttentionReport, config: &Path, screen: &Screen) -> String {
    let kind = screen.show(Style::Bad, &item.kind);
    let since = screen.show(Style::Faint, &format!("since {}", item.since));
    let mut text = format!("  {kind} {since}\n");

    text.push_str(&screen.fold(4, &item.what));
    if !item.remedy.is_empty() {
        let remedy = item.fix();
        let fix = format!("to fix it: {}", remedy::for_gateway(&remedy, config));
        if remedy.is_command() {
            text.push_str(&screen.whole(4, &fix));
        } else {
            text.push_str(&screen.fold(4, &fix));
        }
    }
    text
}

/// With fifty tunnels down, the rest must stay visible.
fn left_out(report: &Report, screen: &Screen) -> String {
    // Counted over all, even if one peer was requested.
    let mut kinds: Vec<&str> = report.attention.iter().map(|item| &*item.kind).collect();
    kinds.sort_unstable();
    let mut text = String::new();

    for same in kinds.chunk_by(|one, other| one == other) {
        let more = same.len().saturating_sub(MOST);
        if more > 0 {
            text.push_str(&screen.fold(2, &format!("and {more} more of {} (--json)", same[0])));
        }
    }
    text
}

/// The gateway itself.
fn head(report: &Report, screen: &Screen) -> String {
    let daemon = &report.daemon;
    let summary = tunnels::summary(&report.tunnels);
    let mut text = format!(
        "{}\n",
        screen.show(
            Style::Heading,
            &format!("{}: {summary}", named(&report.gateway))
        )
    );

    let uptime = tunnels::ago(daemon.uptime_s);
    let dns = match (&daemon.resolver, daemon.dns.as_slice()) {
        (Some(resolver), _) => format!("resolver: {resolver}"),
        (None, []) => "no DNS".to_owned(),
        (None, dns) => format!("DNS {}", dns.join(", ")),
    };
    let dialled = match daemon.endpoints.as_slice() {
        [] => "only dials".to_owned(),
        endpoints => format!("dialled at {}", endpoints.join(", ")),
    };
    let reload = match &report.last_reload {
        Some(reload) => reload_line(reload),
        None => "none since the start".to_owned(),
    };
    if let Some(line) = report.site.line() {
        text.push_str(&screen.fact("sibling", 10, &line));
    }
    for (name, value) in [
        (
            "daemon",
            format!(
                "ringway {}, running for {uptime}, pid {}, site {}, device {}",
                daemon.version, daemon.pid, daemon.site, daemon.tun
            ),
        ),
        ("address", format!("{}, {dialled}; {dns}", daemon.listen)),
        ("role", role_line(report)),
        ("file", daemon.config.clone()),
        ("state", daemon.state_dir.clone()),
        ("reload", reload),
    ] {
        // Paths may have blanks, and are copied as a whole.
        if matches!(name, "file" | "state") && !value.is_empty() {
            text.push_str(&screen.whole(2, &format!("{name:<8}{value}")));
        } else if !value.is_empty() {
            text.push_str(&screen.fact(name, 10, &value));
        }
    }
    text
}

/// The role of the gateway in its site, with the virtual addresses and the hook; empty without
/// siblings.
fn role_line(report: &Report) -> String {
    let Some(role) = &report.role else {
        return String::new();
    };
    // A site with one gateway has no roles.
    let is_alone = role.role == "active" && role.sibling.is_none() && role.epoch == 0;
    if is_alone && role.addresses.is_empty() && role.hook.is_none() {
        return String::new();
    }

    let mut text = format!("{} since {}: {}", role.role, role.since, role.reason);
    if let Some(gap) = role.gap_s {
        text.push_str(&format!(" (silent for {gap:.1} s before)"));
    }
    for address in &role.addresses {
        let VirtualAddressReport {
            address,
            interface,
            state,
        } = address;
        text.push_str(&format!("; {address} {state} on {interface}"));
    }
    if let Some(hook) = &role.hook {
        text.push_str(&format!("; command {} {}", hook.state, hook.at));
    }
    text
}

fn reload_line(reload: &ReloadReport) -> String {
    let at = &reload.at;
    match (reload.adopted, reload.changes.len()) {
        (false, _) => format!("refused {at}: the files are not what runs"),
        (true, 0) => format!("{at}, nothing had changed"),
        (true, 1) => format!("{at}, 1 change in force"),
        (true, changes) => format!("{at}, {changes} changes in force"),
    }
}

/// Packets that passed and that were dropped, in a few lines.
fn packets(report: &Report, screen: &Screen) -> String {
    let mut text = policy(&report.policy, screen);
    let dropped: u64 = drops::all(report)
        .iter()
        .filter(|(reason, _)| *reason != drops::AT_A_START)
        .map(|(_, count)| count)
        .sum();

    if dropped > 0 {
        text.push_str(&screen.fold(
            0,
            &format!("packets dropped so far: {dropped}; why: ringway status --drops"),
        ));
    }
    if !report.refusals.is_empty() {
        let refused = counted(&report.refusals);
        text.push_str(&screen.fold(0, &format!("refused handshakes: {refused}")));
    }
    if !report.restored.is_empty() {
        let restored = counted(&report.restored);
        text.push_str(&screen.fold(0, &format!("restored after other programs: {restored}")));
    }
    if report.tun_recreated > 0 {
        text.push_str(&format!(
            "TUN device re-created: {}\n",
            report.tun_recreated
        ));
    }
    text
}

/// Counters of the filter. `ringway policy denied` has the details.
fn policy(report: &PolicyReport, screen: &Screen) -> String {
    let mut line = format!(
        "flows: {} opened by our hosts, {} by others",
        report.flows_ours, report.flows_theirs
    );
    if report.flows_evicted > 0 {
        line.push_str(&format!(", {} given up", report.flows_evicted));
    }
    if report.flows_unrecorded > 0 {
        line.push_str(&format!(", {} without a place", report.flows_unrecorded));
    }
    let mut text = screen.fold(0, &line);

    if report.grace > 0 {
        let line = format!(
            "passed because a connection may be older than this gateway: {}",
            report.grace
        );
        text.push_str(&screen.fold(0, &line));
    }
    if !report.orgs.is_empty() {
        let denied = counted(&report.orgs);
        let line =
            format!("denied, by organization: {denied}; the last ones: ringway policy denied");
        text.push_str(&screen.fold(0, &line));
    }
    text
}

#[cfg(test)]
mod tests;
