//! [`Server`]: listens on UDP and TCP, asks [`answer()`](crate::answer()) and nothing else.
//!
//! One thread per UDP socket, one task per TCP listener and per TCP connection; no task per question, no
//! buffer per question. Who is not in the [`Acl`] gets silence: UDP is dropped, TCP closed.

mod counters;
mod limiter;
mod log;
mod options;
mod others;
mod tcp;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::is_private;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use counters::{BUCKETS, Count, Counted, Counters, Histogram};
pub use log::QueryLog;
pub use options::{Options, Rate};

use crate::acl::{Acl, Class};
use crate::answer::{Asker, Transport};
use crate::cookie::CookieJar;
use crate::zones::Zones;

/// How long cookies are made by one secret: they are good for an hour, and the last secret still counts.
const SECRET_LIFE: Duration = Duration::from_secs(24 * 3600);

/// Sockets that are bound and wait for [`Server::run`].
#[derive(Debug)]
pub struct Server {
    sockets: Vec<(udp::Socket, TcpListener)>,
    shared: Shared,
}

/// What every task of the server reads.
#[derive(Debug, Clone)]
struct Shared {
    zones: Arc<Zones>,
    acl: Arc<ArcSwap<Acl>>,
    counters: Arc<Counters>,
    options: Arc<Options>,
    cookies: Arc<CookieJar>,
    clock: Clock,
}

/// Time since the server was bound, and when that was: one reading serves limits and cookies.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
    /// Seconds since 1970.
    bound: u32,
}

impl Clock {
    fn start() -> Clock {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            start: Instant::now(),
            bound: since.as_secs() as u32,
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Shared {
    fn new(zones: Arc<Zones>, acl: Arc<ArcSwap<Acl>>, options: Options) -> io::Result<Shared> {
        let (counters, options) = (Arc::default(), Arc::new(options));
        let cookies = Arc::new(CookieJar::new()?);
        Ok(Shared {
            zones,
            acl,
            counters,
            options,
            cookies,
            clock: Clock::start(),
        })
    }

    fn asker(
        &self,
        address: IpAddr,
        class: Class,
        transport: Transport,
        elapsed: Duration,
    ) -> Asker<'_> {
        let now = self.clock.bound.wrapping_add(elapsed.as_secs() as u32);
        let forwards = class == Class::Site && self.options.forwarder.is_on();
        let nsid = &self.options.nsid[..self.options.nsid.len().min(MAX_NSID)];
        Asker {
            address,
            class,
            transport,
            now,
            cookies: Some(&self.cookies),
            nsid,
            forwards,
        }
    }
}

/// Octets of the identifier that are told at most.
const MAX_NSID: usize = 128;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Without it, cookies could be forged.
    #[error("the system gives no random numbers")]
    Random(#[source] io::Error),
    /// Private names are answered on private addresses only, unless [`Options::public`] is set.
    #[error(
        "dns cannot listen on {0}: it is no private address; list one that is, or set public-listen"
    )]
    NotPrivate(SocketAddr),
    /// The host does not have the address (yet).
    #[error(
        "dns cannot listen on {0}: this host does not have the address; add it to an interface first, or correct [dns] listen"
    )]
    NoSuchAddress(SocketAddr),
    /// Somebody else listens there.
    #[error(
        "dns cannot listen on {0}: another server does; stop it, or give it and us different addresses"
    )]
    InUse(SocketAddr),
    /// Anything else.
    #[error("dns cannot listen on {address}")]
    Io {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl Server {
    /// Binds UDP and TCP on every address. Port 0 takes one that is free for both.
    pub async fn bind(
        addresses: &[SocketAddr],
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
    ) -> Result<Server, BindError> {
        Server::bind_with(addresses, zones, acl, Options::default()).await
    }

    /// Binds as [`Server::bind`] does, to serve by `options`.
    pub async fn bind_with(
        addresses: &[SocketAddr],
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
        options: Options,
    ) -> Result<Server, BindError> {
        let mut sockets = Vec::with_capacity(addresses.len());
        for &address in addresses {
            if !options.public && !is_private(address.ip()) {
                return Err(BindError::NotPrivate(address));
            }
            sockets.push(
                bind_both(address)
                    .await
                    .map_err(|error| named(address, error))?,
            );
        }
        Ok(Server {
            sockets,
            shared: Shared::new(zones, acl, options).map_err(BindError::Random)?,
        })
    }

    /// The addresses bound, with their ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|(udp, _)| udp.local_addr().ok())
            .collect()
    }

    /// What it counts from now on.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// Its cookies.
    pub fn cookies(&self) -> Arc<CookieJar> {
        self.shared.cookies.clone()
    }

    /// Answers until `cancel`; then every connection is closed and every task gone.
    pub async fn run(self, cancel: CancellationToken) {
        let tasks = TaskTracker::new();
        let connections = tcp::Connections::default();
        let forwarder = self.shared.options.forwarder.clone();
        // Dropped with this future, whatever ends it: then the threads end, too.
        let mut bound = Vec::with_capacity(self.sockets.len());
        for (udp, tcp) in self.sockets {
            tasks.spawn_blocking(udp.service(self.shared.clone()));
            bound.push(udp);
            let listener = tcp::Listener {
                socket: tcp,
                shared: self.shared.clone(),
                connections: connections.clone(),
                tasks: tasks.clone(),
                cancel: cancel.clone(),
            };
            tasks.spawn(cancel.clone().run_until_cancelled_owned(listener.serve()));
        }
        tasks.spawn(
            cancel
                .clone()
                .run_until_cancelled_owned(roll(self.shared.cookies)),
        );
        cancel.cancelled().await;
        drop(bound);
        forwarder.end().await;
        tasks.close();
        tasks.wait().await;
    }
}

