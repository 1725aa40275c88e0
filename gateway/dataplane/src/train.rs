//! [`Train`]: datagrams to one peer that leave in one sendmsg(2), cut apart by the kernel (UDP_SEGMENT, udp(7)).
//!
//! Owns the buffer that packets are sealed in, which datagrams may travel together, and what is done and
//! counted when the kernel refuses: a train that cannot be cut goes car by car, so that nothing is lost by
//! having been joined. A packet that does not fit the path goes alone, in fragments.
//!
//! ```text
//!  loading ─► takes? ─► slot: packet written ─► couple: sealed ─► ... ─► leave
//!                └─ no: leave first
//! ```

use std::io;
use std::sync::Arc;

use crate::counters::DropReason;
use crate::header::{Checksum, HEADER_LEN, Kind, OVERHEAD, TAG_LEN};
use crate::link::{self, Link, MAX_SEGMENTS, MAX_SEND};
use crate::session::Outgoing;

/// Datagrams of one length behind each other, the last one perhaps shorter.
pub(crate) struct Train {
    bytes: Box<[u8]>,
    len: usize,
    session: Option<Arc<Outgoing>>,
    count: usize,
    /// Length of the first car, and of the last.
    first: usize,
    last: usize,
    /// One, once the kernel said that it cannot cut.
    most: usize,
}

impl Train {
    pub(crate) fn new() -> Train {
        let bytes = vec![0; MAX_SEND].into();
        Train {
            bytes,
            len: 0,
            session: None,
            count: 0,
            first: 0,
            last: 0,
            most: MAX_SEGMENTS,
        }
    }

    /// Seals one more packet of `session`, of `packet` bytes, which `write` puts where it is told. What may not
    /// travel with it leaves before. Errors: [`DropReason::TooBig`], [`DropReason::Exhausted`].
    pub(crate) fn load(
        &mut self,
        link: &Link<'_>,
        session: &Arc<Outgoing>,
        number: u64,
        (checksum, packet): (Checksum, usize),
        write: impl FnOnce(&mut [u8]),
    ) -> Result<(), DropReason> {
        let len = packet + OVERHEAD;
        if len > MAX_SEND {
            return Err(DropReason::TooBig);
        }
        let fits = packet <= session.room();
        if !fits || !self.takes(session, len) {
            self.leave(link);
        }
        let car = &mut self.bytes[self.len..self.len + len];
        write(&mut car[HEADER_LEN..len - TAG_LEN]);
        session.seal(Kind::Packet(checksum), number, car)?;
        self.couple(session, len);
        if !fits {
            self.leave_in_fragments(link);
        }
        Ok(())
    }

    /// True if a datagram of `len` bytes may follow: only the last may be shorter than the first.
    fn takes(&self, session: &Arc<Outgoing>, len: usize) -> bool {
        let Some(ours) = &self.session else {
            return true;
        };
        Arc::ptr_eq(ours, session)
            && self.count < self.most
            && self.last == self.first
            && len <= self.first
            && self.len + len <= MAX_SEND
    }

    fn couple(&mut self, session: &Arc<Outgoing>, len: usize) {
        if self.session.is_none() {
            (self.session, self.first) = (Some(session.clone()), len);
        }
        self.last = len;
        self.len += len;
        self.count += 1;
    }

    /// The same for one packet that is too long for the path.
    fn leave_in_fragments(&mut self, link: &Link<'_>) {
        (self.count, self.len) = (0, 0);
        let Some(session) = self.session.take() else {
            return;
        };
        let bytes = &self.bytes[..self.first];
        told(
            &session,
            1,
            self.first,
            link.send_in_fragments(&session.path(), bytes, id_of(bytes)),
        );
    }

    /// Sends and counts what was loaded.
    pub(crate) fn leave(&mut self, link: &Link<'_>) {
        let (len, count) = (
            std::mem::take(&mut self.len),
            std::mem::take(&mut self.count),
        );
        let Some(session) = self.session.take() else {
            return;
        };
        let bytes = &self.bytes[..len];
        if count == 1 {
            return alone(link, &session, bytes);
        }
        let sent = link.send_along(&session, bytes, u16::try_from(self.first).ok());
        match sent.as_ref().err().and_then(io::Error::raw_os_error) {
            // EIO: the device cannot checksum the pieces. The others: the link has become too small for a piece;
            // alone it will be fragmented.
            Some(error @ (libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => {
                if error == libc::EIO {
                    self.most = 1;
                }
                for car in bytes.chunks(self.first) {
                    alone(link, &session, car);
                }
            }
            _ => told(&session, count, len, sent),
        }
    }
}

/// Sends one datagram, in fragments if the link has become too small for it.
fn alone(link: &Link<'_>, session: &Outgoing, bytes: &[u8]) {
    let sent = link
        .send_along(session, bytes, None)
        .or_else(|error| match error.raw_os_error() {
            Some(libc::EMSGSIZE) => link.send_in_fragments(&session.path(), bytes, id_of(bytes)),
            _ => Err(error),
        });
    told(session, 1, bytes.len(), sent);
}

/// What tells the fragments of a sealed packet from others': the low half of its number.
fn id_of(bytes: &[u8]) -> u32 {
    bytes[12..HEADER_LEN]
        .iter()
        .fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// Counts what the kernel told of `count` datagrams.
fn told(session: &Outgoing, count: usize, bytes: usize, sent: io::Result<()>) {
    match sent {
        Ok(()) => session.counters().sent(count, bytes - count * OVERHEAD),
        Err(error) => {
            if let Some(reason) = link::lost_by(&error) {
                session.counters().drop_packets(reason, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Aead, Secret};
    use crate::peer::Peer;
    use crate::session::Path;

    fn session() -> Arc<Outgoing> {
        let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
        let secret = Secret::new([7; 48]);
        Arc::new(Outgoing::new(
            9,
            Aead::Aes128Gcm,
            &secret,
            path,
            Arc::new(Peer::new()),
        ))
    }

    #[test]
    fn only_the_last_car_is_shorter() {
        let (session, mut train) = (session(), Train::new());
        assert!(train.takes(&session, 101));
        train.couple(&session, 100);
        assert!(
            train.takes(&session, 100) && train.takes(&session, 60) && !train.takes(&session, 101)
        );
        train.couple(&session, 60);
        assert!(!train.takes(&session, 60) && !train.takes(&session, 100));
    }

    #[test]
    fn a_train_goes_to_one_peer() {
        let mut train = Train::new();
        train.couple(&session(), 100);
        assert!(!train.takes(&session(), 100));
    }

    #[test]
    fn a_train_ends_where_the_kernel_would_refuse_it() {
        let fill = |len, most| {
            let (session, mut train) = (session(), Train::new());
            train.most = most;
            while train.takes(&session, len) {
                train.couple(&session, len);
            }
            train.count
        };
        assert_eq!(fill(100, MAX_SEGMENTS), MAX_SEGMENTS);
        assert_eq!(fill(1452, MAX_SEGMENTS), MAX_SEND / 1452);
        assert_eq!(fill(100, 1), 1);
    }
}
