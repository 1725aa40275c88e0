//! `ringway policy allow`: adds a rule to `gateway.toml`.
//!
//! The new text is checked before it is written: the rule must be valid and match something, and
//! policy tests that passed must still pass.

use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Faults, reading};

use super::Allow;
use super::diff::diff;
use super::edit::{NewRule, add};
use super::files::Files;
use crate::cli::edit::replace_file;
use crate::cli::{Failure, answer, how_to_apply};

/// Runs `ringway policy allow`.
pub(super) fn run(args: &Allow) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    // Report existing faults first, with the line numbers that the operator knows.
    let before = Files::load(path)?;
    let old =
        reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    let rule = NewRule {
        from: &split(&args.from),
        to: &split(&args.to),
        words: args.wanted.words()?,
    };
    let new = add(&old, &rule)?;

    if new == old {
        return answer("Nothing changes: the file has this rule already\n");
    }

    let after = Files::edited(path, &old, &new)?;
    check(&before, &after)?;

    let mut text = diff(&path.display().to_string(), &old, &new);
    if before.config.policy.allow.is_none() {
        text.push_str(
            "There was no [policy], which allowed echo to everybody: with a rule, echo needs one \
             too (--proto icmp)\n",
        );
    }
    if args.dry_run {
        text.push_str("Nothing was changed\n");
    } else {
        replace_file(path, &new)?;
        text.push_str(&how_to_apply(path));
    }
    answer(text)
}

/// `--from beta,gamma` is `--from beta --from gamma`.
fn split(items: &[String]) -> Vec<String> {
    let items = items.iter().flat_map(|item| item.split(','));
    items.map(|item| item.trim().to_owned()).collect()
}

/// Existing faults may stay; the rule must not add any.
fn check(before: &Files, after: &Files) -> Result<(), Failure> {
    let faults = before.faults_added(after);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults::from(faults).into())
    }
}
