//! [`Probe`]: tries a TCP connection through the data path, from this host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Step;

/// How long to wait for the far host.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Result of the connection attempt.
#[derive(Debug)]
pub enum Probe {
    /// Accepted after this time.
    Connected(Duration),
    /// Refused: the host is up, but nothing listens on the port.
    Refused,
    /// No answer within [`TIMEOUT`].
    Silent,
    /// The kernel, or a gateway on the way, reported an error.
    Failed(io::Error),
    /// Not attempted, with the reason.
    NotTried(String),
}

impl Probe {
    /// Connects to `to`. Sets the source address to `from` if given.
    pub fn connect(from: Option<IpAddr>, to: SocketAddr) -> Probe {
        let begun = Instant::now();

        match try_connect(from, to) {
            Ok(()) => Probe::Connected(begun.elapsed()),
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Probe::Refused,
                io::ErrorKind::TimedOut => Probe::Silent,
                _ => Probe::Failed(error),
            },
        }
    }

    /// The result as the last step of the path to `to`.
    pub fn step(&self, to: SocketAddr) -> Step {
        const NAME: &str = "connection";

        match self {
            Probe::Connected(time) => Step::good(
                NAME,
                format!(
                    "{to} accepts connections, {:.1} ms",
                    time.as_secs_f64() * 1000.0
                ),
            ),
            Probe::Refused => Step::bad(
                NAME,
                format!("{} answers, but refuses port {}", to.ip(), to.port()),
                "start the service there, or let it listen on this address",
            ),
            Probe::Silent => Step::bad(
                NAME,
                format!("{to} does not answer within {} s", TIMEOUT.as_secs()),
                format!(
                    "is {0} up, does its own firewall let it in, and does its route back lead to \
                     its gateway?",
                    to.ip()
                ),
            ),
            Probe::Failed(error) => Step::bad(NAME, format!("{to}: {error}"), ""),
            Probe::NotTried(reason) => Step::unknown(NAME, format!("not tried: {reason}"), ""),
        }
    }
}

fn try_connect(from: Option<IpAddr>, to: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(from) = from {
        socket.bind(&SockAddr::from(SocketAddr::new(from, 0)))?;
    }

    socket.connect_timeout(&SockAddr::from(to), TIMEOUT)
}
