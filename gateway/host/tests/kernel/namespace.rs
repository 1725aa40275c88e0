//! A network namespace of one test: made by `ip netns`, entered by threads, removed however the
//! test ends.
//!
//! A socket, file descriptor or child made inside keeps belonging to the namespace.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{process, thread};

use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A namespace with its loopback interface up; addresses are usable at once.
pub(crate) struct Namespace {
    name: String,
}

impl Namespace {
    /// `role` only makes the name readable.
    pub(crate) fn new(role: &str) -> Namespace {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace {
            name: format!("rwh-{}-{count}-{role}", process::id()),
        };
        run("ip", &["netns", "add", &namespace.name]);
        namespace.ip("link set lo up");
        // While an interface's link-local address is tentative, a router has no source to ask for
        // neighbours from, and what it forwards is lost.
        let no_dad = || std::fs::write("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
        namespace.enter(no_dad).unwrap();
        namespace
    }

    /// As `ip netns` knows it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a thread inside the namespace and hands back what it returns.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            let namespace = File::open(format!("/run/netns/{}", self.name)).unwrap();
            // SAFETY: the descriptor is open, and only this short-lived thread changes its
            // namespace.
            let moved = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
            assert_eq!(moved, 0, "{}", std::io::Error::last_os_error());
            work()
        };
        thread::scope(|scope| match scope.spawn(inside).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    /// Runs a future inside the namespace, on a runtime of its own.
    pub(crate) fn wait<T: Send, F: Future<Output = T>>(
        &self,
        work: impl FnOnce() -> F + Send,
    ) -> T {
        self.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(work())
        })
    }

    /// `ip <arguments>` inside; returns what it prints.
    pub(crate) fn ip(&self, arguments: &str) -> String {
        let all: Vec<_> = ["-n", &self.name]
            .into_iter()
            .chain(arguments.split_whitespace())
            .collect();
        run("ip", &all)
    }

    /// Runs a program inside; returns its exit code and what it printed.
    pub(crate) fn run(&self, command: &str) -> (i32, String) {
        let mut words = command.split_whitespace();
        let mut program = Command::new(words.next().unwrap());
        program.args(words);
        let output = self.enter(move || program.output().unwrap());
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code().unwrap(),
            String::from_utf8(text).unwrap(),
        )
    }

    /// Counts the changes of routes and rules inside while `work` runs. The kernel queues its
    /// notifications before it answers the request that caused them.
    pub(crate) fn route_changes(&self, work: impl FnOnce()) -> usize {
        const GROUPS: u32 =
            (libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE | libc::RTMGRP_IPV4_RULE) as u32;
        const IPV6_RULES: u32 = 1 << (libc::RTNLGRP_IPV6_RULE - 1);
        let socket = self.enter(|| {
            let mut socket = Socket::new(NETLINK_ROUTE).unwrap();
            socket
                .bind(&SocketAddr::new(0, GROUPS | IPV6_RULES))
                .unwrap();
            socket.set_non_blocking(true).unwrap();
            socket
        });
        work();
        std::iter::from_fn(|| socket.recv_from_full().ok()).count()
    }

    /// Adds an interface that leads nowhere.
    pub(crate) fn nic(&self, name: &str) {
        self.ip(&format!("link add {name} type veth peer name {name}-end"));
        self.ip(&format!("link set {name} up"));
        self.ip(&format!("link set {name}-end up"));
    }

    /// Joins this namespace's interface `here` with `there` in `other`.
    pub(crate) fn join(&self, here: &str, other: &Namespace, there: &str) {
        self.ip(&format!(
            "link add {here} type veth peer name {there} netns {}",
            other.name
        ));
        self.ip(&format!("link set {here} up"));
        other.ip(&format!("link set {there} up"));
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Not `run`: a failure here must not hide the test's own.
        let _ = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}
