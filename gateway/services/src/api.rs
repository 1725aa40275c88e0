//! [`Api`]: the connection to the API server: HTTPS verified by the cluster's CA, a bearer token,
//! and no more than the server wants to hear.
//!
//! The CA and the token are files that the kubelet replaces from time to time: both are read again
//! for each request, of which there are a few a minute.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::Client;
use kube::client::Body;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::time::{sleep_until, timeout};
use tower::{BoxError, service_fn};

use crate::capped::Capped;

/// How long the server may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that is gone without a word is noticed after 15 and three times 5 seconds.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_AGAIN: Duration = Duration::from_secs(5);
const KEEPALIVES: u32 = 3;
/// The longest that a server may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Bytes of the CA's or the token's file.
const FILE_BYTES: u64 = 1 << 20;

/// Where the API server is, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// `https://10.0.0.1:6443`.
    pub server: String,
    /// The directory with `ca.crt`, `token` and `namespace`, as a pod has it.
    pub credentials: PathBuf,
}

/// Why a request has no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("{} cannot be read", .path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} holds no certificate that can be used", .0.display())]
    Ca(PathBuf),
    #[error("{} holds no token", .0.display())]
    Token(PathBuf),
    #[error("{0:?} is no address of a server")]
    Server(String),
    #[error("TLS cannot be used")]
    Tls(#[from] rustls::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error(transparent)]
    Http(#[from] hyper_util::client::legacy::Error),
    /// The server has answered, but not with what was asked for.
    #[error("the API server answers {0}")]
    Status(StatusCode),
}

type Http = HttpClient<HttpsConnector<HttpConnector>, Body>;

/// See the head of this file.
pub(crate) struct Api {
    access: Access,
    /// The connections, and the CA that they are verified by.
    http: Mutex<Option<(Vec<u8>, Http)>>,
    /// The server wants to hear nothing before.
    not_before: Mutex<Option<Instant>>,
}

impl Api {
    /// What kube sends through such a connection.
    pub(crate) fn client(access: Access) -> Client {
        let api = Arc::new(Api {
            access,
            http: Mutex::default(),
            not_before: Mutex::default(),
        });

        // Every request has its namespace in its path.
        Client::new(
            service_fn(move |request| api.clone().send(request)),
            "default",
        )
    }

    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Capped>, BoxError> {
        let wait = *lock(&self.not_before);
        if let Some(until) = wait {
            sleep_until(until.into()).await;
        }

        let is_watch = request.extensions().get() == Some(&Watching);
        let request = self.addressed(request)?;
        let answer = timeout(PATIENCE, self.http()?.request(request)).await;
        let response = answer
            .map_err(|_| ApiError::Silent)?
            .map_err(ApiError::Http)?;

        let status = response.status();
        if let Some(wait) = requested_wait(status, response.headers()) {
            // What another request is answered meanwhile takes nothing back.
            let mut not_before = lock(&self.not_before);
            *not_before = (*not_before).max(Some(Instant::now() + wait));
        }
        // kube takes the body of a failed watch for events. What a list is refused with says why.
        if is_watch && !status.is_success() || status.is_redirection() {
            return Err(ApiError::Status(status).into());
        }
        Ok(response.map(|body| Capped::new(body, is_watch)))
    }

    /// The request with the server and our token.
    fn addressed(&self, mut request: Request<Body>) -> Result<Request<Body>, ApiError> {
        let path = request.uri().path_and_query();
        let path = path.map_or("/", |path| path.as_str());
        let uri = format!("{}{path}", self.access.server);
        *request.uri_mut() = uri.parse().map_err(|_| ApiError::Server(uri))?;

        let path = self.access.credentials.join("token");
        let token = read(&path)?;
        let token = String::from_utf8_lossy(&token);
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
            .map_err(|_| ApiError::Token(path))?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(request)
    }

    /// The connections, or new ones if the CA is another.
    fn http(&self) -> Result<Http, ApiError> {
        let path = self.access.credentials.join("ca.crt");
        let ca = read(&path)?;
        let mut http = lock(&self.http);
        if let Some((known, http)) = &*http
            && *known == ca
        {
            return Ok(http.clone());
        }

        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(&ca, &path)?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp());
        let new = HttpClient::builder(TokioExecutor::new()).build(connector);
        *http = Some((ca, new.clone()));
        Ok(new)
    }
}

/// Marks a request whose answer goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watching;

/// The namespace of our own pod.
pub(crate) fn own_namespace(access: &Access) -> Result<String, ApiError> {
    let path = access.credentials.join("namespace");
    let text = read(&path)?;

    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}

/// True if the address of the server can be used.
pub fn is_server(text: &str) -> bool {
    let uri: Result<Uri, _> = text.parse();
    uri.is_ok_and(|uri| uri.scheme_str() == Some("https") && uri.path() == "/")
}

/// How long a server that has too much to do wants to be left alone (RFC 9110, section 10.2.3).
fn requested_wait(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    let is_busy = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    let after = headers.get(RETRY_AFTER).filter(|_| is_busy)?;

    // Kubernetes sends seconds, never a date.
    let seconds = after.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

fn tls(ca: &[u8], path: &Path) -> Result<ClientConfig, ApiError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|_| ApiError::Ca(path.to_owned()))?;
        // One of a bundle may be of a kind that we do not use.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() {
        return Err(ApiError::Ca(path.to_owned()));
    }

    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    Ok(builder
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(PATIENCE));
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_AGAIN));
    tcp.set_keepalive_retries(Some(KEEPALIVES));
    tcp
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let file = File::open(path);
    let result = file.and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes));

    match result {
        Ok(_) => Ok(bytes),
        Err(source) => Err(ApiError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_servers_retry_after_is_respected_up_to_a_minute() {
        let wait = |status: u16, after: &str| {
            let value = HeaderValue::from_str(after).unwrap();
            let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
            let wait = requested_wait(StatusCode::from_u16(status).unwrap(), &headers);
            wait.map(|wait| wait.as_secs())
        };

        assert_eq!(wait(429, "1"), Some(1));
        assert_eq!(wait(503, "7"), Some(7));
        assert_eq!(wait(429, "86400"), Some(60));
        assert_eq!(wait(429, "soon"), None);
        assert_eq!(wait(200, "1"), None);
        assert_eq!(requested_wait(StatusCode::OK, &HeaderMap::new()), None);
    }

    #[test]
    fn a_server_is_reached_by_https_alone() {
        assert!(is_server("https://10.0.0.1:6443"));
        assert!(is_server("https://[fd00::1]"));
        for bad in [
            "http://10.0.0.1",
            "10.0.0.1:6443",
            "https://a/b",
            "https://",
            "",
        ] {
            assert!(!is_server(bad), "{bad}");
        }
    }
}
