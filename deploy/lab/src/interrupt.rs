//! Turns Ctrl-C and SIGTERM into a flag that long waits check.
//!
//! An interrupted command returns an error like any other, so the code that removes the laboratory
//! runs.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, bail};
use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process.
pub(crate) fn catch() -> Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;

    // The handlers must be in place when this function returns, not when the thread first runs.
    let entered = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot catch SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
    let mut hangup = signal(SignalKind::hangup()).context("cannot catch SIGHUP")?;
    drop(entered);

    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => (),
                    _ = terminate.recv() => (),
                    _ = hangup.recv() => (),
                }
            });
            INTERRUPTED.store(true, Ordering::Relaxed);
        })?;
    Ok(())
}

/// Fails once a signal has arrived.
pub(crate) fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Clears the flag, so that the removal of a laboratory can wait as long as it needs.
pub(crate) fn clear() {
    INTERRUPTED.store(false, Ordering::Relaxed);
}
