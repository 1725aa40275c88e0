//! Lists for the operator who must receive a changed record.

use ringway_config::{GatewayName, Member};

use super::Change;
use crate::cli::member::add::show::changes;
use crate::cli::{Failure, how_to_apply};

/// Describes the change and who must receive the record. `more` are further steps, which come
/// first; `new` is a gateway that receives the record together with its files.
pub(in crate::cli) fn hand_out(
    change: &Change<'_>,
    more: &[String],
    new: Option<&GatewayName>,
) -> Result<String, Failure> {
    let record = change.own.path.display();
    let after = &change.after;
    let mut text = changes(Some(&change.own.member), after)?;
    text.push_str(&format!(
        "{record} is written, with serial {}.\n",
        after.serial
    ));
    for (path, _) in change.beside().texts() {
        text.push_str(&format!("{} is changed with it.\n", path.display()));
    }

    let mut steps = more.to_vec();
    steps.push(format!(
        "Hand {record} to every member{}, and the fingerprint over a second channel. They run\n    \
         \x20ringway member add {} --fingerprint {}",
        names(change.own.others.iter().map(|other| other.org.as_str())),
        file_name(change),
        after.digest
    ));
    if let Some(others) = other_gateways(change, new) {
        steps.push(format!(
            "Hand it to the other gateways of {}{others}. There\n     ringway record take {}",
            after.org,
            file_name(change)
        ));
    }

    text.push_str("\nNext:\n");
    for (number, step) in (1..).zip(&steps) {
        text.push_str(&format!("  {number}. {step}\n"));
    }
    if let Some(gateway) = &change.own.gateway {
        text.push_str(&how_to_apply(&gateway.path));
    }
    Ok(text)
}

fn file_name(change: &Change<'_>) -> String {
    let name = change.own.path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// ` (beta, gamma)`; empty if the names are unknown.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(" ({})", names.join(", "))
    }
}

/// The other gateways of our organization, except the new one and revoked ones.
fn other_gateways(change: &Change<'_>, new: Option<&GatewayName>) -> Option<String> {
    let here = change.own.config().map(|config| &config.id.name);
    let Member {
        gateways, revoked, ..
    } = &change.after;
    let others: Vec<&str> = gateways
        .iter()
        .filter(|gateway| Some(&gateway.name) != here && Some(&gateway.name) != new)
        .filter(|gateway| !revoked.gateways.contains(&gateway.name))
        .map(|gateway| gateway.name.as_str())
        .collect();

    (!others.is_empty()).then(|| names(others.into_iter()))
}
