//! [`Server`]: answers DNS queries over UDP and TCP by [`answer()`](crate::answer()).
//!
//! Each UDP socket has a thread; each TCP listener and each TCP connection has a task. There is no
//! task and no buffer per query, except for forwarded ones. Clients that the [`Acl`] does not admit
//! get no response: their datagrams are dropped, their connections closed.

mod counters;
mod forward;
mod histogram;
mod limiter;
mod listen;
mod log;
mod options;
mod tcp;
mod udp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::is_private;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::counters::{Count, Counted, Counters};
pub use self::histogram::{BUCKETS, Histogram};
pub use self::log::QueryLog;
pub use self::options::{InterfaceOf, Options, Rate};

use crate::acl::{Acl, Locality};
use crate::answer::{Client, QueryContext};
use crate::cookie::CookieJar;
use crate::zones::Zones;

/// How often the secret of cookies is rotated. A cookie is valid for an hour, and the previous
/// secret still verifies, so no client notices.
const SECRET_LIFE: Duration = Duration::from_secs(24 * 3600);

/// How often an address is tried again that could not be bound.
const RETRY: Duration = Duration::from_secs(1);

/// Octets of the server identifier that are sent at most.
const MAX_NSID: usize = 128;

/// Bound sockets, which answer once [`Server::run`] runs.
#[derive(Debug)]
pub struct Server {
    sockets: Vec<Bound>,
    /// Addresses that could not be bound, and are tried again.
    missing: watch::Sender<Vec<SocketAddr>>,
    shared: Shared,
}

/// Both sockets of one address.
type Bound = (udp::Socket, TcpListener);

/// What all threads and tasks of the server share.
#[derive(Debug, Clone)]
struct Shared {
    zones: Arc<Zones>,
    acl: Arc<ArcSwap<Acl>>,
    counters: Arc<Counters>,
    options: Arc<Options>,
    cookies: Arc<CookieJar>,
    clock: Clock,
}

/// The monotonic clock since the server was bound. One reading serves the rate limit and the
/// cookies, which need the time of day.
#[derive(Debug, Clone, Copy)]
struct Clock {
    start: Instant,
    /// The time of day at `start`, in seconds since 1970.
    bound: u32,
}

impl Clock {
    fn start() -> Clock {
        let since_epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();

        Clock {
            start: Instant::now(),
            bound: since_epoch.as_secs() as u32,
        }
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

impl Shared {
    fn new(zones: Arc<Zones>, acl: Arc<ArcSwap<Acl>>, options: Options) -> io::Result<Shared> {
        Ok(Shared {
            zones,
            acl,
            counters: Arc::default(),
            options: Arc::new(options),
            cookies: Arc::new(CookieJar::new()?),
            clock: Clock::start(),
        })
    }

    /// What the answer to `client` depends on, `elapsed` after the server was bound.
    fn context(&self, client: Client, elapsed: Duration) -> QueryContext<'_> {
        let nsid = &self.options.nsid;

        QueryContext {
            client,
            now: self.clock.bound.wrapping_add(elapsed.as_secs() as u32),
            cookies: Some(&self.cookies),
            nsid: &nsid[..nsid.len().min(MAX_NSID)],
            forwards: client.locality == Locality::Site && self.options.forwarder.is_enabled(),
        }
    }
}

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Without random numbers, cookies could be forged.
    #[error("the system gives no random numbers")]
    Random(#[source] io::Error),
    /// Private names are answered on private addresses only, unless [`Options::public`] is set.
    #[error(
        "dns cannot listen on {0}: it is no private address; list one that is, or set public-listen"
    )]
    NotPrivate(SocketAddr),
    /// Another process listens there.
    #[error(
        "dns cannot listen on {0}: another server does; \
         stop it, or give it and us different addresses"
    )]
    InUse(SocketAddr),
    /// Any other failure of the system call.
    #[error("dns cannot listen on {address}")]
    Io {
        /// The configured address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
}

impl Server {
    /// Binds UDP and TCP on every address, with default options. Port 0 takes a port that is free
    /// for both.
    pub async fn bind(
        addresses: &[SocketAddr],
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
    ) -> Result<Server, BindError> {
        Server::bind_with(addresses, zones, acl, Options::default()).await
    }

