//! Others are served whatever one does: a thousand connections that only hold on, and a flood of questions.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::running::*;

/// The flood: so many questions a second, in so many bursts of a hundredth of a second each.
const FLOOD: u32 = 50_000;
const BURSTS: u32 = 200;
/// A stub resolver asks again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// Sends the flood; gives how many went out. A machine that is too slow for it takes longer, but not for ever.
fn flood(to: SocketAddr) -> u32 {
    let socket = udp_from("127.0.9.1");
    let message = question(1, "no.org1.example");
    let (start, mut sent) = (Instant::now(), 0);
    for burst in 1..=BURSTS {
        for _ in 0..FLOOD / 100 {
            // What the own buffer does not take is no flood.
            sent += u32::from(socket.send_to(&message, to).is_ok());
        }
        std::thread::sleep((Duration::from_millis(10) * burst).saturating_sub(start.elapsed()));
    }
    sent
}

/// Asks over UDP as a stub resolver does: again after a second, if there is no answer. Gives how often.
fn ask(socket: &UdpSocket, id: u16, to: SocketAddr) -> u32 {
    let deadline = Instant::now() + PATIENCE;
    for times in 1.. {
        socket
            .send_to(&question(id, "peer0.org1.example"), to)
            .unwrap();
        match socket.recv(&mut [0; 512]) {
            Ok(_) => return times,
            Err(error) => assert!(Instant::now() < deadline, "{error} for question {id}"),
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

/// A thousand connections have two thousand ends, all of them in this process.
fn raise_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(8192.min(hard)), hard).unwrap();
}

#[test]
fn a_thousand_idle_connections_and_a_flood_keep_nobody_else_from_being_served() {
    raise_limit();
    let server = Running::start();
    let to = server.v4();
    let mut kept = tcp_from("127.0.0.3", to);
    let asker = udp_from("127.0.0.3");
    asker.set_read_timeout(Some(AGAIN)).unwrap();
    let (over, mut asked, mut times) = (AtomicBool::new(false), 0u16, 0);
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
            times += ask(&asker, asked, to);
            ask_over(&mut kept, asked);
            ask_over(&mut tcp_from("127.0.0.3", to), asked);
            asked += 1;
        }
        flooding.join().unwrap()
    });
    println!("{asked} questions were asked {times} times over UDP while {sent} others came");
    assert!(sent > FLOOD, "it was a flood");
    assert!(
        server.counters.crowded.get() > 0,
        "{} connections were more than are held",
        idle.len()
    );
}