/// Gives the cookies a new secret every day.
async fn roll(cookies: Arc<CookieJar>) {
    loop {
        tokio::time::sleep(SECRET_LIFE).await;
        if let Err(error) = cookies.roll() {
            tracing::warn!(%error, "The secret of DNS cookies stays the old one");
        }
    }
}

async fn bind_both(address: SocketAddr) -> io::Result<(udp::Socket, TcpListener)> {
    // A free TCP port may be taken on UDP: with port 0, try a few.
    let mut tries = if address.port() == 0 { 16 } else { 1 };
    loop {
        tries -= 1;
        let tcp = TcpListener::bind(address).await?;
        match udp::Socket::bind(tcp.local_addr()?) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => (),
            udp => return Ok((udp?, tcp)),
        }
    }
}

fn named(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
        io::ErrorKind::AddrNotAvailable => BindError::NoSuchAddress(address),
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Io { address, source },
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UdpSocket;

    use super::*;

    async fn refusal(address: &str) -> String {
        let acl = Acl::new(["198.51.100.0/24".parse().unwrap()]);
        let acl = Arc::new(ArcSwap::from_pointee(acl));
        let error = Server::bind(&[address.parse().unwrap()], Arc::default(), acl)
            .await
            .unwrap_err();
        error.to_string()
    }

    #[tokio::test]
    async fn an_address_that_cannot_be_used_is_named_with_what_to_do() {
        let taken = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(
            refusal(&address)
                .await
                .starts_with(&format!("dns cannot listen on {address}: another"))
        );
        assert!(
            refusal("10.254.253.252:5353")
                .await
                .contains("does not have the address")
        );
    }

    #[tokio::test]
    async fn a_public_address_is_refused_unless_it_is_wanted() {
        for public in [
            "0.0.0.0:53",
            "[::]:53",
            "198.51.100.1:53",
            "[2001:db8::1]:53",
            "100.128.0.1:53",
        ] {
            assert!(
                refusal(public).await.contains("no private address"),
                "{public}"
            );
        }
        let zones = Arc::new(Zones::new());
        let options = Options {
            public: true,
            ..Options::default()
        };
        let bound = Server::bind_with(
            &["0.0.0.0:0".parse().unwrap()],
            zones,
            Arc::default(),
            options,
        )
        .await;
        assert_eq!(bound.expect("it is wanted").addresses().len(), 1);
    }
}
