//! [`Refusal`]: a reload that was refused, and what was taken away all the same, for an operator.

use ringway_config::Faults;
use ringway_intent::{Finding, Remedy};

/// The name of what needs attention.
const NAME: &str = "reload";

/// Lines about what was taken away that are kept.
const MOST: usize = 32;

/// The last reload, if it was refused, and what was taken away since the last one that was not.
#[derive(Debug, Default)]
pub(crate) struct Refusal {
    fault: String,
    more: usize,
    taken: Vec<String>,
}

impl Refusal {
    /// A reload was refused for these.
    pub(crate) fn note(&mut self, faults: &Faults) {
        self.fault = faults
            .0
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        self.more = faults.0.len().saturating_sub(1);
    }

    /// All the same, this was taken away.
    pub(crate) fn take(&mut self, taken: Vec<String>) {
        let known = self.taken.clone();
        let new = taken.into_iter().filter(|line| !known.contains(line));

        self.taken.extend(new);
        self.taken.truncate(MOST);
    }

    /// What an operator should know.
    pub(crate) fn finding(&self) -> Finding {
        let more = match self.more {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let taken = if self.taken.is_empty() {
            "what is in force stays".to_owned()
        } else {
            format!("taken away all the same: {}", self.taken.join("; "))
        };

        Finding {
            name: NAME.to_owned(),
            what: format!(
                "the last reload was refused, so that the files are not what runs; {taken}; \
                 refused for {}{more}",
                self.fault
            ),
            remedy: Remedy::ringway("check   # names every fault; correct them").then_reload(),
        }
    }

    /// The name under which it is listed.
    pub(crate) fn name() -> String {
        NAME.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringway_config::{Fault, Place};

    use super::*;

    #[test]
    fn an_operator_sees_why_and_what_was_taken_since() {
        let fault = |message: &str| Fault {
            place: Place::whole(Path::new("gateway.toml")),
            message: message.to_owned(),
        };
        let mut refusal = Refusal::default();
        refusal.note(&vec![fault("one"), fault("two")].into());
        let what = refusal.finding().what;
        assert!(what.contains("what is in force stays"), "{what}");
        assert!(
            what.ends_with("refused for gateway.toml: one (and 1 more)"),
            "{what}"
        );

        refusal.take(vec!["beta is no member any more".to_owned()]);
        refusal.take(vec![
            "beta is no member any more".to_owned(),
            "gamma: x".to_owned(),
        ]);
        let what = refusal.finding().what;
        assert!(
            what.contains("all the same: beta is no member any more; gamma: x; refused"),
            "{what}"
        );
    }
}
