//! [`NotifySocket`]: the socket of a service manager, as sd_notify(3) has it.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a message may take that must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Receives what a service says of itself.
pub struct NotifySocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl NotifySocket {
    /// Listens at `path`.
    pub fn bind(path: PathBuf) -> NotifySocket {
        let socket = UnixDatagram::bind(&path).expect("the path is free");
        NotifySocket { socket, path }
    }

    /// What a service finds in `NOTIFY_SOCKET`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next message, with its lines as they are; `None` if there is none for that long.
    pub fn next(&self, wait: Duration) -> Option<String> {
        // Zero would wait for ever.
        let wait = wait.max(Duration::from_millis(1));
        self.socket
            .set_read_timeout(Some(wait))
            .expect("it is not zero");
        let mut buffer = [0; 4096];
        let len = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }

    /// Waits for a message that begins with `text`, and drops what comes before it.
    pub fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.next(left) {
                Some(message) if message.starts_with(text) => return message,
                Some(message) => others.push(message),
                None => panic!("no {text:?} came, but {others:?}"),
            }
        }
    }

    /// True if no message that begins with `text` comes for `quiet`, before `limit` is over.
    pub fn falls_silent(&self, text: &str, quiet: Duration, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let mut silent_since = Instant::now();
        while Instant::now() < end {
            match self.next(quiet.saturating_sub(silent_since.elapsed())) {
                Some(message) if message.starts_with(text) => silent_since = Instant::now(),
                _ if silent_since.elapsed() >= quiet => return true,
                _ => {}
            }
        }
        false
    }
}
