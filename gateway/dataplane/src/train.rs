//! [`Train`]: datagrams to one peer that leave in one sendmsg(2), cut apart by the kernel (UDP_SEGMENT, udp(7)).
//!
//! Owns which datagrams may travel together, and what is done and counted when the kernel refuses: a train
//! that cannot be cut goes car by car, so that nothing is lost by having been joined.

use std::io::IoSlice;

use crate::header::OVERHEAD;
use crate::link::{self, Link, MAX_SEGMENTS, MAX_SEND};
use crate::session::Outgoing;

/// Datagrams of one length, the last one perhaps shorter.
pub(crate) struct Train<'a> {
    cars: [IoSlice<'a>; MAX_SEGMENTS],
    count: usize,
    bytes: usize,
    most: usize,
}

impl<'a> Train<'a> {
    /// An empty train; of one car only, if the kernel cannot cut them apart.
    pub(crate) fn new(cut: bool) -> Train<'a> {
        let most = if cut { MAX_SEGMENTS } else { 1 };
        Train { cars: [IoSlice::new(&[]); MAX_SEGMENTS], count: 0, bytes: 0, most }
    }

    /// True if `datagram` may follow: only the last may be shorter than the first.
    pub(crate) fn takes(&self, datagram: &[u8]) -> bool {
        let Some(last) = self.count.checked_sub(1).map(|last| self.cars[last].len()) else { return true };
        let first = self.cars[0].len();
        self.count < self.most
            && last == first
            && datagram.len() <= first
            && self.bytes + datagram.len() <= MAX_SEND
    }

    /// Appends a datagram that the train [`Train::takes`].
    pub(crate) fn push(&mut self, datagram: &'a [u8]) {
        self.cars[self.count] = IoSlice::new(datagram);
        self.count += 1;
        self.bytes += datagram.len();
    }

    /// Sends and counts. False if the kernel can cut no runs at all.
    pub(crate) fn send(&self, link: &Link<'_>, session: &Outgoing) -> bool {
        let (cars, path) = (&self.cars[..self.count], session.path());
        let segment = if self.count > 1 { u16::try_from(cars[0].len()).ok() } else { None };
        let error = match link.send(&path, cars, segment) {
            Ok(()) => {
                session.counters().sent(self.count, self.bytes - self.count * OVERHEAD);
                return true;
            }
            Err(error) => error,
        };
        match error.raw_os_error() {
            // EIO: the device cannot checksum the pieces. The others: a piece is larger than the path takes
            // in one frame; alone it will be fragmented.
            Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE) if segment.is_some() => {
                for car in cars {
                    let mut alone = Train::new(false);
                    alone.push(car);
                    alone.send(link, session);
                }
                error.raw_os_error() != Some(libc::EIO)
            }
            _ => {
                if let Some(reason) = link::lost_by(&error) {
                    session.counters().drop_packets(reason, self.count);
                }
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_car_is_shorter() {
        let (long, short, longer) = ([0; 100], [0; 60], [0; 101]);
        let mut train = Train::new(true);
        assert!(train.takes(&longer));
        train.push(&long);
        assert!(train.takes(&long) && train.takes(&short) && !train.takes(&longer));
        train.push(&short);
        assert!(!train.takes(&short) && !train.takes(&long));
    }

    #[test]
    fn a_train_ends_where_the_kernel_would_refuse_it() {
        let fill = |car: &[u8], cut| {
            let mut train = Train::new(cut);
            while train.takes(car) {
                train.push(car);
            }
            train.count
        };
        assert_eq!(fill(&[0; 100], true), MAX_SEGMENTS);
        assert_eq!(fill(&[0; 1452], true), MAX_SEND / 1452);
        assert_eq!(fill(&[0; 100], false), 1);
    }
}
