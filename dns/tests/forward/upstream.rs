//! [`Upstream`]: a resolver that behaves as a test wants it to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::site::PATIENCE;

/// How often it looks whether it is to end.
const GLANCE: Duration = Duration::from_millis(20);

/// What is sent back over UDP for a question, in this order.
pub(super) type Behaviour = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>> + Send>;

/// Listens until it is dropped.
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    asked: Arc<AtomicUsize>,
    end: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Upstream {
    /// Behaves so over UDP; over TCP it answers every question with `10.9.9.9`.
    pub(super) fn that(mut behaves: Behaviour) -> Upstream {
        let (tcp, udp) = sockets();
        let address = udp.local_addr().unwrap();
        let (asked, end) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counts, ended, ended_too) = (asked.clone(), end.clone(), end.clone());
        let udp = std::thread::spawn(move || {
            let mut question = [0; 4096];
            while !ended.load(Ordering::Relaxed) {
                let Ok((len, from)) = udp.recv_from(&mut question) else {
                    continue;
                };
                counts.fetch_add(1, Ordering::Relaxed);
                for response in behaves(&question[..len]) {
                    udp.send_to(&response, from).unwrap();
                }
            }
        });
        let tcp = std::thread::spawn(move || serve_tcp(&tcp, &ended_too));
        Upstream {
            address,
            asked,
            end,
            threads: vec![udp, tcp],
        }
    }

    /// Answers every question with this address.
    pub(super) fn telling(address: [u8; 4]) -> Upstream {
        Upstream::that(Box::new(move |question| vec![answer(question, address)]))
    }

    /// Never answers.
    pub(super) fn dead() -> Upstream {
        Upstream::that(Box::new(|_| Vec::new()))
    }

    /// Answers the first question only when told to, and the others behind it.
    pub(super) fn held(address: [u8; 4]) -> (Upstream, mpsc::Sender<()>) {
        let (go, gone) = mpsc::channel();
        let behaves = move |question: &[u8]| {
            let _ = gone.recv_timeout(PATIENCE);
            vec![answer(question, address)]
        };
        (Upstream::that(Box::new(behaves)), go)
    }

    /// Questions that came over UDP.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| _ = thread.join());
    }
}

fn sockets() -> (TcpListener, UdpSocket) {
    // A port that is free on TCP may be taken on UDP.
    let (tcp, udp) = std::iter::repeat_with(|| TcpListener::bind("127.0.0.1:0").unwrap())
        .find_map(|tcp| Some((UdpSocket::bind(tcp.local_addr().ok()?).ok()?, tcp)))
        .map(|(udp, tcp)| (tcp, udp))
        .unwrap();
    tcp.set_nonblocking(true).unwrap();
    udp.set_read_timeout(Some(GLANCE)).unwrap();
    (tcp, udp)
}

fn serve_tcp(tcp: &TcpListener, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        let Ok((mut stream, _)) = tcp.accept() else {
            std::thread::sleep(GLANCE);
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut question = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut question).unwrap();
        let answer = answer(&question, [10, 9, 9, 9]);
        stream
            .write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat())
            .unwrap();
    }
}

/// A response to `message` with one A record, kept for a minute.
pub(super) fn answer(message: &[u8], address: [u8; 4]) -> Vec<u8> {
    let record = [&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4][..], &address].concat();
    [head(message, 0, 1), record].concat()
}

/// A response of this code without records.
pub(super) fn code(message: &[u8], rcode: u8) -> Vec<u8> {
    head(message, rcode, 0)
}

/// The same, cut off.
pub(super) fn truncated(message: &[u8]) -> Vec<u8> {
    let mut response = head(message, 0, 0);
    response[2] |= 2;
    response
}

fn head(message: &[u8], rcode: u8, answers: u8) -> Vec<u8> {
    let name = message[12..].iter().position(|byte| *byte == 0).unwrap();
    let question = &message[12..12 + name + 5];
    [
        &message[..2],
        &[0x81, 0x80 | rcode, 0, 1, 0, answers, 0, 0, 0, 0],
        question,
    ]
    .concat()
}
