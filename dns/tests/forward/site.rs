//! [`Site`]: this server on loopback, which forwards.
//!
//! ```text
//!   127.0.0.1   a host of the site      ┐
//!   127.0.0.3   a host of another site  ┴──► 127.0.0.1, a free port ──► resolvers
//! ```

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::{Forward, ZoneName};
use ringway_dns::{Acl, Forwarder, Name, Options, Server, Zone, Zones};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// Only a broken server makes a test wait this long.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// A running server; dropped, it has ended.
pub(super) struct Site {
    runtime: Option<Runtime>,
    pub(super) address: SocketAddr,
    forwarder: Arc<Forwarder>,
    cancel: CancellationToken,
}

fn zone_name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

impl Site {
    /// Forwards the names of each suffix to its servers; an empty suffix holds every name.
    pub(super) fn forwarding(forwards: &[(&str, &[SocketAddr])]) -> Site {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let zones = Arc::new(Zones::new());
        zones.set_expected(
            &zone_name("org1.consortium.test"),
            &[zone_name("org2.consortium.test")],
        );
        let text =
            "$TTL 5\n@ SOA gw h 7 60 10 100 5\npeer0 A 10.1.0.11\nout CNAME www.corp.test.\n";
        let zone = Zone::from_text(
            text,
            Some(&Name::from_text("org1.consortium.test").unwrap()),
        )
        .unwrap();
        zones.publish_own(zone, SystemTime::now()).unwrap();
        let acl = Acl::new(["127.0.0.3/32".parse().unwrap()])
            .with_site(["127.0.0.1/32".parse().unwrap()]);
        let acl = Arc::new(ArcSwap::from_pointee(acl));
        let forwarder = Arc::<Forwarder>::default();
        let options = Options {
            forwarder: forwarder.clone(),
            ..Options::default()
        };
        let listen = ["127.0.0.1:0".parse().unwrap()];
        let server = runtime
            .block_on(Server::bind_with(&listen, zones, acl, options))
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

    /// Forwards so from now on.
    pub(super) fn forward(&self, forwards: &[(&str, &[SocketAddr])]) {
        let forward = |(suffix, servers): &(&str, &[SocketAddr])| Forward {
            suffix: (!suffix.is_empty()).then(|| suffix.parse().unwrap()),
            servers: servers.to_vec(),
        };
        let forwards: Vec<_> = forwards.iter().map(forward).collect();
        self.forwarder.set(&zone_name("consortium.test"), &forwards);
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
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// A host that asks over UDP.
pub(super) struct Host {
    socket: UdpSocket,
    site: SocketAddr,
}

/// An answer's header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) id: u16,
    pub(super) rcode: u8,
    /// Recursion is available.
    pub(super) ra: bool,
    /// The whole message.
    pub(super) message: Vec<u8>,
}

impl Host {
    pub(super) fn at(address: &str, site: &Site) -> Host {
        let socket = UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Host {
            socket,
            site: site.address,
        }
    }

    pub(super) fn ask(&self, id: u16, name: &str) {
        self.socket.send_to(&question(id, name), self.site).unwrap();
    }

    /// The next answer, to whichever question.
    pub(super) fn hear(&self) -> Reply {
        let mut bytes = [0; 4096];
        let len = self.socket.recv(&mut bytes).unwrap();
        Reply::read(&bytes[..len])
    }

    pub(super) fn asks(&self, name: &str) -> Reply {
        self.ask(1, name);
        self.hear()
    }
}

impl Reply {
    fn read(message: &[u8]) -> Reply {
        let id = u16::from_be_bytes([message[0], message[1]]);
        Reply {
            id,
            rcode: message[3] & 0xf,
            ra: message[3] & 0x80 != 0,
            message: message.into(),
        }
    }

    /// True if the message ends with the address (an A record, or the OPT record comes before it).
    pub(super) fn tells(&self, address: [u8; 4]) -> bool {
        self.message
            .windows(6)
            .any(|bytes| bytes == [&[0, 4][..], &address].concat())
    }
}

/// A question for the A records of `name`, its case kept, recursion desired.
pub(super) fn question(id: u16, name: &str) -> Vec<u8> {
    let mut message = [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]].concat();
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

/// Puts all questions on one connection at once, and ends its sending half; the answers as they come.
pub(super) fn over_tcp(site: &Site, names: &[&str], meanwhile: impl FnOnce(&Reply)) -> Vec<Reply> {
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let questions = names.iter().zip(1..).map(|(name, id)| question(id, name));
    let framed: Vec<u8> = questions
        .flat_map(|question| [&[0, question.len() as u8][..], &question].concat())
        .collect();
    stream.write_all(&framed).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut next = || {
        let mut len = [0; 2];
        stream.read_exact(&mut len).unwrap();
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer).unwrap();
        Reply::read(&answer)
    };
    let first = next();
    meanwhile(&first);
    std::iter::once(first)
        .chain(names[1..].iter().map(|_| next()))
        .collect()
}
