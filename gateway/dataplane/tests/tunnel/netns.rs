//! Network namespaces of one test, which are removed at its end.

use std::fs::File;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

/// A namespace named after the test process.
pub(crate) struct Netns {
    name: String,
}

impl Netns {
    pub(crate) fn new() -> Netns {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let netns = Netns {
            name: format!("rwdp-{}-{count}", std::process::id()),
        };
        ip(&format!("netns add {}", netns.name));
        netns.ip("link set lo up");
        netns
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// `ip <arguments>` inside.
    pub(crate) fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.name));
    }

    /// A command inside, with its output.
    pub(crate) fn exec(&self, command: &str) -> Output {
        let mut words = command.split_whitespace();
        Command::new("ip")
            .args(["netns", "exec", &self.name])
            .args(&mut words)
            .output()
            .expect("ip runs")
    }

    /// Runs `work` in a thread of its own that is inside; sockets it makes stay there.
    pub(crate) fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.spawn(work)
            .join()
            .expect("the work inside does not panic")
    }

    /// As [`Netns::within`], without waiting.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let namespace =
            File::open(format!("/run/netns/{}", self.name)).expect("the namespace is there");
        thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
            work()
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

/// `ip <arguments>`, which must succeed.
pub(crate) fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split_whitespace())
        .output()
        .expect("ip runs");
    assert!(
        output.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
