//! Shows what a record changes.

use std::fmt::Write as _;

use ringway_config::{Changes, Escaped, Faults, Member, Root};
use ringway_identity::certificate::{Certificate, date};
use ringway_identity::trust::authorities;
use serde::Serialize;

use super::confirm::grouped;

/// The changes from `before` to `after`; everything, if there is no former record.
pub(in crate::cli) fn changes(before: Option<&Member>, after: &Member) -> Result<String, Faults> {
    let changes = between(before, after)?;
    let mut text = match before {
        None => format!(
            "{}, a new member, with serial {}:\n",
            after.org, after.serial
        ),
        Some(before) => format!(
            "{}, from serial {} to serial {}:\n",
            after.org, before.serial, after.serial
        ),
    };

    for (sign, items) in [('-', &changes.removed), ('+', &changes.added)] {
        for item in items {
            // Writing to a string does not fail.
            let _ = writeln!(text, "  {sign} {}", Escaped(item));
        }
    }
    if changes.is_empty() {
        text.push_str("  nothing but the text of the file\n");
    }
    let _ = writeln!(text, "fingerprint {}", after.digest);
    let _ = writeln!(text, "  in groups {}\n", grouped(after.digest));
    Ok(text)
}

/// The output of `record diff --json`.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Difference {
    org: String,
    before: Version,
    after: Version,
    added: Vec<String>,
    removed: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Version {
    serial: u64,
    fingerprint: String,
}

impl Difference {
    /// The changes from `before` to `after`.
    pub(in crate::cli) fn of(before: &Member, after: &Member) -> Result<Difference, Faults> {
        let Changes { added, removed } = between(Some(before), after)?;

        Ok(Difference {
            org: after.org.to_string(),
            before: Version::of(before),
            after: Version::of(after),
            added: added.into_iter().collect(),
            removed: removed.into_iter().collect(),
        })
    }
}

impl Version {
    fn of(member: &Member) -> Version {
        Version {
            serial: member.serial,
            fingerprint: member.digest.to_string(),
        }
    }
}

fn between(before: Option<&Member>, after: &Member) -> Result<Changes, Faults> {
    let mut names = names(after)?;
    let Some(before) = before else {
        return Ok(Changes {
            added: ringway_config::items(after, &|root| name(root, &names)),
            ..Changes::default()
        });
    };

    // The former record was checked when it was put in force.
    names.extend(self::names(before).unwrap_or_default());
    Ok(Changes::between(before, after, &|root| name(root, &names)))
}

/// The parsed certificates of a record, with their texts.
fn names(member: &Member) -> Result<Vec<(String, Certificate)>, Faults> {
    let pems = member.roots.iter().map(|root| root.pem.clone());

    Ok(pems.zip(authorities(member)?).collect())
}

fn name(root: &Root, names: &[(String, Certificate)]) -> String {
    match names.iter().find(|(pem, _)| *pem == root.pem) {
        Some((_, ca)) => format!(
            "CA {}, until {}, {}",
            ca.subject,
            date(ca.not_after),
            ca.fingerprint
        ),
        None => "CA certificate that cannot be read".into(),
    }
}
