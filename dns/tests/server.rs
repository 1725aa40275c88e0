//! The server on loopback, asked by `dig` (BIND) and `kdig` (Knot): everything a resolver would do, and
//! what nobody should.
//!
//! ```text
//!   127.0.0.1, ::1, 127.0.0.3   in the ACL     ┐
//!   127.0.0.2                   not in the ACL ┴──► 127.0.0.1 and ::1, a free port
//! ```

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::ZoneName;
use ringway_dns::{Acl, Counters, Name, Server, Zone, Zones};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Only a broken server makes a test wait this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; dropped, it has ended.
struct Running {
    runtime: Option<Runtime>,
    addresses: Vec<SocketAddr>,
    counters: Arc<Counters>,
    zones: Arc<Zones>,
    cancel: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

fn zone_name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

fn org1() -> Zone {
    let many: String = (0..200).map(|i| format!("many A 10.1.1.{i}\n")).collect();
    let text = format!(
        "$TTL 5\n@ SOA gw hostmaster 7 60 10 100 5\n@ NS gw\ngw A 10.1.0.1\n\
         peer0 A 10.1.0.11\npeer0 AAAA fd00:1::11\nca CNAME peer0\n*.any A 10.1.0.30\n{many}"
    );
    Zone::from_text(&text, Some(&Name::from_text("org1.example").unwrap())).unwrap()
}

impl Running {
    fn start() -> Running {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let zones = Arc::new(Zones::new());
        zones.set_expected(&zone_name("org1.example"), &[zone_name("org2.example")]);
        zones.publish_own(org1(), SystemTime::now()).unwrap();
        let admitted = ["127.0.0.1/32", "127.0.0.3/32", "::1/128"].map(|prefix| prefix.parse().unwrap());
        let acl = Arc::new(ArcSwap::from_pointee(Acl::new(admitted)));
        let listen = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap());
        let server = runtime.block_on(Server::bind(&listen, zones.clone(), acl)).unwrap();
        let (addresses, counters) = (server.addresses(), server.counters());
        let cancel = CancellationToken::new();
        let task = Some(runtime.spawn(server.run(cancel.clone())));
        Running { runtime: Some(runtime), addresses, counters, zones, cancel, task }
    }

