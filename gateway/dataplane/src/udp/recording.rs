//! [`Recording`]: a socket for tests that notes each send, and refuses those that a test chooses.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;

use super::{Metadata, Udp};
use crate::session::Path;
use crate::traffic_class::TrafficClass;

/// One send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) remote: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) segment: Option<u16>,
    pub(crate) class: TrafficClass,
    /// The identification of its fragments, if it went in fragments.
    pub(crate) fragments: Option<u32>,
}

type Refuses = fn(&Sent) -> Option<i32>;

/// See the head of this file.
pub(crate) struct Recording {
    /// Always writable.
    file: File,
    refuses: Refuses,
    sent: Mutex<Vec<Sent>>,
}

impl Recording {
    /// A socket that fails a send for which `refuses` gives an error number.
    pub(crate) fn new(refuses: Refuses) -> Recording {
        Recording {
            file: File::options().write(true).open("/dev/null").unwrap(),
            refuses,
            sent: Mutex::default(),
        }
    }

    /// What was sent since the last call, without what was refused.
    pub(crate) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap())
    }

    fn note(&self, sent: Sent) -> io::Result<()> {
        if let Some(error) = (self.refuses)(&sent) {
            return Err(io::Error::from_raw_os_error(error));
        }
        self.sent.lock().unwrap().push(sent);
        Ok(())
    }
}

impl Udp for Recording {
    fn send_as(
        &self,
        path: &Path,
        payload: &[u8],
        segment: Option<u16>,
        class: TrafficClass,
    ) -> io::Result<()> {
        self.note(Sent {
            remote: path.remote(),
            bytes: payload.to_vec(),
            segment,
            class,
            fragments: None,
        })
    }

    fn send_unfragmented(&self, path: &Path, payload: &[u8]) -> io::Result<()> {
        self.send(path, payload, None)
    }

    fn send_in_fragments(
        &self,
        path: &Path,
        payload: &[u8],
        id: u32,
        class: TrafficClass,
    ) -> io::Result<()> {
        self.note(Sent {
            remote: path.remote(),
            bytes: payload.to_vec(),
            segment: None,
            class,
            fragments: Some(id),
        })
    }

    fn receive(&self, _: &mut [u8]) -> io::Result<Metadata> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl AsFd for Recording {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