    /// Binds as [`Server::bind`] does, with these options.
    pub async fn bind_with(
        addresses: &[SocketAddr],
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
        options: Options,
    ) -> Result<Server, BindError> {
        check_private(addresses, &options)?;
        let sockets: Result<Vec<_>, _> = addresses
            .iter()
            .map(|address| bind_both(*address))
            .collect();

        Server::new(sockets?, Vec::new(), zones, acl, options)
    }

    /// Binds what can be bound. The other addresses are logged, and tried again while the server
    /// runs: another program may hold one only for now.
    pub async fn bind_available(
        addresses: &[SocketAddr],
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
        options: Options,
    ) -> Result<Server, BindError> {
        // Not tried again: only another file corrects it.
        check_private(addresses, &options)?;
        let mut sockets = Vec::with_capacity(addresses.len());
        let mut missing = Vec::new();

        for &address in addresses {
            match bind_both(address) {
                Ok(bound) => sockets.push(bound),
                Err(error) => {
                    tracing::error!(%error, "DNS is not served on an address yet");
                    missing.push(address);
                }
            }
        }
        Server::new(sockets, missing, zones, acl, options)
    }

    fn new(
        sockets: Vec<Bound>,
        missing: Vec<SocketAddr>,
        zones: Arc<Zones>,
        acl: Arc<ArcSwap<Acl>>,
        options: Options,
    ) -> Result<Server, BindError> {
        Ok(Server {
            sockets,
            missing: watch::Sender::new(missing),
            shared: Shared::new(zones, acl, options).map_err(BindError::Random)?,
        })
    }

    /// Addresses that are not served yet, now and while the server runs.
    pub fn missing(&self) -> watch::Receiver<Vec<SocketAddr>> {
        self.missing.subscribe()
    }

    /// The bound addresses with their ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets
            .iter()
            .filter_map(|(udp, _)| udp.local_addr().ok())
            .collect()
    }

    /// The server's counters, which live on after [`Server::run`] has consumed it.
    pub fn counters(&self) -> Arc<Counters> {
        self.shared.counters.clone()
    }

    /// The server's cookies and their counters.
    pub fn cookies(&self) -> Arc<CookieJar> {
        self.shared.cookies.clone()
    }

    /// Answers until `cancel`; returns when every connection is closed and every thread and task
    /// has ended.
    pub async fn run(self, cancel: CancellationToken) {
        let running = Service {
            shared: self.shared,
            connections: tcp::Connections::default(),
            tasks: TaskTracker::new(),
            cancel: cancel.clone(),
        };
        let forwarder = running.shared.options.forwarder.clone();

        // A UDP thread ends when its socket is dropped, so the sockets stay with this future: it
        // may be dropped without `cancel`.
        let bound: Vec<_> = self
            .sockets
            .into_iter()
            .map(|sockets| running.serve(sockets))
            .collect();

        let rotation = rotate_secrets(running.shared.cookies.clone());
        running
            .tasks
            .spawn(cancel.clone().run_until_cancelled_owned(rotation));
        cancel
            .run_until_cancelled(running.serve_missing(self.missing))
            .await;

        drop(bound);
        // Pending forwarded queries fail, and their responses are still sent.
        forwarder.shutdown().await;
        running.tasks.close();
        running.tasks.wait().await;
    }
}

/// What serving an address needs.
struct Service {
    shared: Shared,
    connections: tcp::Connections,
    tasks: TaskTracker,
    cancel: CancellationToken,
}

impl Service {
    /// Answers on both sockets of an address, over UDP until what is returned is dropped.
    fn serve(&self, (udp, tcp): Bound) -> udp::Socket {
        // It waits in the kernel, and must not keep a worker from its tasks.
        self.tasks.spawn_blocking(udp.service(self.shared.clone()));

        let listener = tcp::Listener {
            socket: tcp,
            shared: self.shared.clone(),
            connections: self.connections.clone(),
            tasks: self.tasks.clone(),
            cancel: self.cancel.clone(),
        };
        let listening = self
            .cancel
            .clone()
            .run_until_cancelled_owned(listener.serve());
        self.tasks.spawn(listening);
        udp
    }

