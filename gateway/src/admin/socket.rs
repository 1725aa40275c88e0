//! The admin socket: serves many clients at once. Gets its answers from the drive and from the
//! guard; holds no state.

mod group;
mod listener;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use nix::unistd::Uid;
use ringway_config::Opening;

use ringway_host::guard::SharedGuard;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;

pub use self::group::SocketGroup;
pub use self::listener::FileListener;
pub(crate) use self::listener::{FINDING, is_other_file};
use super::requests::{RELOAD, Requests};
use super::rules::{self, RulesReport};
use super::{AnswersReport, Metrics, ReloadReport, Report, RoleReport};

/// Maximum length of a request line, bytes: a question about rules has two addresses.
const MAX_REQUEST: u64 = 160;

/// Clients served at once; more wait in the kernel's queue.
const MAX_CLIENTS: usize = 32;

/// Time limit for a client to send its request, and to read the answer.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time limit for reading the guard's drop counters.
const GUARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of a gateway that waits to what it cannot answer yet.
const WAITS: &str = "it waits for the right time, and answers this afterwards; ringway status says \
                     why";

/// Maximum length of an answer that [`ask`] accepts, bytes.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// Serves clients, at most `MAX_CLIENTS` at once.
pub async fn serve(
    mut listener: FileListener,
    requests: Requests,
    guard: SharedGuard,
    metrics: Metrics,
) {
    let mut clients = FuturesUnordered::new();

    loop {
        tokio::select! {
            client = accept(&mut listener, clients.len()) => {
                clients.push(answer(client, &requests, &guard, &metrics));
            }
            Some(served) = clients.next() => note(served),
        }
    }
}

/// Serves `status` only, with a fixed `report`, while the gateway waits.
pub async fn serve_report(listener: &mut FileListener, report: &Report) {
    let mut clients = FuturesUnordered::new();

    loop {
        tokio::select! {
            client = accept(listener, clients.len()) => {
                clients.push(answer_report(client, report));
            }
            Some(served) = clients.next() => note(served),
        }
    }
}

/// Accepts the next client, once fewer than [`MAX_CLIENTS`] are `served`.
async fn accept(listener: &mut FileListener, served: usize) -> UnixStream {
    if served >= MAX_CLIENTS {
        return pending().await;
    }

    loop {
        match listener.accept().await {
            Ok(client) => return client,
            // Without a free file descriptor, `accept` fails at once; do not spin.
            Err(_) => tokio::time::sleep(CLIENT_TIMEOUT / 50).await,
        }
    }
}

/// Logs a failure. A client that disconnects or is slow is not a problem of ours.
fn note(served: anyhow::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%error, "Admin client left");
    }
}

async fn answer_report(client: UnixStream, report: &Report) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);

    let reply = match read_request(&mut client).await?.trim_end() {
        "status" => serde_json::to_vec(report)?,
        "role" => serde_json::to_vec(&RoleReport {
            role: "standby".to_owned(),
            reason: "it waits for the right time".to_owned(),
            ..RoleReport::default()
        })?,
        "reload" => error_text("the gateway waits for the right time, and reads its files then"),
        _ => error_text(WAITS),
    };
    write_reply(&mut client, &reply).await
}

async fn answer(
    client: UnixStream,
    requests: &Requests,
    guard: &SharedGuard,
    metrics: &Metrics,
) -> anyhow::Result<()> {
    let asker = client.peer_cred()?.uid();
    let mut client = BufReader::new(client);

    let reply = match read_request(&mut client).await?.trim_end() {
        request if !is_allowed(request, asker) => error_text(
            "only root and the gateway's own user may change it; members of its socket-group may \
             ask how it is",
        ),
        "status" => {
            let mut report = requests.report().await?;
            // Read here and not in the drive's loop, because `nft` takes a while.
            for (reason, count) in filtered(guard).await {
                // The policy and the guard share a reason.
                *report.filtered.entry(reason).or_default() += count;
            }
            serde_json::to_vec(&report)?
        }
        "role" => serde_json::to_vec(&requests.role().await?)?,
        "answers" => serde_json::to_vec(&requests.answers().await?)?,
        "metrics" => metrics.text(requests.report().await?)?.into_bytes(),
        "drain" => serde_json::to_vec(&requests.drain(true).await?)?,
        "drain cancel" => serde_json::to_vec(&requests.drain(false).await?)?,
        "reload" => serde_json::to_vec(&requests.reload().await?)?,
        other => match rules::read(other) {
            Some(opening) => serde_json::to_vec(&requests.rules(opening).await?)?,
            None => unknown(other),
        },
    };
    write_reply(&mut client, &reply).await
}

/// False if `request` changes something and the user `asker` is neither root nor the daemon's own
/// user. The group of the socket may only read.
fn is_allowed(request: &str, asker: u32) -> bool {
    let is_question = matches!(request, "status" | "role" | "answers" | "metrics")
        || rules::read(request).is_some();

    is_question || asker == 0 || asker == Uid::effective().as_raw()
}

async fn read_request(client: &mut BufReader<UnixStream>) -> anyhow::Result<String> {
    let mut request = String::new();

    // Bounded, so that a client that never ends its line cannot fill the memory.
    timeout(
        CLIENT_TIMEOUT,
        client.take(MAX_REQUEST).read_line(&mut request),
    )
    .await??;
    Ok(request)
}

