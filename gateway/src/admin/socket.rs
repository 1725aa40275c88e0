//! The admin socket: binds it for root alone, answers `status` and `metrics`. Asks the drive and
//! the packet filter; holds no state.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ringway_host::guard::SharedGuard;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Metrics, Report, Request};

/// Longest request line, bytes.
const REQUEST: u64 = 64;

/// How long a client may take to ask, and we to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long the packet filter may take to give its drops.
const FILTER: Duration = Duration::from_secs(2);

/// Largest answer that [`ask`] takes, bytes.
const ANSWER: u64 = 64 * 1024 * 1024;

/// Binds the socket, mode 0600. The socket file of a daemon that is gone is replaced. Blocks.
pub fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    // A killed daemon leaves its socket file behind; only a connection tells whether it is in use.
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => bail!("{}: another ringway answers on this socket", path.display()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        // There is no file, or one that `bind` will complain of.
        Err(_) => {}
    }

    let listener =
        UnixListener::bind(path).with_context(|| format!("cannot bind {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers one client after the other.
pub async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    guard: SharedGuard,
    metrics: Metrics,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };

        match timeout(PATIENCE, answer(client, &requests, &guard, &metrics)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "Admin client left"),
            Err(_) => tracing::debug!("Admin client was too slow"),
        }
    }
}

/// Answers `status` with `report`, one client after the other.
pub async fn serve_report(listener: &UnixListener, report: &Report) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };

        // A client that leaves or is slow is no matter.
        let _ = timeout(PATIENCE, answer_report(client, report)).await;
    }
}

async fn answer_report(client: UnixStream, report: &Report) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);

    let reply = match read_request(&mut client).await?.trim_end() {
        "status" => serde_json::to_vec(report)?,
        other => refusal(other),
    };
    client.write_all(&reply).await?;
    client.shutdown().await?;
    Ok(())
}

async fn answer(
    client: UnixStream,
    requests: &mpsc::Sender<Request>,
    guard: &SharedGuard,
    metrics: &Metrics,
) -> anyhow::Result<()> {
    let mut client = BufReader::new(client);

    let reply = match read_request(&mut client).await?.trim_end() {
        "status" => {
            let mut report = report(requests).await?;
            report.filtered.extend(filtered(guard).await);
            serde_json::to_vec(&report)?
        }
        "metrics" => metrics.text(report(requests).await?)?.into_bytes(),
        other => refusal(other),
    };

    client.write_all(&reply).await?;
    client.shutdown().await?;
    Ok(())
}

async fn read_request(client: &mut BufReader<UnixStream>) -> anyhow::Result<String> {
    let mut request = String::new();

    // A client that never ends its line must not fill the memory.
    client.take(REQUEST).read_line(&mut request).await?;
    Ok(request)
}

fn refusal(request: &str) -> Vec<u8> {
    let name = request.escape_default();
    format!("{{\"error\":\"unknown request {name:?}\"}}").into_bytes()
}

async fn report(requests: &mpsc::Sender<Request>) -> anyhow::Result<Report> {
    let (reply, report) = oneshot::channel();

    requests.send(Request { reply }).await?;
    Ok(report.await?)
}

/// What the packet filter dropped. Without its numbers, the rest is still worth having.
async fn filtered(guard: &SharedGuard) -> BTreeMap<String, u64> {
    let drops = timeout(FILTER, async { guard.lock().await.drops().await })
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

/// Asks the gateway behind the socket at `path` for its report.
pub fn ask(path: &Path) -> anyhow::Result<Report> {
    let reply = fetch(path, "status")?;
    serde_json::from_slice(&reply)
        .with_context(|| format!("{}: not a gateway's answer", path.display()))
}

/// Asks the gateway behind the socket at `path` for its metrics, in the OpenMetrics text format.
pub fn ask_metrics(path: &Path) -> anyhow::Result<String> {
    String::from_utf8(fetch(path, "metrics")?)
        .with_context(|| format!("{}: not a gateway's answer", path.display()))
}

fn fetch(path: &Path, request: &str) -> anyhow::Result<Vec<u8>> {
    use std::io::{Read as _, Write as _};

    let mut stream =
        std::os::unix::net::UnixStream::connect(path).with_context(|| not_running(path))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;

    let mut reply = Vec::new();
    stream
        .take(ANSWER)
        .read_to_end(&mut reply)
        .with_context(|| not_running(path))?;
    Ok(reply)
}

fn not_running(path: &Path) -> String {
    format!(
        "{}: no running gateway answers on this socket",
        path.display()
    )
}