    /// Tries addresses again that could not be bound. Never returns, because their sockets must
    /// stay.
    async fn serve_missing(&self, told: watch::Sender<Vec<SocketAddr>>) {
        let mut bound = Vec::new();
        let mut missing = told.borrow().clone();

        while !missing.is_empty() {
            tokio::time::sleep(RETRY).await;

            let mut still_missing = Vec::new();
            for address in missing {
                match bind_both(address) {
                    Ok(sockets) => {
                        bound.push(self.serve(sockets));
                        tracing::info!(%address, "DNS is served on an address that was missing");
                    }
                    Err(_) => still_missing.push(address),
                }
            }
            missing = still_missing;
            told.send_if_modified(|told| {
                let has_changed = *told != missing;
                told.clone_from(&missing);
                has_changed
            });
        }
        std::future::pending().await
    }
}

/// Rotates the secret of cookies every day.
async fn rotate_secrets(cookies: Arc<CookieJar>) {
    loop {
        tokio::time::sleep(SECRET_LIFE).await;
        if let Err(error) = cookies.rotate_secret() {
            tracing::warn!(%error, "Cannot rotate the secret of DNS cookies; keeping the old one");
        }
    }
}

fn bind_both(address: SocketAddr) -> Result<Bound, BindError> {
    // With port 0, the system picks a free TCP port, which may be in use on UDP: then try another.
    let mut attempts = if address.port() == 0 { 16 } else { 1 };

    loop {
        attempts -= 1;
        match try_both(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempts > 0 => {}
            bound => return bound.map_err(|error| bind_error(address, error)),
        }
    }
}

fn try_both(address: SocketAddr) -> io::Result<Bound> {
    let tcp = listen::tcp(address)?;
    let udp = udp::Socket::bind(tcp.local_addr()?)?;

    Ok((udp, tcp))
}

/// Private names are answered on private addresses only, unless the options say otherwise.
fn check_private(addresses: &[SocketAddr], options: &Options) -> Result<(), BindError> {
    // An unspecified address such as 0.0.0.0 is not private either.
    let public = addresses.iter().find(|address| !is_private(address.ip()));

    match public.filter(|_| !options.public) {
        Some(address) => Err(BindError::NotPrivate(*address)),
        None => Ok(()),
    }
}

fn bind_error(address: SocketAddr, source: io::Error) -> BindError {
    match source.kind() {
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
        let address = address.parse().unwrap();
        let result = Server::bind(&[address], Arc::default(), acl).await;
        result.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn the_error_says_why_an_address_cannot_be_used() {
        let occupied = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = occupied.local_addr().unwrap().to_string();
        let expected = format!("dns cannot listen on {address}: another server does");
        let error = refusal(&address).await;
        assert!(error.starts_with(&expected), "{error}");
    }

    #[tokio::test]
    async fn an_address_that_this_host_does_not_have_yet_can_be_bound() {
        for address in ["10.254.253.252:5353", "[fd12:3456::7]:5353"] {
            let acl = Arc::default();
            let bound = Server::bind(&[address.parse().unwrap()], Arc::default(), acl).await;
            assert_eq!(bound.unwrap().addresses().len(), 1, "{address}");
        }
    }

    #[tokio::test]
    async fn an_address_that_another_program_holds_is_served_once_it_is_free() {
        let occupied = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = occupied.local_addr().unwrap();
        let options = Options::default();
        let listen = [address];
        let bound = Server::bind_available(&listen, Arc::default(), Arc::default(), options);
        let server = bound.await.unwrap();
        assert!(server.addresses().is_empty());

        let cancel = CancellationToken::new();
        let task = tokio::spawn(server.run(cancel.clone()));
        assert!(tokio::net::TcpStream::connect(address).await.is_err());

        drop(occupied);
        let deadline = tokio::time::Instant::now() + 20 * RETRY;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "never served");
            tokio::time::sleep(RETRY / 20).await;
        }
        cancel.cancel();
        task.await.unwrap();
    }

    #[tokio::test]
    async fn refuses_public_addresses_unless_the_options_allow_them() {
        for public in [
            "0.0.0.0:53",
            "[::]:53",
            "198.51.100.1:53",
            "[2001:db8::1]:53",
            "100.128.0.1:53",
        ] {
            let error = refusal(public).await;
            assert!(error.contains("no private address"), "{public}: {error}");
        }

        let options = Options {
            public: true,
            ..Options::default()
        };
        let any = "0.0.0.0:0".parse().unwrap();
        let bound = Server::bind_with(&[any], Arc::default(), Arc::default(), options).await;
        assert_eq!(bound.unwrap().addresses().len(), 1);
    }
}
