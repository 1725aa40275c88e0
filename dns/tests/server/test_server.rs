//! A running server, and clients over UDP and TCP.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::ZoneName;
use ringway_dns::{Acl, Counters, Name, Options, Server, Zone, Zones};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// How long a test waits for a server that is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A server that runs until it is dropped.
pub(crate) struct TestServer {
    runtime: Option<Runtime>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) zones: Arc<Zones>,
    cancel: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

pub(crate) fn zone_name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

pub(crate) fn org1() -> Zone {
    let many: String = (0..200).map(|i| format!("many A 10.1.1.{i}\n")).collect();
    let text = format!(
        "$TTL 5\n@ SOA gw hostmaster 7 60 10 100 5\n@ NS gw\ngw A 10.1.0.1\n\
         peer0 A 10.1.0.11\npeer0 AAAA fd00:1::11\nca CNAME peer0\n*.any A 10.1.0.30\n{many}"
    );
    Zone::from_text(&text, Some(&Name::from_text("org1.example").unwrap())).unwrap()
}

impl TestServer {
    pub(crate) fn start() -> TestServer {
        TestServer::start_with(Options::default())
    }

    pub(crate) fn start_with(options: Options) -> TestServer {
        let admitted = [
            "127.0.0.1/32",
            "127.0.0.3/32",
            "127.0.1.0/24",
            "127.0.9.1/32",
            "::1/128",
        ];

        TestServer::start_for(
            Acl::new(admitted.map(|prefix| prefix.parse().unwrap())),
            options,
        )
    }

    /// A server that answers the clients of `acl`.
    pub(crate) fn start_for(acl: Acl, options: Options) -> TestServer {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let zones = Arc::new(Zones::new());
        zones.set_expected(&zone_name("org1.example"), &[zone_name("org2.example")]);
        zones.publish(org1(), SystemTime::now()).unwrap();
        let acl = Arc::new(ArcSwap::from_pointee(acl));
        let listen = ["127.0.0.1:0", "[::1]:0"].map(|address| address.parse().unwrap());
        let server = runtime
            .block_on(Server::bind_with(&listen, zones.clone(), acl, options))
            .unwrap();
        let addresses = server.addresses();
        let counters = server.counters();
        let cancel = CancellationToken::new();
        let task = Some(runtime.spawn(server.run(cancel.clone())));
        TestServer {
            runtime: Some(runtime),
            addresses,
            counters,
            zones,
            cancel,
            task,
        }
    }

    pub(crate) fn v4(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The output of `dig` or `kdig` for a question to this server at `at`.
    pub(crate) fn run(&self, tool: &str, at: SocketAddr, question: &str) -> String {
        let output = Command::new(tool)
            .arg(format!("@{}", at.ip()))
            .args(["-p", &at.port().to_string()])
            .args(question.split(' '))
            .output()
            .unwrap_or_else(|error| {
                panic!("{tool}: {error}; install bind9-dnsutils and knot-dnsutils")
            });
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{tool} {question}: {text}");
        text
    }

    /// Drops the future of the running server, without cancelling it.
    pub(crate) fn drop_running(&mut self) {
        if let (Some(runtime), Some(task)) = (&self.runtime, self.task.take()) {
            task.abort();
            runtime.block_on(task).unwrap_err();
        }
    }

    pub(crate) fn shut_down(&mut self) {
        self.cancel.cancel();
        if let (Some(runtime), Some(task)) = (&self.runtime, self.task.take()) {
            runtime
                .block_on(async { tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap() });
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.cancel.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(PATIENCE);
        }
    }
}

/// A query for the A records of `name`.
pub(crate) fn question(id: u16, name: &str) -> Vec<u8> {
    let name = Name::from_text(name).unwrap();
    let mut message = [
        &id.to_be_bytes()[..],
        &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        name.as_wire(),
    ]
    .concat();
    message.extend([0, 1, 0, 1]);
    message
}

pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes()[..], message].concat()
}

pub(crate) fn udp_from(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address.parse::<IpAddr>().unwrap(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next response.
pub(crate) fn next(socket: &UdpSocket) -> Vec<u8> {
    let mut answer = [0; 2048];
    let len = socket.recv(&mut answer).unwrap();
    assert!(len >= 12 && answer[2] & 0x80 != 0);
    answer[..len].to_vec()
}

/// The ID of the next response.
pub(crate) fn next_id(socket: &UdpSocket) -> u16 {
    let answer = next(socket);
    u16::from_be_bytes([answer[0], answer[1]])
}

pub(crate) fn tcp_from(address: &str, to: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(address.parse().unwrap(), 0).into())
        .unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn read_answer(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

pub(crate) fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(len) => len == 0,
        Err(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
        ),
    }
}
