//! Waits for a condition, under a deadline.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Between two looks at a condition that nothing announces.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks `condition` until it is `Ok(Some(_))`. After `limit` the error says what was awaited, and with
/// [`Err`] from the last look, why it had not come.
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
        super::interrupt::check()?;
        if Instant::now() >= deadline {
            outcome.with_context(|| format!("waited {limit:?} for {what}"))?;
            anyhow::bail!("waited {limit:?} for {what}");
        }
        std::thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_what_came() {
        let mut looks = 0;
        let third = || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        };
        assert_eq!(
            until("the third look", Duration::from_secs(5), third).unwrap(),
            3
        );
    }

    #[test]
    fn the_error_says_what_did_not_come_and_why() {
        let why = || -> Result<Option<()>> { anyhow::bail!("no route") };
        let error = format!("{:#}", until("a reply", Duration::ZERO, why).unwrap_err());
        assert_eq!(error, "waited 0ns for a reply: no route");
    }
}
