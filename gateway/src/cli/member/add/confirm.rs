//! [`Fingerprints`]: the fingerprints from another channel, or the question to the reader at the
//! terminal. An attacker who changes a record in transit also changes what is sent with it.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use ringway_config::{Digest, Fault, Faults, Place, reading};

use super::candidate::Candidate;
use crate::cli::Failure;
use crate::cli::member::Add;

/// Hexadecimal digits in a group.
const GROUP: usize = 8;

/// Number of groups that the reader types: 64 bits, for which nobody can find a second record.
const TYPED: usize = 2;

/// The given fingerprints; `None` if there were none.
pub(super) struct Fingerprints(Option<BTreeSet<Digest>>);

impl Fingerprints {
    pub(super) fn of(args: &Add) -> Result<Fingerprints, Failure> {
        let mut given: BTreeSet<Digest> = args.fingerprints.iter().map(|given| given.0).collect();
        let Some(path) = &args.list else {
            let is_given = !given.is_empty();
            return Ok(Fingerprints(is_given.then_some(given)));
        };

        let text =
            reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut faults = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            match line.parse().or_else(|_| Digest::from_sum(line)) {
                Ok(digest) => _ = given.insert(digest),
                Err(_) => faults.push(Fault {
                    place: Place::at(path.clone().into(), number, 1),
                    message: "not a line of sha256sum: 64 hexadecimal digits and a file's name"
                        .into(),
                }),
            }
        }

        if faults.is_empty() {
            Ok(Fingerprints(Some(given)))
        } else {
            Err(Faults::from(faults).into())
        }
    }

    /// The fault of a record whose fingerprint is not among the given ones.
    pub(super) fn fault(&self, candidate: &Candidate) -> Option<Fault> {
        let record = &candidate.record;
        let given = self.0.as_ref()?;
        if given.contains(&record.digest) {
            return None;
        }

        let message = match given.iter().next() {
            Some(expected) if given.len() == 1 => format!(
                "fingerprint is {}, not {expected}; ask {} for the right record",
                record.digest, record.org
            ),
            _ => format!(
                "fingerprint is {}, which is none of those given; ask {} for the right record",
                record.digest, record.org
            ),
        };
        Some(Fault {
            place: record.place.clone(),
            message,
        })
    }

    /// Asks the reader to confirm each record, unless its fingerprint was given.
    pub(super) fn confirm(&self, new: &[Candidate]) -> Result<(), Failure> {
        if self.0.is_some() {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "nothing was added: without a terminal, --fingerprint sha256:… is required for \
                 each record, or --fingerprints with a file of sha256sum; ask each organization \
                 over a second channel"
                    .into(),
            ));
        }

        for candidate in new {
            ask(candidate)?;
        }
        Ok(())
    }
}

fn ask(candidate: &Candidate) -> Result<(), Failure> {
    let record = &candidate.record;
    let fingerprint = record.digest.to_string();
    let hex = &fingerprint[fingerprint.len() - GROUP * TYPED..];

    print!(
        "Ask {} for the fingerprint over a second channel, such as the telephone.\n\
         Type its last {} characters to go on: ",
        record.org,
        hex.len()
    );
    io::stdout().flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;

    // With or without blanks and colons in between.
    let typed: String = line.chars().filter(char::is_ascii_hexdigit).collect();
    if typed.eq_ignore_ascii_case(hex) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "nothing was added: the fingerprint of {} does not end with what was typed",
        record.org
    )))
}

/// A fingerprint in groups, to be read over the telephone.
pub(super) fn grouped(digest: Digest) -> String {
    let text = digest.to_string();
    let hex = text.trim_start_matches("sha256:").as_bytes();
    let groups = hex
        .chunks(GROUP)
        .map(|group| String::from_utf8_lossy(group));

    groups.collect::<Vec<_>>().join(" ")
}