    fn v4(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The output of `dig` or `kdig` about this server's address `at`.
    fn run(&self, tool: &str, at: SocketAddr, question: &str) -> String {
        let output = Command::new(tool)
            .arg(format!("@{}", at.ip()))
            .args(["-p", &at.port().to_string()])
            .args(question.split(' '))
            .output()
            .unwrap_or_else(|error| panic!("{tool}: {error}; install bind9-dnsutils and knot-dnsutils"));
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{tool} {question}: {text}");
        text
    }

    fn end(&mut self) {
        self.cancel.cancel();
        if let (Some(runtime), Some(task)) = (&self.runtime, self.task.take()) {
            runtime.block_on(async { tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap() });
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// A question for the A records of `name`, with this id.
fn question(id: u16, name: &str) -> Vec<u8> {
    let name = Name::from_text(name).unwrap();
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], name.as_wire()].concat();
    message.extend([0, 1, 0, 1]);
    message
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

fn udp_from(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The id of the next answer.
fn next_id(socket: &UdpSocket) -> u16 {
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).unwrap();
    assert!(len > 12 && answer[2] & 0x80 != 0);
    u16::from_be_bytes([answer[0], answer[1]])
}

fn tcp_from(address: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(address.parse().unwrap(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(len) => len == 0,
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    }
}

#[test]
fn dig_and_kdig_get_the_same_answers_over_udp_and_tcp_and_both_families() {
    let server = Running::start();
    for at in server.addresses.clone() {
        for tool in ["dig", "kdig"] {
            for transport in ["+notcp", "+tcp"] {
                let short = |question: &str| server.run(tool, at, &format!("{question} +short {transport}"));
                assert_eq!(short("peer0.org1.example A"), "10.1.0.11\n");
                assert_eq!(short("peer0.org1.example AAAA"), "fd00:1::11\n");
                assert_eq!(short("ca.org1.example A"), "peer0.org1.example.\n10.1.0.11\n");
                assert_eq!(short("x.any.org1.example A"), "10.1.0.30\n");
                let soa = "gw.org1.example. hostmaster.org1.example. 7 60 10 100 5\n";
                assert_eq!(short("org1.example SOA"), soa);
            }
        }
    }
    assert_eq!((server.counters.udp.get(), server.counters.tcp.get()), (20, 20));
    assert_eq!(server.counters.answered(0), 40);
}

#[test]
fn codes_tell_a_missing_name_from_a_missing_zone_and_a_strange_one() {
    let server = Running::start();
    for (name, code) in
        [("no.org1.example", "NXDOMAIN"), ("a.org2.example", "SERVFAIL"), ("example.com", "REFUSED")]
    {
        let text = server.run("dig", server.v4(), &format!("{name} A"));
        assert!(text.contains(&format!("status: {code}")), "{text}");
    }
    let text = server.run("dig", server.v4(), "no.org1.example A");
    assert!(text.contains("flags: qr aa rd;"), "{text}");
    assert!(text.contains("org1.example.\t\t5\tIN\tSOA"), "{text}");
}

#[test]
fn an_answer_too_large_for_udp_is_asked_for_again_over_tcp() {
    let server = Running::start();
    let cut = server.run("dig", server.v4(), "many.org1.example A +ignore");
    assert!(cut.contains("flags: qr aa tc rd;") && cut.contains("ANSWER: 0"), "{cut}");
    for tool in ["dig", "kdig"] {
        let whole = server.run(tool, server.v4(), "many.org1.example A +short");
        assert_eq!(whole.lines().filter(|line| line.starts_with("10.1.1.")).count(), 200, "{tool}: {whole}");
    }
}

#[test]
fn a_changed_zone_is_answered_at_once() {
    let server = Running::start();
    let zone = org1().with_serial(8);
    server.zones.publish_own(zone, SystemTime::now()).unwrap();
    let soa = server.run("kdig", server.v4(), "org1.example SOA +short");
    assert!(soa.contains(" 8 60 10 100 5"), "{soa}");
}

#[test]
fn a_response_is_never_answered() {
    let server = Running::start();
    let asker = udp_from("127.0.0.1");
    let mut response = question(1, "peer0.org1.example");
    response[2] |= 0x80;
    asker.send_to(&response, server.v4()).unwrap();
    asker.send_to(&response[..11], server.v4()).unwrap();
    asker.send_to(&question(2, "peer0.org1.example"), server.v4()).unwrap();
    assert_eq!(next_id(&asker), 2, "the socket is served in order: the first two got nothing");
    assert_eq!(server.counters.silent.get(), 2);
}

#[test]
fn whoever_is_not_in_the_acl_gets_silence() {
    let server = Running::start();
    let (stranger, friend) = (udp_from("127.0.0.2"), udp_from("127.0.0.1"));
    stranger.send_to(&question(1, "peer0.org1.example"), server.v4()).unwrap();
    friend.send_to(&question(2, "peer0.org1.example"), server.v4()).unwrap();
    assert_eq!(next_id(&friend), 2);
    stranger.set_nonblocking(true).unwrap();
    let nothing = stranger.recv(&mut [0; 512]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock, "served in order, so it would be here by now");
    assert!(is_closed(&mut tcp_from("127.0.0.2", server.v4())));
    assert_eq!(server.counters.foreign.get(), 2);
}

#[test]
fn questions_in_one_segment_and_in_single_bytes_are_answered_in_order() {
    let server = Running::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream.set_nodelay(true).unwrap();
    let questions: Vec<u8> = (0..50).flat_map(|id| framed(&question(id, "many.org1.example"))).collect();
    stream.write_all(&questions).unwrap();
    for byte in framed(&question(50, "peer0.org1.example")) {
        stream.write_all(&[byte]).unwrap();
    }
    for id in 0..=50u16 {
        assert_eq!(read_answer(&mut stream)[..2], id.to_be_bytes());
    }
}

#[test]
fn one_address_cannot_keep_the_others_from_being_served() {
    let server = Running::start();
    let mut greedy: Vec<_> = (0..100).map(|_| tcp_from("127.0.0.1", server.v4())).collect();
    let mut other = tcp_from("127.0.0.3", server.v4());
    other.write_all(&framed(&question(9, "peer0.org1.example"))).unwrap();
    assert_eq!(read_answer(&mut other)[..2], 9u16.to_be_bytes());
    assert!(is_closed(greedy.last_mut().unwrap()), "the connections above the cap are closed at once");
    assert_eq!(server.counters.crowded.get(), 68);
}

#[test]
fn the_end_closes_every_connection_and_frees_the_port() {
    let mut server = Running::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream.write_all(&framed(&question(1, "peer0.org1.example"))).unwrap();
    read_answer(&mut stream);
    server.end();
    assert!(is_closed(&mut stream));
    UdpSocket::bind(server.v4()).unwrap();
}
