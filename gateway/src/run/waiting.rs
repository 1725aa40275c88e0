//! [`prepare_in_time`]: prepares, and waits for the right time. A machine without a battery starts
//! in 1970, and one whose clock was set wrong anywhere; the right time comes over the network a
//! moment later. Until then our certificate is not valid, and the gateway would end for no fault of
//! its files.

use std::path::Path;
use std::time::Duration;

use ringway_config::Faults;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use crate::prepare::{Prepared, prepare, valid_at_another_time};

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How many looks there are between two readings of the files: a valid certificate may have come.
const LOOKS: u32 = 10;

/// As [`prepare`], but waits as long as only the clock, or the dates of our certificate, are wrong.
pub(super) async fn prepare_in_time(path: &Path) -> Result<Prepared, Faults> {
    let mut is_reported = false;

    loop {
        let faults = match prepare(path).await {
            Ok(prepared) => return Ok(prepared),
            Err(faults) => faults,
        };
        let Some((begin, end)) = valid_at_another_time(path).await else {
            return Err(faults);
        };

        if !is_reported {
            is_reported = true;
            let [clock, begin, end] = [UnixTime::now(), begin, end].map(rfc3339);
            tracing::error!(
                clock,
                begin,
                end,
                reason = %faults,
                "Our certificate is not valid by this clock; waiting for the right time, or for \
                 another certificate"
            );
        }
        wait_until(begin, end).await;
    }
}

/// Waits until the clock is between both times, but not for long.
async fn wait_until(begin: UnixTime, end: UnixTime) {
    let valid = begin.as_secs()..=end.as_secs();

    for _ in 0..LOOKS {
        sleep(LOOK).await;
        if valid.contains(&UnixTime::now().as_secs()) {
            return;
        }
    }
}

fn rfc3339(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
