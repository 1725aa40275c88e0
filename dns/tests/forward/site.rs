//! [`Site`]: our server on loopback, forwarding to the resolvers of a test; [`Host`]: a client.
//!
//! ```text
//!   127.0.0.1   a host of this site     ┐
//!   127.0.0.3   a host of another site  ┴──► 127.0.0.1, a free port ──► resolvers
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::{Forward, ZoneName};
use ringway_dns::{Acl, Forwarder, Name, Options, Server, Zone, Zones};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Long enough for any working server, on a slow machine too.
pub(super) const TIMEOUT: Duration = Duration::from_secs(20);

/// A running server. Its drop stops it.
pub(super) struct Site {
    runtime: Option<Runtime>,
    pub(super) address: SocketAddr,
    forwarder: Arc<Forwarder>,
    cancel: CancellationToken,
}

fn zone_name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

/// Our zone, `org1.consortium.test`, and a member's that was never received.
fn zones() -> Arc<Zones> {
    let zones = Zones::new();
    zones.set_expected(
        &zone_name("org1.consortium.test"),
        &[zone_name("org2.consortium.test")],
    );

    let apex = Name::from_text("org1.consortium.test").unwrap();
    let text = "\
        $TTL 5\n\
        @ SOA gw h 7 60 10 100 5\n\
        peer0 A 10.1.0.11\n\
        out CNAME www.corp.test.\n";
    let zone = Zone::from_text(text, Some(&apex)).unwrap();
    zones.publish(zone, SystemTime::now()).unwrap();
    Arc::new(zones)
}

fn acl() -> Arc<ArcSwap<Acl>> {
    let mesh = ["127.0.0.3/32".parse().unwrap()];
    let site = ["127.0.0.1/32", "127.0.0.2/32"].map(|host| host.parse().unwrap());
    Arc::new(ArcSwap::from_pointee(Acl::new(mesh).with_site(site)))
}

impl Site {
    /// Forwards names below each suffix to its resolvers; the empty suffix is the root.
    pub(super) fn forwarding(forwards: &[(&str, &[SocketAddr])]) -> Site {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();

        let forwarder = Arc::<Forwarder>::default();
        let options = Options {
            forwarder: forwarder.clone(),
            ..Options::default()
        };
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let server = runtime
            .block_on(Server::bind_with(&listen, zones(), acl(), options))
            .unwrap();
        let address = server.addresses()[0];
        let cancel = CancellationToken::new();
        runtime.spawn(server.run(cancel.clone()));

        let site = Site {
            runtime: Some(runtime),
            address,
            forwarder,
            cancel,
        };
        site.forward(forwards);
        site
    }

    /// Replaces the resolvers.
    pub(super) fn forward(&self, forwards: &[(&str, &[SocketAddr])]) {
        let forward = |(suffix, servers): &(&str, &[SocketAddr])| Forward {
            suffix: (!suffix.is_empty()).then(|| suffix.parse().unwrap()),
            servers: servers.to_vec(),
            private_answers: !suffix.is_empty(),
        };
        let forwards: Vec<_> = forwards.iter().map(forward).collect();
        self.forwarder
            .set(&[zone_name("consortium.test")], &forwards);
    }

    /// The output of `kdig` for `question`.
    pub(super) fn kdig(&self, question: &str) -> String {
        let output = Command::new("kdig")
            .args(["@127.0.0.1", "-p", &self.address.port().to_string()])
            .args(question.split(' '))
            .output()
            .unwrap_or_else(|error| panic!("kdig: {error}; install knot-dnsutils"));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(TIMEOUT);
        }
    }
}

/// A client that sends its queries over UDP, from one socket.
pub(super) struct Host {
    socket: UdpSocket,
    site: SocketAddr,
}

/// A response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) id: u16,
    pub(super) rcode: u8,
    /// The RA bit.
    pub(super) recursion_available: bool,
    /// The whole message, header included.
    pub(super) message: Vec<u8>,
}

impl Host {
    pub(super) fn at(address: &str, site: &Site) -> Host {
        let socket = UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        Host {
            socket,
            site: site.address,
        }
    }

    /// Sends a query for the A records of `name`.
    pub(super) fn send(&self, id: u16, name: &str) {
        self.socket.send_to(&query(id, name), self.site).unwrap();
    }

    /// The next response, to any of the queries.
    pub(super) fn receive(&self) -> Reply {
        let mut bytes = [0; 4096];
        let len = self.socket.recv(&mut bytes).unwrap();
        Reply::parse(&bytes[..len])
    }

    /// Sends a query and waits for its response.
    pub(super) fn query(&self, name: &str) -> Reply {
        self.send(1, name);
        self.receive()
    }
}

impl Reply {
    fn parse(message: &[u8]) -> Reply {
        Reply {
            id: u16::from_be_bytes([message[0], message[1]]),
            rcode: message[3] & 0xf,
            recursion_available: message[3] & 0x80 != 0,
            message: message.into(),
        }
    }

    /// True if a record's data is this address.
    pub(super) fn contains(&self, address: [u8; 4]) -> bool {
        // Before the data stands its length.
        let data = [&[0, 4][..], &address].concat();
        self.message.windows(6).any(|bytes| bytes == data)
    }
}

/// A query for the A records of `name`, in its case, with the RD bit.
fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Sends queries for all `names`, with identifiers from 1, over one connection and closes its
/// sending half. Returns the responses in the order of arrival. `after_first` runs between the
/// first response and the second.
pub(super) fn query_over_tcp(
    site: &Site,
    names: &[&str],
    after_first: impl FnOnce(&Reply),
) -> Vec<Reply> {
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    for (id, name) in (1..).zip(names) {
        let query = query(id, name);
        stream.write_all(&[0, query.len() as u8]).unwrap();
        stream.write_all(&query).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();

    let first = receive_over_tcp(&mut stream);
    after_first(&first);
    let mut replies = vec![first];
    while replies.len() < names.len() {
        replies.push(receive_over_tcp(&mut stream));
    }
    replies
}

fn receive_over_tcp(stream: &mut TcpStream) -> Reply {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).unwrap();
    Reply::parse(&message)
}
