//! Ctrl-C and SIGTERM as a flag that long waits look at, so that the way out is the ordinary one, which takes
//! the laboratory down.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{Signal, SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on SIGINT, SIGTERM and SIGHUP no longer end the process but set the flag.
pub fn catch() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let signals: Result<Vec<Signal>, _> = {
        let _entered = runtime.enter();
        [
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::hangup(),
        ]
        .map(signal)
        .into_iter()
        .collect()
    };
    let mut signals = signals.context("cannot catch signals")?;
    let wait = move || {
        runtime.block_on(std::future::poll_fn(|context| {
            let pending = signals
                .iter_mut()
                .all(|signal| signal.poll_recv(context).is_pending());
            if pending {
                std::task::Poll::Pending
            } else {
                std::task::Poll::Ready(())
            }
        }));
        INTERRUPTED.store(true, Ordering::Relaxed);
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)?;
    Ok(())
}

/// An error once a signal has come.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Forgets the signal: what takes a laboratory down must run to its end.
pub fn forget() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}
