//! [`Probe`]: tries a TCP connection through the data path, from this host.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{Step, Verdict};
use crate::admin::rules::PeerVerdict;

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
    NotTried(NotTried),
}

/// Why no connection is attempted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotTried {
    /// `--no-probe`.
    #[error("--no-probe")]
    NotWanted,
    /// It is about another protocol.
    #[error("only TCP can be tried from here")]
    NotTcp,
    /// The connection would come from no address of the site.
    #[error("this host has no address in the site")]
    NoAddressInSite,
    /// The far end's rules let the host in that is meant, but not this one.
    #[error("the far end lets {meant} in, but not this host ({here})")]
    NotLetIn {
        /// The host that is meant.
        meant: IpAddr,
        /// The address of this host.
        here: IpAddr,
    },
    /// Something stops this host's own packets, which says nothing of the way.
    #[error("{0}")]
    StoppedHere(String),
}

impl NotTried {
    /// The address that is tried from in place of `meant`. `here` is this host's address in the
    /// site; `theirs` says what the far end's rules say about another address.
    pub fn or_from<E>(
        meant: IpAddr,
        is_ours: bool,
        here: Option<IpAddr>,
        theirs: impl FnOnce(IpAddr) -> Result<PeerVerdict, E>,
    ) -> Result<Result<IpAddr, NotTried>, E> {
        // The rules about it are known already.
        if is_ours {
            return Ok(Ok(meant));
        }
        let Some(here) = here else {
            return Ok(Err(NotTried::NoAddressInSite));
        };

        Ok(match theirs(here)? {
            PeerVerdict::Denied => Err(NotTried::NotLetIn { meant, here }),
            _ => Ok(here),
        })
    }

    fn verdict(&self) -> Verdict {
        match self {
            NotTried::NotWanted => Verdict::NotWanted,
            NotTried::NotTcp => Verdict::NotTcp,
            NotTried::NoAddressInSite => Verdict::NoAddressInSite,
            NotTried::NotLetIn { .. } => Verdict::NotLetIn,
            NotTried::StoppedHere(_) => Verdict::StoppedHere,
        }
    }
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

    /// The last step of a way to `to`, a WireGuard client that has been silent: while it is away, a
    /// gateway answers in its place.
    pub fn step_to_quiet(&self, to: SocketAddr) -> Step {
        match self {
            Probe::Connected(_) | Probe::NotTried(_) => self.step(to, None),
            Probe::Refused | Probe::Silent | Probe::Failed(_) => {
                let text = format!("{to} is not reached: the client has not answered");
                Step::new(Verdict::NotAttached, text)
            }
        }
    }

    /// The last step of a way to `to`. `beyond` is where to look further, if there is a gateway
    /// between here and the host.
    pub fn step(&self, to: SocketAddr, beyond: Option<&str>) -> Step {
        let host = to.ip();

        match self {
            Probe::Connected(time) => {
                let ms = time.as_secs_f64() * 1000.0;
                let text = format!("{to} accepts connections, {ms:.1} ms");
                Step::new(Verdict::Connected, text)
            }
            Probe::Refused => match beyond {
                // A gateway refuses on behalf of an attached node that is down.
                Some(there) => Step::new(Verdict::Refused, format!("{to} is refused")).with(format!(
                    "start the service there, or let it listen on this address; if {host} is an \
                     attached node, it may be down: {there}"
                )),
                None => {
                    let text = format!("{host} answers, but refuses port {}", to.port());
                    Step::new(Verdict::Refused, text)
                        .with("start the service there, or let it listen on this address")
                }
            },
            Probe::Silent => {
                let text = format!("{to} does not answer within {} s", TIMEOUT.as_secs());
                Step::new(Verdict::Silent, text).with(match beyond {
                    Some(there) => format!(
                        "{there}, which sees the host firewall there and the host itself; its \
                         route back must lead to its gateway"
                    ),
                    None => format!("is {host} up, and does its own firewall let it in?"),
                })
            }
            Probe::Failed(error) => {
                Step::new(Verdict::Failed, format!("{to}: {error}")).with(match beyond {
                    Some(there) => format!(
                        "a firewall on the way rejects it, or no host has that address: {there}"
                    ),
                    None => format!("is {host} up? Its own firewall may reject it, too"),
                })
            }
            Probe::NotTried(reason) => Step::new(reason.verdict(), format!("not tried: {reason}")),
        }
    }
}

/// Corrects what `steps` say of a node that was silent, and that has answered the probe.
pub fn has_answered(steps: &mut [Step]) {
    for step in steps {
        if matches!(step.verdict, Verdict::NodeQuiet | Verdict::FarNodeQuiet) {
            *step = Step::new(Verdict::NodeUp, format!("{}; it answers now", step.text));
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
