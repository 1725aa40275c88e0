//! Threads in the network namespace of a machine of the laboratory.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::Scene;

/// Runs `work` on a thread of its own, in the network namespace of `node`. Sockets that it makes
/// stay in that namespace wherever they are used.
pub fn spawn<T: Send + 'static>(
    scene: &Scene,
    node: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    let netns = &scene.node(node).expect("a machine of the laboratory").netns;
    let netns = File::open(format!("/run/netns/{netns}")).expect("its namespace exists");

    // The namespace belongs to the thread that enters it, so the thread must not be one of ours.
    thread::spawn(move || {
        setns(netns, CloneFlags::CLONE_NEWNET).expect("root may enter a namespace");
        work()
    })
}

/// Like [`spawn`]; waits for the result.
pub fn run<T: Send + 'static>(
    scene: &Scene,
    node: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let thread = spawn(scene, node, work);
    thread.join().expect("the thread does not panic")
}

/// True if a TCP connection from `from` to the port of `address` opens within half a second.
pub fn connects(scene: &Scene, from: &str, address: &str, port: u16) -> bool {
    let address = SocketAddr::new(address.parse().expect("an address"), port);
    run(scene, from, move || {
        TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok()
    })
}
