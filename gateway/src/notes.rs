//! Findings about the files in force that keep nothing from running: records that are not used, and
//! settings without an effect.

use ringway_config::{Config, Fault, Faults};
use ringway_identity::Trust;
use ringway_intent::Remedy;
use rustls_pki_types::UnixTime;

use crate::attention::Attention;

/// Names of the findings.
const WITHHELD: &str = "withheld records";
const EFFECTLESS: &str = "no effect";

/// Texts that a finding has.
const LISTED: usize = 4;

/// Raises or clears the findings about `config`.
pub(crate) fn note(config: &Config, attention: &Attention) {
    if config.withheld.is_empty() {
        attention.clear(WITHHELD);
    } else {
        let withheld = config.withheld.iter();
        let texts = withheld.map(|(org, fault)| format!("no tunnels to {org}: {fault}"));
        let what = some(texts.collect());
        let remedy = Remedy::ringway("reload   # after the records named are the newest");
        attention.raise(WITHHELD, &what, remedy);
    }

    let Faults(notes) = &config.notes;
    if notes.is_empty() {
        attention.clear(EFFECTLESS);
    } else {
        let what = some(notes.iter().map(ToString::to_string).collect());
        let remedy = Remedy::ringway("reload   # after the file is corrected");
        attention.raise(EFFECTLESS, &what, remedy);
    }
}

/// Logs the `warnings` of a start or a reload that are not findings, which are logged when they are
/// raised.
pub(crate) fn log_others<'w>(
    warnings: impl IntoIterator<Item = &'w Fault>,
    config: &Config,
    trust: &Trust,
) {
    let Faults(notes) = &config.notes;
    let withheld: Vec<_> = config.withheld.values().map(|fault| &fault.place).collect();
    let lists: Vec<Fault> = trust
        .stale_lists(UnixTime::now())
        .into_iter()
        .map(|(_, fault)| fault)
        .collect();

    for warning in warnings {
        let is_finding = notes.contains(warning)
            || lists.contains(warning)
            || withheld.contains(&&warning.place);
        if !is_finding {
            tracing::warn!(reason = %warning, "A file needs attention");
        }
    }
}

/// The first few texts, and how many more there are.
fn some(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(LISTED);
    texts.truncate(LISTED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join("; ")
}
