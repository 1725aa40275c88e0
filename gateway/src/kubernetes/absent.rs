//! Stands for `follow.rs` in a program without the feature `kube`: nothing is followed.

use ringway_config::{Config, Digest};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::tasks::Tasks;
use crate::watch;

pub(super) const IS_BUILT_IN: bool = false;

/// There are none: a file that asks for them was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings;

pub(super) fn settings(_: &Config) -> Option<Settings> {
    None
}

pub(super) fn fingerprint(_: &Settings) -> Option<Digest> {
    None
}

/// Has nothing to do.
pub(super) fn start(_: Settings, _: mpsc::Sender<watch::Event>, tasks: &Tasks) -> AbortHandle {
    tasks.spawn(async {})
}
