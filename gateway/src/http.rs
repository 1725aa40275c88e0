//! Metrics and health over HTTP/1.1, for Prometheus, load balancers and Kubernetes. Read-only.
//!
//! One request per connection: a scraper or a probe sends only one, and an idle connection would
//! occupy one of few places.

mod answers;

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ringway_config::HttpListen;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

pub use self::answers::Answers;
use crate::admin::socket::{FileListener, SocketGroup};
use crate::attention::Attention;
use crate::run::sockets::allow_missing_address;

/// Clients served at once; more wait in the kernel's queue.
const MAX_CLIENTS: usize = 32;

/// Time limit for a client's request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum duration of a connection.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Maximum size of a request's head, bytes. hyper accepts no buffer below 8 KiB.
const MAX_HEAD: usize = 8192;

/// Delay before an address in use is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// The name of the finding about a socket that cannot be opened.
const FINDING: &str = "http";

/// Where to serve.
#[derive(Debug, Clone)]
pub struct Place {
    /// An address, or a socket file.
    pub listen: HttpListen,
    /// The group that may use the socket file.
    pub group: Option<SocketGroup>,
}

/// Serves until the task is aborted. If the address is in use, or its directory is missing, it
/// retries: the gateway runs without it.
pub async fn serve(place: Place, answers: Answers, attention: Attention) {
    let mut listener = open(&place, &attention).await;
    if let Listener::Unix(listener) = &mut listener {
        listener.report_as(FINDING, attention);
    }

    tracing::info!(listen = %place.listen, "Metrics and health are served");
    let mut clients = FuturesUnordered::new();

    loop {
        tokio::select! {
            client = accept(&mut listener, clients.len()) => {
                clients.push(answer(client, &answers));
            }
            Some(()) = clients.next() => {}
        }
    }
}

async fn open(place: &Place, attention: &Attention) -> Listener {
    loop {
        match bind(place).await {
            Ok(listener) => {
                attention.clear(FINDING);
                return listener;
            }
            Err(error) => attention.raise(
                FINDING,
                &format!("metrics and health are not served: {error:#}"),
                "set [http] listen to an address that no other listen and no other program uses",
            ),
        }
        sleep(RETRY).await;
    }
}

async fn bind(place: &Place) -> anyhow::Result<Listener> {
    match &place.listen {
        HttpListen::Address(address) => {
            let listener = bind_tcp(*address).with_context(|| address.to_string())?;
            Ok(Listener::Tcp(listener))
        }
        HttpListen::Socket(path) => bind_unix(path.clone(), place.group.clone()).await,
    }
}

async fn bind_unix(path: PathBuf, group: Option<SocketGroup>) -> anyhow::Result<Listener> {
    // With the permissions of the admin socket. On a blocking thread, since it accesses files.
    let bound = tokio::task::spawn_blocking(move || FileListener::bind(&path, group.as_ref()));
    Ok(Listener::Unix(bound.await??))
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM.cloexec().nonblocking(),
        Some(Protocol::TCP),
    )?;

    // Connections of an earlier process that are still closing must not hold the port.
    socket.set_reuse_address(true)?;
    allow_missing_address(&socket, address)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    TcpListener::from_std(socket.into())
}

enum Listener {
    Tcp(TcpListener),
    Unix(FileListener),
}

/// A connection, over TCP or a unix socket.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    async fn next(&mut self) -> io::Result<Box<dyn Stream>> {
        match self {
            Listener::Tcp(listener) => Ok(Box::new(listener.accept().await?.0)),
            Listener::Unix(listener) => Ok(Box::new(listener.accept().await?)),
        }
    }
}

/// Accepts the next client, once fewer than [`MAX_CLIENTS`] are `served`.
async fn accept(listener: &mut Listener, served: usize) -> Box<dyn Stream> {
    if served >= MAX_CLIENTS {
        return pending().await;
    }

    loop {
        match listener.next().await {
            Ok(client) => return client,
            // Without a free file descriptor, `accept` fails at once; do not spin.
            Err(_) => sleep(REQUEST_TIMEOUT / 50).await,
        }
    }
}

async fn answer(client: Box<dyn Stream>, answers: &Answers) {
    let service = service_fn(|request| async move {
        Ok::<_, Infallible>(answers.answer(request.method(), request.uri().path()).await)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(client), service);

    // A client that disconnects, is slow or speaks another protocol is not a problem of ours.
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "HTTP client left"),
        Err(_) => tracing::debug!("HTTP client was too slow"),
    }
}

#[cfg(test)]
mod tests;
