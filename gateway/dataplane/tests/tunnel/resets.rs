//! Real connections of a real kernel are reset in an outage, whatever is known about them.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ringway_config::Tunnel;
use ringway_dataplane::*;
use ringway_filter::{FlowProtocol, FlowRecord};

use super::pair::{self, Gateway, Wan};

/// What the server sends.
const MESSAGE: [u8; 7] = *b"a block";

/// How a client's acknowledgement is known when the outage begins.
#[derive(Debug, Clone, Copy)]
enum Known {
    Exact,
    /// The connection was opened before this gateway started.
    Unknown,
    /// Later acknowledgements have left by another gateway. A reset there is dropped.
    Less,
    /// A reset there lies within the window: the host answers with a challenge ACK.
    More,
}

#[test]
fn a_silent_client_is_reset_whatever_is_known_of_its_acknowledgements() {
    for address in ["10.2.0.1:7050", "[fd00:2::1]:7050"] {
        for known in [Known::Exact, Known::Unknown, Known::Less, Known::More] {
            let (mut left, right) = pair::pair(Aead::Aes128Gcm, Wan::V4);
            let mut open = Open::new(&left, &right, address.parse().unwrap());
            let acknowledged = open.receive(&left);
            open.remember(&mut left, known, acknowledged);

            let tunnel = Tunnel::default();
            left.cut(Outage {
                since: Instant::now() - tunnel.reset_after,
                cause: OutageCause::Lost,
            });
            assert_eq!(
                open.end(),
                ErrorKind::ConnectionReset,
                "{address}, {known:?}"
            );
        }
    }
}

/// A connection from the left host to the right one, whose client never sends.
struct Open {
    client: TcpStream,
    server: TcpStream,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Open {
    fn new(left: &Gateway, right: &Gateway, remote: SocketAddr) -> Open {
        let listening = right.netns.within(move || TcpListener::bind(remote));
        let connected = left
            .netns
            .within(move || TcpStream::connect_timeout(&remote, Duration::from_secs(5)));
        let client = connected.unwrap();
        let (server, _) = listening.unwrap().accept().unwrap();
        let timeout = Duration::from_secs(10);
        client.set_read_timeout(Some(timeout)).unwrap();

        Open {
            local: client.local_addr().unwrap(),
            remote,
            client,
            server,
        }
    }

    /// Receives a message; returns what the client has acknowledged then.
    fn receive(&mut self, left: &Gateway) -> u32 {
        let acknowledged = || {
            let filter = &left.shared.filter;
            let flow = filter.tcp_flow(self.local, self.remote, Instant::now());
            flow.and_then(|flow| flow.ack)
        };
        // The server has accepted, so that the client's first one has passed.
        let first = acknowledged().unwrap();
        self.server.write_all(&MESSAGE).unwrap();
        self.client.read_exact(&mut [0; MESSAGE.len()]).unwrap();

        let last = first.wrapping_add(MESSAGE.len() as u32);
        let deadline = Instant::now() + Duration::from_secs(10);
        while acknowledged() != Some(last) {
            assert!(Instant::now() < deadline, "no acknowledgement is seen");
            std::thread::yield_now();
        }
        last
    }

    /// From now on the gateway knows no more of the connection than `known`.
    fn remember(&self, left: &mut Gateway, known: Known, acknowledged: u32) {
        let now = Instant::now();
        let filter = harness::filter(now);
        let record = FlowRecord {
            protocol: FlowProtocol::Tcp,
            local: self.local,
            remote: self.remote,
            ack: match known {
                Known::Exact => Some(acknowledged),
                Known::Unknown => None,
                Known::Less => Some(acknowledged.wrapping_sub(3)),
                Known::More => Some(acknowledged.wrapping_add(100)),
            },
            idle: 0,
        };
        let tables = left.shared.snapshot.load_full();
        assert!(filter.import(tables.rules().unwrap(), &record, now));

        left.shared.filter = filter;
        left.while_stopped(|| {});
    }

    /// How the client's next read ends.
    fn end(&mut self) -> ErrorKind {
        self.client.read(&mut [0; 1]).unwrap_err().kind()
    }
}
