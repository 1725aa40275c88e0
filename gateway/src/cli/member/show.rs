//! `ringway member show`: a record in words, above all its fingerprint.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use ringway_config::{Gateway, Member, Revoked};

use crate::cli::table::Table;
use crate::cli::{Failure, answer};
use crate::identity::certificate::{Certificate, date};
use crate::identity::trust::authorities;

/// Runs `ringway member show`.
pub(super) fn run(file: &Path) -> Result<ExitCode, Failure> {
    let member = Member::load(file)?;
    let authorities = authorities(&member)?;
    answer(describe(&member, &authorities))
}

fn describe(member: &Member, authorities: &[Certificate]) -> Table {
    let mut table = Table::plain();
    let mut line = |name: &str, value: String| table.row([name.to_owned(), value]);
    line("organization", member.org.to_string());
    line("zone", member.domain.zone_of(&member.org).to_string());
    line("fingerprint", member.digest.to_string());
    for ca in authorities {
        line(
            "CA",
            format!("{}, until {}", ca.subject, date(ca.not_after)),
        );
        line("", ca.fingerprint.to_string());
    }
    for site in &member.sites {
        let prefixes = site.prefixes.iter().map(|placed| placed.prefix);
        line(&format!("site {}", site.name), list(prefixes));
    }
    for gateway in &member.gateways {
        line(&format!("gateway {}", gateway.name), place_of(gateway));
    }
    line("revoked", revocations(&member.revoked));
    table
}

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
    match list(gateways.chain(keys)) {
        none if none.is_empty() => "nothing".into(),
        some => some,
    }
}

fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items
        .into_iter()
        .map(|item| item.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
