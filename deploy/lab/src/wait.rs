//! Waits for a condition, under a deadline.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::interrupt;

/// Pause between two attempts. The conditions here have no event that one could wait for.
const INTERVAL: Duration = Duration::from_millis(50);

/// Calls `condition` until it returns `Ok(Some(_))`.
///
/// After `limit` the error names `what` was awaited and, if the last attempt failed, its reason.
/// A signal ends the wait with an error (see `interrupt`).
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;

    loop {
        let outcome = condition();
        if let Ok(Some(value)) = outcome {
            return Ok(value);
        }

        interrupt::check()?;
        if Instant::now() >= deadline {
            outcome.with_context(|| format!("waited {limit:?} for {what}"))?;
            bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_value_of_the_first_attempt_that_has_one() {
        let mut attempts = 0;
        let third = until("the third attempt", Duration::from_secs(5), || {
            attempts += 1;
            Ok((attempts == 3).then_some(attempts))
        });
        assert_eq!(third.unwrap(), 3);
    }

    #[test]
    fn the_error_names_what_was_awaited_and_the_reason_of_the_last_attempt() {
        let waited: Result<()> = until("a reply", Duration::ZERO, || bail!("no route"));
        let error = format!("{:#}", waited.unwrap_err());
        assert_eq!(error, "waited 0ns for a reply: no route");
    }
}
