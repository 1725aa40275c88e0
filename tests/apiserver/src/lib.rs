//! The double of a Kubernetes API server: lists and watches Services, EndpointSlices and Nodes as
//! the real one does, over TLS with a CA of its own and for a bearer token, and fails on demand.
//!
//! What it sends has the shapes of a real server: items of a list without their kind, pages,
//! chunked events by lines, bookmarks, `Status` objects, plain text with 429.

#![forbid(unsafe_code)]

mod answers;
mod objects;
mod server;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use objects::Objects;

/// How a request fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// 403, as for a missing role.
    Forbidden,
    /// 410, as for a version that is too old.
    Gone,
    /// 429, and the seconds to wait.
    Busy(u64),
    /// 500, with a body that is no JSON.
    Broken,
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Path and query.
    pub uri: String,
    /// When it came.
    pub at: Instant,
}

impl Seen {
    /// A watch, not a list.
    pub fn is_watch(&self) -> bool {
        self.uri.contains("watch=true")
    }
}

/// A server that runs until it is dropped.
pub struct ApiServer {
    state: Arc<State>,
    tls: Arc<ServerConfig>,
    address: SocketAddr,
    serving: Option<JoinHandle<()>>,
}

/// What all connections share.
struct State {
    inner: Mutex<Inner>,
    /// Grows with every change and command.
    changed: watch::Sender<u64>,
}

struct Inner {
    objects: Objects,
    token: String,
    /// Of the next requests whose URI holds this text.
    faults: VecDeque<(String, Fault)>,
    seen: Vec<Seen>,
    /// Watches that began before this was counted up end in the middle of an event.
    cuts: u64,
    /// Objects of a page, whatever the client asks for.
    page: usize,
}

/// The CA of a cluster, with the certificate of its servers.
#[derive(Clone)]
pub struct Certificates {
    ca: String,
    tls: Arc<ServerConfig>,
}

impl Certificates {
    /// Those of a new cluster.
    #[expect(clippy::new_without_default, reason = "they are random")]
    pub fn new() -> Certificates {
        let (ca, tls) = certificates();
        let tls = Arc::new(tls);
        Certificates { ca, tls }
    }
}

impl ApiServer {
    /// A server on loopback, whose CA, token and namespace are in `dir`, as in a pod.
    pub async fn start(dir: &Path) -> io::Result<ApiServer> {
        ApiServer::of_cluster(Certificates::new(), dir).await
    }

    /// As [`ApiServer::start`], one of several servers of a cluster.
    pub async fn of_cluster(cluster: Certificates, dir: &Path) -> io::Result<ApiServer> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        fs::write(dir.join("ca.crt"), &cluster.ca)?;
        fs::write(dir.join("token"), "first\n")?;
        fs::write(dir.join("namespace"), "fabric")?;

        let inner = Inner {
            objects: Objects::default(),
            token: "first".to_owned(),
            faults: VecDeque::new(),
            seen: Vec::new(),
            cuts: 0,
            page: usize::MAX,
        };
        let mut server = ApiServer {
            state: Arc::new(State {
                inner: Mutex::new(inner),
                changed: watch::Sender::new(0),
            }),
            tls: cluster.tls,
            address: listener.local_addr()?,
            serving: None,
        };
        server.serve(listener);
        Ok(server)
    }

    /// Where it is, such as `https://127.0.0.1:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Ends every connection, and accepts none.
    pub async fn stop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // Once it has ended, the port is free.
            let _ = serving.await;
        }
    }

    /// Serves again, at the same address.
    pub async fn resume(&mut self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.serve(listener);
        Ok(())
    }

    /// Creates an object, or replaces it: its `kind`, namespace and name say which.
    pub fn put(&self, object: Value) {
        self.change(|inner| inner.objects.put(object));
    }

    /// Deletes an object, of which only `kind` and `metadata` count.
    pub fn delete(&self, object: &Value) {
        self.change(|inner| inner.objects.delete(object));
    }

    /// Sends a bookmark to every watch.
    pub fn bookmark(&self) {
        self.change(|inner| inner.objects.bookmark());
    }

    /// Forgets what has happened so far: earlier versions are too old.
    pub fn compact(&self) {
        self.change(|inner| inner.objects.compact());
    }

    /// Ends every watch in the middle of an event.
    pub fn cut(&self) {
        self.change(|inner| inner.cuts += 1);
    }

    /// The next request whose URI holds `text` fails.
    pub fn fail(&self, text: &str, fault: Fault) {
        self.change(|inner| inner.faults.push_back((text.to_owned(), fault)));
    }

    /// Only this token is accepted from now on.
    pub fn set_token(&self, token: &str) {
        self.change(|inner| token.clone_into(&mut inner.token));
    }

    /// Lists are in pages of so many objects.
    pub fn set_page(&self, page: usize) {
        self.change(|inner| inner.page = page);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    fn change(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.state.lock());
        self.state.changed.send_modify(|count| *count += 1);
    }

    fn serve(&mut self, listener: TcpListener) {
        let accepting = server::accept(listener, self.tls.clone(), self.state.clone());
        self.serving = Some(tokio::spawn(accepting));
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The PEM of a new CA, and a server that it vouches for.
fn certificates() -> (String, ServerConfig) {
    let sane = "a certificate of constant parts";
    let key = KeyPair::generate().expect(sane);
    let mut params = CertificateParams::new([]).expect(sane);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).expect(sane);
    let issuer = Issuer::new(params, key);

    let key = KeyPair::generate().expect(sane);
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect(sane);
    let leaf = params.signed_by(&key, &issuer).expect(sane);
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = builder
        .with_safe_default_protocol_versions()
        .expect(sane)
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .expect(sane);
    (ca.pem(), config)
}
