//! A client is served beside a thousand idle connections and a flood of queries from others.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::test_server::*;

/// Queries per second of the flood.
const FLOOD: u32 = 50_000;
/// Bursts of 10 ms that the flood consists of.
const BURSTS: u32 = 200;
/// A stub resolver repeats its query after this.
const RETRY: Duration = Duration::from_secs(1);

/// Sends the flood and returns how many queries were sent. On a slow machine it takes longer.
fn flood(to: SocketAddr) -> u32 {
    let socket = udp_from("127.0.9.1");
    let message = question(1, "no.org1.example");
    let start = Instant::now();
    let mut sent = 0;
    for burst in 1..=BURSTS {
        for _ in 0..FLOOD / 100 {
            // A full send buffer drops some.
            sent += u32::from(socket.send_to(&message, to).is_ok());
        }
        std::thread::sleep((Duration::from_millis(10) * burst).saturating_sub(start.elapsed()));
    }
    sent
}

/// Sends a query over UDP as a stub resolver does, which repeats it after a second without a
/// response. Returns how often it was sent.
fn ask(socket: &UdpSocket, id: u16, to: SocketAddr) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    for times in 1.. {
        socket
            .send_to(&question(id, "peer0.org1.example"), to)
            .unwrap();
        match socket.recv(&mut [0; 512]) {
            Ok(_) => return times,
            Err(error) => assert!(Instant::now() < deadline, "{error} for query {id}"),
        }
    }
    unreachable!("the loop ends by its deadline")
}

fn ask_over(stream: &mut TcpStream, id: u16) {
    stream
        .write_all(&framed(&question(id, "peer0.org1.example")))
        .unwrap();
    assert_eq!(read_answer(stream)[..2], id.to_be_bytes());
}

/// Both ends of a thousand connections are in this process.
fn raise_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(8192.min(hard)), hard).unwrap();
}

#[test]
fn idle_connections_and_a_flood_do_not_stop_other_clients() {
    raise_limit();
    let server = TestServer::start();
    let to = server.v4();
    let mut kept = tcp_from("127.0.0.3", to);
    let client = udp_from("127.0.0.3");
    client.set_read_timeout(Some(RETRY)).unwrap();
    let over = AtomicBool::new(false);
    let mut asked = 0u16;
    let mut times = 0;
    let idle: Vec<_> = (0..1000)
        .map(|i| {
            if i % 100 == 0 {
                ask_over(&mut kept, i);
            }
            tcp_from(&format!("127.0.1.{}", 1 + i / 20), to)
        })
        .collect();
    let sent = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let sent = flood(to);
            over.store(true, Ordering::Relaxed);
            sent
        });
        while !over.load(Ordering::Relaxed) || asked < 50 {
            times += ask(&client, asked, to);
            ask_over(&mut kept, asked);
            ask_over(&mut tcp_from("127.0.0.3", to), asked);
            asked += 1;
        }
        flooding.join().unwrap()
    });
    println!("{asked} queries were sent {times} times over UDP during a flood of {sent}");
    assert!(sent > FLOOD, "too few queries for a flood");
    assert!(
        server.counters.crowded.get() > 0,
        "{} connections did not reach the limit",
        idle.len()
    );
}
