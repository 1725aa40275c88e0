//! `ringway member show`: shows a record, in particular its fingerprint.

mod report;

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Gateway, Member, Revoked};
use ringway_identity::Crl;
use ringway_identity::certificate::{Certificate, date};
use ringway_identity::trust::{self, authorities};
use rustls_pki_types::UnixTime;

use crate::cli::table::Table;
use crate::cli::{Failure, answer, answer_json};
use report::Report;

/// Maximum number of serial numbers shown of a revocation list.
const MOST_SERIALS: usize = 16;

/// Runs `ringway member show`.
pub(super) fn run(file: &Path, json: bool) -> Result<ExitCode, Failure> {
    let member = Member::load(file)?;
    let authorities = authorities(&member)?;
    let lists = trust::lists(&member)?;
    if json {
        return answer_json(&Report::of(&member, &authorities, &lists));
    }
    answer(describe(&member, &authorities, &lists))
}

fn describe(member: &Member, authorities: &[Certificate], lists: &[Crl]) -> Table {
    let mut table = Table::plain();
    table.row(["organization".into(), member.org.to_string()]);
    table.row([
        "zone".into(),
        member.domain.zone_of(&member.org).to_string(),
    ]);
    table.row(["fingerprint".into(), member.digest.to_string()]);
    table.row(["serial".into(), member.serial.to_string()]);

    for ca in authorities {
        let until = date(ca.not_after);
        let validity = validity(ca, UnixTime::now());
        table.row([
            "CA".into(),
            format!("{}, until {until}{validity}", ca.subject),
        ]);
        table.row(["".into(), ca.fingerprint.to_string()]);
    }

    for site in &member.sites {
        let prefixes = site.prefixes.iter().map(|placed| placed.prefix);
        let name = match &site.via {
            Some(via) => format!("site {} via {via}", site.name),
            None => format!("site {}", site.name),
        };
        table.row([name, list(prefixes)]);
    }
    for gateway in &member.gateways {
        table.row([format!("gateway {}", gateway.name), place_of(gateway)]);
    }
    if !member.transit.is_empty() {
        table.row(["transit for".into(), list(&member.transit)]);
    }
    table.row(["revoked".into(), revocations(&member.revoked)]);
    for list in lists {
        describe_list(&mut table, list);
    }
    table
}

/// What is wrong with a CA certificate at the time `now`.
fn validity(ca: &Certificate, now: UnixTime) -> String {
    if now > ca.not_after {
        ", EXPIRED".to_owned()
    } else if now < ca.not_before {
        format!(", NOT YET VALID (from {})", date(ca.not_before))
    } else {
        String::new()
    }
}

/// The revocation list of a CA, from the file beside the record.
fn describe_list(table: &mut Table, list: &Crl) {
    let due = date(list.next_update);
    let late = if list.is_stale(UnixTime::now()) {
        ", OVERDUE"
    } else {
        ""
    };
    table.row([
        "revocation list".into(),
        format!("number {} of {}, due {due}{late}", list.number, list.issuer),
    ]);

    let serials = list.revoked.iter().take(MOST_SERIALS);
    let mut revoked: Vec<String> = serials.map(|serial| format!("serial {serial}")).collect();
    let more = list.revoked.len().saturating_sub(MOST_SERIALS);
    if more > 0 {
        revoked.push(format!("{more} more"));
    }
    let revoked = if revoked.is_empty() {
        "nothing".to_owned()
    } else {
        revoked.join(", ")
    };
    table.row(["revoked by it".into(), revoked]);
}

/// The site of a gateway, and its endpoints.
fn place_of(gateway: &Gateway) -> String {
    match gateway.endpoints.as_slice() {
        [] => format!("at {}, only dials", gateway.site),
        endpoints => format!("at {}, dialled at {}", gateway.site, list(endpoints)),
    }
}

fn revocations(revoked: &Revoked) -> String {
    let gateways = revoked
        .gateways
        .iter()
        .map(|name| format!("gateway {name}"));
    let keys = revoked.keys.iter().map(|key| format!("key {key}"));

    let all = list(gateways.chain(keys));
    if all.is_empty() {
        "nothing".into()
    } else {
        all
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}
