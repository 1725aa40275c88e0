//! [`FileListener`]: listens on a socket file, for root, and for a group if the file names one. It
//! looks at the file every second and makes it again, since other programs remove it: a cleaner of
//! temporary files, or another service that owns the directory.

use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::SocketGroup;
use crate::attention::Attention;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// The name of the finding that the admin socket cannot be made again.
pub(crate) const FINDING: &str = "admin socket";

/// See the head of this file.
#[derive(Debug)]
pub struct FileListener {
    listener: UnixListener,
    path: PathBuf,
    group: Option<SocketGroup>,
    /// Device and inode of the file.
    file: Option<(u64, u64)>,
    next_look: Instant,
    attention: Attention,
    finding: &'static str,
}

impl FileListener {
    /// Makes the socket, mode 0600, or 0660 for the group. Replaces the socket file that a killed
    /// daemon has left. Blocks for file operations only.
    pub fn bind(path: &Path, group: Option<&SocketGroup>) -> anyhow::Result<FileListener> {
        let listener = listen(path, group)?;

        Ok(FileListener {
            listener,
            path: path.to_owned(),
            group: group.cloned(),
            file: identity(path),
            next_look: Instant::now() + LOOK,
            attention: Attention::default(),
            finding: FINDING,
        })
    }

    /// From now on, raises `finding` while the file cannot be made again.
    pub(crate) fn report_as(&mut self, finding: &'static str, attention: Attention) {
        self.finding = finding;
        self.attention = attention;
    }

    /// The next client. A caller that drops this while the file is made again loses nothing: the
    /// next look finds it.
    pub(crate) async fn accept(&mut self) -> io::Result<UnixStream> {
        loop {
            tokio::select! {
                client = self.listener.accept() => return Ok(client?.0),
                () = sleep_until(self.next_look) => self.look().await,
            }
        }
    }

    /// Makes the file again if it is gone or is another one.
    async fn look(&mut self) {
        self.next_look = Instant::now() + LOOK;
        if self.file.is_some() && identity(&self.path) == self.file {
            return self.attention.clear(self.finding);
        }

        let path = self.path.clone();
        let group = self.group.clone();
        let made = spawn_blocking(move || {
            let listener = listen(&path, group.as_ref())?;
            anyhow::Ok((listener, identity(&path)))
        });
        match made.await.map_err(anyhow::Error::from).flatten() {
            Ok((listener, file)) => {
                self.listener = listener;
                self.file = file;
                self.attention.clear(self.finding);
                let path = self.path.display();
                tracing::warn!(%path, "A socket was removed, and is there again");
            }
            Err(error) => self.report(&error),
        }
    }

    fn report(&self, error: &anyhow::Error) {
        let path = self.path.display();

        self.attention.raise(
            self.finding,
            &format!("the socket {path} was removed, and cannot be made again: {error:#}"),
            "the gateway's user must be able to write to its directory, and nothing else may be in \
             its place; it is tried again every second",
        );
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::symlink_metadata(path).ok()?;

    Some((metadata.dev(), metadata.ino()))
}

fn listen(path: &Path, group: Option<&SocketGroup>) -> anyhow::Result<UnixListener> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    // Look the group up before the old file is removed: a wrong name must change nothing.
    let group = group.map(SocketGroup::look_up).transpose()?;
    remove_stale(path)?;

    let socket = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;
    // unix(7): the file gets the mode that the socket has, so that others cannot connect before the
    // mode is set.
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    fchmod(socket.as_fd(), Mode::from_bits_truncate(mode))?;
    socket
        .bind(&SockAddr::unix(path)?)
        .with_context(|| format!("cannot bind {}", path.display()))?;
    if let Some(group) = group {
        chown(path, None, Some(group.gid.as_raw()))
            .with_context(|| format!("cannot give {} to group {}", path.display(), group.name))?;
        // The umask may have removed the group's permissions.
        let permissions = std::os::unix::fs::PermissionsExt::from_mode(mode);
        fs::set_permissions(path, permissions)?;
    }
    // More than are served at once may wait: a dashboard can ask in bursts.
    socket.listen(128)?;
    Ok(UnixListener::from_std(socket.into())?)
}

/// True if there is a file at `path` that is not a socket, such as a key that was named by mistake.
pub(crate) fn is_other_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.file_type().is_socket())
}

/// A killed daemon leaves its socket file behind. Only connecting tells whether it is in use.
fn remove_stale(path: &Path) -> anyhow::Result<()> {
    // Connecting to a regular file is refused, too, as if its owner had been killed.
    if is_other_file(path) {
        bail!("{} is not a socket: it is left alone", path.display());
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM.cloexec().nonblocking(), None)?;

    match probe.connect(&SockAddr::unix(path)?) {
        Ok(()) => bail!("{}: another ringway answers on this socket", path.display()),
        // unix(7), EAGAIN: the queue is full, so a daemon exists, although it does not accept.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            bail!("{}: another ringway has this socket", path.display())
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        // There is no file, or `bind` will report what is wrong with it.
        Err(_) => Ok(()),
    }
}