async fn write_reply(client: &mut BufReader<UnixStream>, reply: &[u8]) -> anyhow::Result<()> {
    timeout(CLIENT_TIMEOUT, client.write_all(reply)).await??;

    Ok(client.shutdown().await?)
}

fn unknown(request: &str) -> Vec<u8> {
    error_text(&format!("unknown request {request:?}"))
}

fn error_text(error: &str) -> Vec<u8> {
    serde_json::json!({ "error": error })
        .to_string()
        .into_bytes()
}

/// The guard's drop counters. Without them, the rest of the report is still useful.
async fn filtered(guard: &SharedGuard) -> BTreeMap<String, u64> {
    // A reload may hold the guard's lock, or `nft` may hang.
    let drops = timeout(GUARD_TIMEOUT, async { guard.lock().await.drops().await })
        .await
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();

    drops
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .map(|(reason, n)| (reason.as_str().to_owned(), n))
        .collect()
}

/// Requests the report of the gateway behind the socket at `path`.
pub fn ask(path: &Path) -> anyhow::Result<Report> {
    let reply = fetch(path, "status", CLIENT_TIMEOUT)?;
    parse(path, &reply)
}

/// Requests the role of the gateway behind the socket at `path`, within `patience`.
pub fn ask_role(path: &Path, patience: Duration) -> anyhow::Result<RoleReport> {
    let reply = fetch(path, "role", patience)?;
    parse(path, &reply)
}

/// Requests the verdicts of both ends' rules about `opening`.
pub fn ask_rules(path: &Path, opening: &Opening) -> anyhow::Result<RulesReport> {
    let reply = fetch(path, &rules::request(opening), CLIENT_TIMEOUT)?;
    parse(path, &reply)
}

/// Requests which hosts of the site answer what members open towards them.
pub fn ask_answers(path: &Path) -> anyhow::Result<AnswersReport> {
    let reply = fetch(path, "answers", CLIENT_TIMEOUT)?;
    parse(path, &reply)
}

/// Requests a reload.
pub fn ask_reload(path: &Path) -> anyhow::Result<ReloadReport> {
    let reply = fetch(path, "reload", RELOAD)?;
    parse(path, &reply)
}

/// Requests that the site is handed over to a sibling, or taken back.
pub fn ask_drain(path: &Path, on: bool) -> anyhow::Result<Report> {
    let request = if on { "drain" } else { "drain cancel" };
    let reply = fetch(path, request, CLIENT_TIMEOUT)?;
    parse(path, &reply)
}

/// Requests the metrics, in the OpenMetrics text format.
pub fn ask_metrics(path: &Path) -> anyhow::Result<String> {
    let reply = fetch(path, "metrics", CLIENT_TIMEOUT)?;
    refused(path, &reply)?;
    String::from_utf8(reply).with_context(|| format!("{}: not a gateway's answer", path.display()))
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, reply: &[u8]) -> anyhow::Result<T> {
    // Try the error first: a report has no field of this name.
    refused(path, reply)?;
    serde_json::from_slice(reply)
        .with_context(|| format!("{}: not a gateway's answer", path.display()))
}

/// Fails if the gateway has answered with an error.
fn refused(path: &Path, reply: &[u8]) -> anyhow::Result<()> {
    #[derive(serde::Deserialize)]
    struct Refused {
        error: String,
    }

    match serde_json::from_slice(reply) {
        Ok(Refused { error }) => bail!("{}: {error}", path.display()),
        Err(_) => Ok(()),
    }
}

fn fetch(path: &Path, request: &str, patience: Duration) -> anyhow::Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};

    let mut stream = connect(path)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("{request}\n").as_bytes())?;

    let mut reply = Vec::new();
    stream
        // Bounded, because any program may answer on this path.
        .take(MAX_ANSWER)
        .read_to_end(&mut reply)
        .map_err(|error| unanswered(path, patience, error))?;
    Ok(reply)
}

fn connect(path: &Path) -> anyhow::Result<std::os::unix::net::UnixStream> {
    std::os::unix::net::UnixStream::connect(path).map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::PermissionDenied => format!(
                "{}: this user may not ask the gateway; be root, or in its socket-group",
                path.display()
            ),
            _ => not_running(path),
        };
        anyhow::Error::new(error).context(text)
    })
}

/// Why a daemon that took the connection has sent no whole answer.
fn unanswered(path: &Path, patience: Duration, error: io::Error) -> anyhow::Error {
    let text = match error.kind() {
        // The error of a read timeout says only that a resource is unavailable.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            return anyhow::anyhow!(
                "{}: the gateway's daemon is there, and has not answered within {patience:?}: it \
                 is stopped (SIGSTOP, a frozen cgroup) or overloaded; fuser {} shows its process",
                path.display(),
                path.display()
            );
        }
        _ => not_running(path),
    };

    anyhow::Error::new(error).context(text)
}

fn not_running(path: &Path) -> String {
    format!(
        "{}: no running gateway answers on this socket",
        path.display()
    )
}

#[cfg(test)]
mod tests;
