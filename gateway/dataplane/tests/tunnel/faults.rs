//! Errors of the kernel when it cannot send, or has bad news: no thread ends or spins, lost packets
//! are counted, and packets pass again as soon as they can.
//!
//! The causes are real: ICMP errors, a full socket, a full queue of the device below it.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use ringway_dataplane::*;

use super::pair::{Gateway, Wan, pair};
use super::ping;

#[test]
fn a_port_that_refuses_ends_nothing() {
    let (left, right) = pair(Aead::Aes128Gcm, Wan::V4);
    // Only a connected socket reports ICMP errors: at its next send or receive.
    left.socket.socket().connect("192.0.2.2:4600").unwrap();
    ping(&left, "10.2.0.1");
    for command in [
        "nft add table ip closed",
        "nft add chain ip closed in { type filter hook input priority 0 ; }",
        "nft add rule ip closed in udp dport 4600 reject with icmp type port-unreachable",
    ] {
        run(&right, command);
    }
    let is_idle = is_idle(&left, || {
        assert!(
            !left
                .netns
                .exec("ping -c 10 -i 0.05 -W 1 10.2.0.1")
                .status
                .success()
        );
    });
    assert!(is_idle, "its threads spin");
    assert!(
        counted(&left, "IcmpInDestUnreachs") >= 2,
        "nothing was refused"
    );
    run(&right, "nft delete table ip closed");
    ping(&left, "10.2.0.1");
    left.assert_nothing_dropped();
}

#[test]
fn a_full_socket_keeps_what_it_cannot_send() {
    const PACKETS: u64 = 400;
    let (left, _right) = pair(Aead::Aes128Gcm, Wan::V4);
    // EAGAIN: the socket has little room, and what is in it leaves slowly.
    setsockopt(left.socket.socket(), sockopt::SndBuf, &4608).unwrap();
    run(
        &left,
        "tc qdisc add dev wan root tbf rate 5mbit burst 20kb limit 2mb",
    );
    left.netns.within(|| {
        let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
        for _ in 0..PACKETS {
            socket.send_to(&[0; 1000], "10.2.0.1:9").unwrap();
        }
    });

    let deadline = Instant::now() + Duration::from_secs(10);
    while left.peer.counters().snapshot().tx_packets < PACKETS {
        assert!(Instant::now() < deadline, "packets are missing");
        std::thread::yield_now();
    }
    left.assert_nothing_dropped();
    run(&left, "tc qdisc del dev wan root");
    ping(&left, "10.2.0.1");
}

#[test]
fn a_full_queue_below_the_socket_drops_and_recovers() {
    let (left, _right) = pair(Aead::Aes128Gcm, Wan::V4);
    // ENOBUFS: only a socket with IP_RECVERR learns that the device's queue was full.
    setsockopt(left.socket.socket(), sockopt::Ipv4RecvErr, &true).unwrap();
    floods_and_recovers(&left, "limit 20kb");
}

/// Sends more than a slow cable takes, whose queue is bounded by `limit`.
fn floods_and_recovers(left: &Gateway, limit: &str) {
    run(
        left,
        &format!("tc qdisc add dev wan root tbf rate 5mbit burst 20kb {limit}"),
    );
    left.netns.within(|| {
        let socket = UdpSocket::bind("10.1.0.1:0").unwrap();
        for _ in 0..2000 {
            socket.send_to(&[0; 1000], "10.2.0.1:9").unwrap();
        }
    });
    let full = || {
        left.peer
            .counters()
            .snapshot()
            .dropped(DropReason::SocketFull)
    };
    let deadline = Instant::now() + Duration::from_secs(10);
    while full() == 0 {
        assert!(Instant::now() < deadline, "nothing was dropped");
        std::thread::yield_now();
    }
    run(left, "tc qdisc del dev wan root");
    ping(left, "10.2.0.1");
    let sent = left.peer.counters().snapshot().tx_packets;
    assert!(
        full() > 100 && full() + sent >= 2000,
        "{} were dropped, {sent} sent",
        full()
    );
    let is_idle = is_idle(left, || {
        assert!(
            left.netns
                .exec("ping -c 10 -i 0.05 10.2.0.1")
                .status
                .success()
        )
    });
    assert!(is_idle, "its threads spin");
}

/// True if `gateway`'s threads had little to do during `work`.
fn is_idle(gateway: &Gateway, work: impl FnOnce()) -> bool {
    let (start, before) = (Instant::now(), busy(gateway));
    work();
    busy(gateway) - before < start.elapsed() / 4
}

/// How long the threads of a gateway have run: those of this process that are in its namespace.
fn busy(gateway: &Gateway) -> Duration {
    let inode = |path: &str| fs::metadata(path).map(|data| data.ino()).ok();
    let inside = inode(&format!("/run/netns/{}", gateway.netns.name()));
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path().display().to_string();
        if inode(&format!("{task}/ns/net")) != inside {
            continue;
        }
        // A thread that has ended since is not one of the gateway's.
        let Ok(times) = fs::read_to_string(format!("{task}/schedstat")) else {
            continue;
        };
        total += Duration::from_nanos(times.split(' ').next().unwrap().parse().unwrap());
    }
    assert!(!total.is_zero(), "the gateway has threads");
    total
}

/// A counter of the kernel's in `gateway`'s namespace.
fn counted(gateway: &Gateway, name: &str) -> u64 {
    let output = gateway.netns.exec(&format!("nstat -asz {name}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_else(|| panic!("{name}: {text}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// `command` in `gateway`'s namespace, which must succeed.
fn run(gateway: &Gateway, command: &str) {
    let output = gateway.netns.exec(command);
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_devices_queue_holds_thousands_of_small_packets_and_few_large_ones() {
    const SMALL: u64 = 5000;
    let (mut left, _right) = pair(Aead::Aes128Gcm, Wan::V4);
    let netns = left.netns.name().to_owned();
    left.while_stopped(|| flood(&netns, 1, SMALL));
    let deadline = Instant::now() + Duration::from_secs(10);
    while left.peer.counters().snapshot().tx_packets < SMALL {
        assert!(Instant::now() < deadline, "small packets were dropped");
        std::thread::yield_now();
    }

    // 60 MB of packets that are as long as super-packets.
    left.netns.ip("link set rw0 mtu 65000");
    let dropped = tun_drops(&left);
    left.while_stopped(|| flood(&netns, 60_000, 1000));
    let dropped = tun_drops(&left) - dropped;
    assert!(
        (600..800).contains(&dropped),
        "{dropped} of 1000 were dropped"
    );

    left.netns.ip("link set rw0 mtu 1420");
    ping(&left, "10.2.0.1");
}

/// Sends `count` packets with `payload` bytes through the device, in namespace `netns`.
fn flood(netns: &str, payload: usize, count: u64) {
    let program = format!(
        "import socket; s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM); s.bind(('10.1.0.1',0))\n\
         for _ in range({count}): s.sendto(bytes({payload}),('10.2.0.1',9))"
    );
    let status = std::process::Command::new("ip")
        .args(["netns", "exec", netns, "python3", "-c", &program])
        .status();
    assert!(status.unwrap().success());
}

fn tun_drops(gateway: &Gateway) -> u64 {
    let shown = gateway.netns.exec("cat /proc/net/dev").stdout;
    let shown = String::from_utf8(shown).unwrap();
    let line = shown.lines().find(|line| line.contains("rw0:")).unwrap();
    let (_, numbers) = line.split_once(':').unwrap();
    numbers.split_whitespace().nth(11).unwrap().parse().unwrap()
}
