//! [`Probe`]: tries a TCP connection through the data path, from this host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Step;

/// How long the far host may take. A router asks three times, a second each, who has an address,
/// before it says that nobody has (Linux, `mcast_solicit`, `retrans_time_ms`).
const TIMEOUT: Duration = Duration::from_secs(5);

/// Result of the connection attempt.
#[derive(Debug)]
pub enum Probe {
    /// Accepted after this time.
    Connected(Duration),
    /// Refused: the host is up, but nothing listens on the port.
    Refused,
    /// No answer within `TIMEOUT`.
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

    /// The last step of a way to `to`. `beyond` is where to look further, if there is a gateway
    /// between here and the host.
    pub fn step(&self, to: SocketAddr, beyond: Option<&str>) -> Step {
        const NAME: &str = "connection";
        let host = to.ip();

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
                format!("{host} answers, but refuses port {}", to.port()),
                "start the service there, or let it listen on this address",
            ),
            Probe::Silent => Step::bad(
                NAME,
                format!("{to} does not answer within {} s", TIMEOUT.as_secs()),
                match beyond {
                    Some(there) => format!(
                        "{there}, which sees the host firewall there and the host itself; its \
                         route back must lead to its gateway"
                    ),
                    None => format!("is {host} up, and does its own firewall let it in?"),
                },
            ),
            Probe::Failed(error) => Step::bad(
                NAME,
                format!("{to}: {error}"),
                match beyond {
                    Some(there) => format!(
                        "a firewall on the way rejects it, or no host has that address: {there}"
                    ),
                    None => format!("is {host} up? Its own firewall may reject it, too"),
                },
            ),
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
