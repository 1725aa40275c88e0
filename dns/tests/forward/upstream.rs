//! [`Upstream`]: a resolver with the behaviour that a test needs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::site::TIMEOUT;

/// How often the threads check whether they must end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// From a query over UDP to the messages that are sent back, in this order.
pub(super) type Behaviour = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// A running resolver. Its drop stops it.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    queries: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// Behaves like this over UDP. Over TCP it answers every query with `192.0.2.9`.
    pub(super) fn new(behaviour: Behaviour) -> Upstream {
        let (udp, tcp) = bind();
        let address = udp.local_addr().unwrap();
        let queries = Arc::<AtomicUsize>::default();
        let stop = Arc::<AtomicBool>::default();

        let udp_thread = std::thread::spawn({
            let queries = queries.clone();
            let stop = stop.clone();
            move || serve_udp(&udp, behaviour, &queries, &stop)
        });
        let tcp_thread = std::thread::spawn({
            let stop = stop.clone();
            move || serve_tcp(&tcp, &stop)
        });
        Upstream {
            address,
            queries,
            stop,
            threads: vec![udp_thread, tcp_thread],
        }
    }

    /// Answers every query with this address.
    pub(super) fn answering(address: [u8; 4]) -> Upstream {
        Upstream::new(Box::new(move |query| vec![answer(query, address)]))
    }

    /// Never answers.
    pub(super) fn silent() -> Upstream {
        Upstream::new(Box::new(|_| Vec::new()))
    }

    /// Answers one query for each message on the channel.
    pub(super) fn paused(address: [u8; 4]) -> (Upstream, mpsc::Sender<()>) {
        let (resume, resumed) = mpsc::channel();
        let behaviour = move |query: &[u8]| {
            let _ = resumed.recv_timeout(TIMEOUT);
            vec![answer(query, address)]
        };
        (Upstream::new(Box::new(behaviour)), resume)
    }

    /// Number of queries received over UDP.
    pub(super) fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic in it was printed; this may be a drop during another one.
            let _ = thread.join();
        }
    }
}

/// Sockets at the same port. One that is free on TCP may be taken on UDP, so this tries several.
fn bind() -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            tcp.set_nonblocking(true).unwrap();
            udp.set_read_timeout(Some(POLL_INTERVAL)).unwrap();
            return (udp, tcp);
        }
    }
}

fn serve_udp(udp: &UdpSocket, mut behaviour: Behaviour, queries: &AtomicUsize, stop: &AtomicBool) {
    let mut query = [0; 4096];
    while !stop.load(Ordering::Relaxed) {
        let Ok((len, from)) = udp.recv_from(&mut query) else {
            continue;
        };
        queries.fetch_add(1, Ordering::Relaxed);
        for response in behaviour(&query[..len]) {
            udp.send_to(&response, from).unwrap();
        }
    }
}

/// Serves one query of each connection.
fn serve_tcp(tcp: &TcpListener, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = tcp.accept() else {
            std::thread::sleep(POLL_INTERVAL);
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();

        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut query = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut query).unwrap();

        let answer = answer(&query, [192, 0, 2, 9]);
        let len = (answer.len() as u16).to_be_bytes();
        stream.write_all(&[&len[..], &answer].concat()).unwrap();
    }
}

/// A response to `query` with one A record, whose TTL is 60.
pub(super) fn answer(query: &[u8], address: [u8; 4]) -> Vec<u8> {
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat();
    [header_and_question(query, 0, 1), record].concat()
}

/// A response to `query` with this response code and no records.
pub(super) fn error(query: &[u8], rcode: u8) -> Vec<u8> {
    header_and_question(query, rcode, 0)
}

/// A response to `query` with the TC bit and no records.
pub(super) fn truncated(query: &[u8]) -> Vec<u8> {
    let mut response = header_and_question(query, 0, 0);
    response[2] |= 2;
    response
}

fn header_and_question(query: &[u8], rcode: u8, answers: u8) -> Vec<u8> {
    let name_len = query[12..].iter().position(|octet| *octet == 0).unwrap();
    // The root label, type and class follow.
    let question = &query[12..12 + name_len + 5];
    [
        &query[..2],
        &[0x81, 0x80 | rcode, 0, 1, 0, answers, 0, 0, 0, 0],
        question,
    ]
    .concat()
}
