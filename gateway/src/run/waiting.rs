//! [`prepare_in_time`]: prepares, and waits for the right time. A machine without a battery-backed
//! clock starts in 1970, and a clock may be set to anything; NTP corrects it soon after. Until then
//! our certificate is not valid, and the gateway would end although its files are in order.
//!
//! Guard and routes need no certificate. They are in place while the gateway waits, so that private
//! traffic does not leak and hosts get an answer. The admin socket reports the reason.

use std::path::Path;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use ringway_config::disk::create_private;
use ringway_config::{Config, Faults};
use ringway_host::watch::Authors;
use ringway_intent::Remedy;
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::sleep;

use super::kernel::{Answers, Kernel};
use super::{RunError, blocking};
use crate::admin::Report;
use crate::admin::attention::{Beginnings, Kind, complete};
use crate::admin::report::{AttentionReport, DaemonReport};
use crate::admin::socket::{self, FileListener, SocketGroup};
use crate::attention::Attention;
use crate::prepare::{Known, Prepared, prepare, prepare_at, valid_at_another_time};
use crate::service_manager::ServiceManager;
use crate::state::{StateFiles, modes};

/// Interval at which the clock and the kernel are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The files are read again after this many intervals: they may have a valid certificate now.
const CHECKS: u32 = 5;

/// The name of the finding.
const CLOCK: &str = "clock";

/// As [`prepare`], but waits while only the clock, or the validity period of our certificate, is
/// wrong.
pub(super) async fn prepare_in_time(
    path: &Path,
    service: &ServiceManager,
) -> Result<Prepared, RunError> {
    let mut since = None;
    let mut waiting: Option<Waiting> = None;

    loop {
        let faults = match prepare(path).await {
            Ok(prepared) => return Ok(prepared),
            Err(faults) => faults,
        };
        let Some((begin, end)) = valid_at_another_time(path).await else {
            return Err(RunError::Faults(faults));
        };
        // If the files would be valid at another time, wait for it; otherwise fail.
        let Ok(prepared) = prepare_at(path, Known::default(), begin).await else {
            return Err(RunError::Faults(faults));
        };

        let since = *since.get_or_insert_with(|| {
            report(begin, end, &faults);
            SystemTime::now()
        });
        let attention = attention(begin, end, since);
        service.waits(&attention.what);
        let next = match waiting.take() {
            Some(mut same) if same.holds_for(&prepared) => {
                same.report.attention = vec![attention];
                same
            }
            before => {
                // Its device is the lock against a second daemon, so remove it before the next one
                // is created.
                drop(before);
                Waiting::begin(prepared, attention).await?
            }
        };
        waiting.insert(next).wait_until(begin, end).await;
    }
}

fn report(begin: UnixTime, end: UnixTime, faults: &Faults) {
    let [clock, begin, end] = [UnixTime::now(), begin, end].map(rfc3339);

    tracing::error!(
        clock,
        begin,
        end,
        reason = %faults,
        "Our certificate is not valid by this clock; waiting for the right time, or for another \
         certificate"
    );
}

fn attention(begin: UnixTime, end: UnixTime, since: SystemTime) -> AttentionReport {
    let [begin, end] = [begin, end].map(rfc3339);
    let fix = Remedy::command(
        "timedatectl set-ntp true   # or set the clock, or put another certificate in place",
    );

    AttentionReport {
        kind: Kind::of(CLOCK).word().to_owned(),
        name: CLOCK.to_owned(),
        what: format!(
            "our certificate is valid from {begin} to {end} only: waiting for the right time, or \
             for another certificate"
        ),
        since: rfc3339(unix_time(since)),
        remedy: fix.to_string(),
        fix,
    }
}

/// A gateway that waits for the right time.
struct Waiting {
    prepared: Prepared,
    kernel: Kernel,
    socket: FileListener,
    report: Report,
}

impl Waiting {
    async fn begin(prepared: Prepared, attention: AttentionReport) -> anyhow::Result<Waiting> {
        let Config {
            id,
            state_dir,
            socket: path,
            ..
        } = &prepared.config;
        let mut report = Report {
            gateway: id.to_string(),
            daemon: DaemonReport::of(&prepared.config, SystemTime::now()),
            attention: vec![attention],
            ..Report::default()
        };
        complete(&mut report, &mut Beginnings::default(), SystemTime::now());

        let dir = state_dir.clone();
        let path = path.clone();
        let group = SocketGroup::of(&prepared.config);
        let socket = blocking(move || {
            // If the directory cannot be created, the code that stores something there warns.
            _ = create_private(&dir);
            _ = modes::tighten(&dir);
            FileListener::bind(&path, group.as_ref())
        })
        .await?;
        // Written again, together with everything else, when the wait is over.
        let files = StateFiles::new(Attention::default());
        let kernel = Kernel::set_up(&prepared, Answers::Kernel, &files).await?;
        Ok(Waiting {
            prepared,
            kernel,
            socket,
            report,
        })
    }

    /// True if `prepared` demands the same kernel objects and the same admin socket.
    fn holds_for(&self, prepared: &Prepared) -> bool {
        let before = &self.prepared.config;
        let now = &prepared.config;

        before.socket == now.socket
            && before.state_dir == now.state_dir
            && before.routes == now.routes
            && self.kernel.is_right_for(&self.prepared, prepared)
    }

    /// Waits until the clock is within both times, but at most for a few seconds.
    async fn wait_until(&mut self, begin: UnixTime, end: UnixTime) {
        let Waiting {
            prepared,
            kernel,
            socket,
            report,
        } = self;
        let valid = begin.as_secs()..=end.as_secs();
        let config = &prepared.config;
        let authors = Authors::new(config.tun.as_str(), config.routes.table);
        let mut serving = pin!(socket::serve_report(socket, report));

        for _ in 0..CHECKS {
            tokio::select! {
                () = sleep(CHECK_INTERVAL) => {}
                () = &mut serving => {}
            }
            if valid.contains(&UnixTime::now().as_secs()) {
                return;
            }
            kernel.hold(prepared, &authors).await;
        }
    }
}

fn unix_time(time: SystemTime) -> UnixTime {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH);

    UnixTime::since_unix_epoch(since_1970.unwrap_or_default())
}

fn rfc3339(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
