//! Findings about the files in force that keep nothing from running: records that are not used, and
//! settings without an effect.

use ringway_config::{Config, Faults};
use ringway_intent::Remedy;

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

/// The first few texts, and how many more there are.
fn some(mut texts: Vec<String>) -> String {
    let more = texts.len().saturating_sub(LISTED);
    texts.truncate(LISTED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join("; ")
}
