//! The receiving thread: UDP → TUN. Owns the socket's reading end, the opening of packets and the sink.
//!
//! ```text
//!  recvmsg: several datagrams joined (GRO)
//!     └─ each: top two bits 00?  no ─► sink.quic
//!          └─ header ─► session ─► path, phase, window, AEAD ─► packet: admit ─► batch ─► TUN, coalesced
//!                                                           └─► probe: echo, or event
//! ```
//! Every datagram of a buffer is classified alone: the kernel appends a short QUIC packet to a run of data.
//! A packet that fails is counted and ends nothing.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tun_rs::GROTable;

use crate::admit::admit;
use crate::counters::DropReason;
use crate::dataplane::Shared;
use crate::header::{self, HEADER_LEN, Header, Kind, TAG_LEN};
use crate::link::{self, Link};
use crate::packet::{HEADROOM, Packet};
use crate::probe::{self, Probe};
use crate::session::{Incoming, Path};
use crate::sink::{ControlSink, Event};
use crate::snapshot::Snapshot;
use crate::sys::control::Told;
use crate::sys::poll;

/// The kernel joins datagrams up to this many bytes.
const BUFFER: usize = 0xffff;

/// Packets that one write to the TUN device can take: as many as the kernel joins in one buffer.
const BATCH: usize = 64;

/// Packets, and receives, after which the batch is written although more may be waiting: packets that are
/// dropped must not hold up those that are not.
const ENOUGH: usize = BATCH / 2;

/// How long to leave a descriptor alone that fails for a reason that may pass.
pub(crate) const BACK_OFF: Duration = Duration::from_millis(50);

/// Where and when a buffer of datagrams arrived.
#[derive(Clone, Copy)]
struct Arrival {
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: Option<u8>,
    /// Since the thread started.
    at: Duration,
}

/// The receiving thread's state.
pub(crate) struct Receive<'a, S> {
    shared: &'a Shared,
    link: Link<'a>,
    sink: &'a mut S,
    packets: Vec<Packet>,
    filled: usize,
    /// Since the batch was written.
    receives: usize,
    coalescing: GROTable,
    started: Instant,
}

impl<'a, S: ControlSink> Receive<'a, S> {
    pub(crate) fn new(shared: &'a Shared, sink: &'a mut S) -> io::Result<Self> {
        Ok(Receive {
            shared,
            link: Link::of(&shared.socket)?,
            sink,
            packets: std::iter::repeat_with(Packet::new).take(BATCH).collect(),
            filled: 0,
            receives: 0,
            coalescing: GROTable::new(),
            started: Instant::now(),
        })
    }

    /// Receives until it is time to stop. Error: the socket is gone.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while !self.shared.halt.is_set() {
            match self.link.receive(&mut buffer) {
                Ok((len, from, told)) => self.handle(&buffer[..len], from, told),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.flush();
                    poll::wait(Some(self.shared.socket.as_fd()), self.shared.halt.signal(), None)?;
                }
                Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ENOTSOCK)) => {
                    return Err(error);
                }
                // An ICMP error that something sent earlier has met, or an interruption: read on.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
                Err(_) => poll::wait(None, self.shared.halt.signal(), Some(BACK_OFF))?,
            }
        }
        Ok(())
    }

    /// Handles what one recvmsg(2) gave: one datagram, or several of the same length and a last one.
    fn handle(&mut self, buffer: &[u8], from: SocketAddr, told: Told) {
        let shared = self.shared;
        let snapshot = shared.snapshot.load();
        let arrival = Arrival { from, to: told.to, ecn: told.ecn, at: self.started.elapsed() };
        if buffer.is_empty() {
            shared.counters.drop_packet(DropReason::Short);
        }
        for datagram in buffer.chunks(told.segment.unwrap_or(BUFFER)) {
            if header::is_data(datagram) {
                self.handle_data(&snapshot, datagram, &arrival);
            } else if !self.sink.quic(datagram, arrival.from, arrival.to, arrival.ecn) {
                shared.counters.drop_packet(DropReason::QuicQueueFull);
            }
        }
        self.receives += 1;
        if self.filled >= ENOUGH || self.receives >= ENOUGH {
            self.flush();
        }
    }

    fn handle_data(&mut self, snapshot: &Snapshot, datagram: &[u8], arrival: &Arrival) {
        let parts = match Header::split(datagram) {
            Ok(parts) => parts,
            Err(reason) => return self.shared.counters.drop_packet(reason),
        };
        let Some(session) = snapshot.incoming(parts.0.index) else {
            return self.shared.counters.drop_packet(DropReason::UnknownIndex);
        };
        if let Err(reason) = self.accept(snapshot, session, parts, arrival) {
            session.counters().drop_packet(reason);
        }
    }

    /// Opens a packet into the next free buffer of the batch, and passes it on.
    fn accept(
        &mut self,
        snapshot: &Snapshot,
        session: &Incoming,
        (header, additional, sealed): (Header, &[u8; HEADER_LEN], &[u8]),
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let on_path = session.expect_from(arrival.from, arrival.at)?;
        let len = sealed.len() - TAG_LEN;
        let plain = self.packets[self.filled].make_room(len);
        let newest = session.open(&header, additional, sealed, plain)?;
        self.tell(session, on_path, newest, arrival);
        match header.kind {
            Kind::Packet => self.accept_packet(snapshot, session, len),
            Kind::Probe => self.accept_probe(session, arrival),
        }
    }

    /// Tells the control plane what an authenticated packet proves.
    fn tell(&mut self, session: &Incoming, on_path: bool, newest: bool, arrival: &Arrival) {
        let index = session.index();
        if !session.is_proved() && self.sink.event(Event::Proved { index }) {
            session.set_proved();
        }
        if !on_path && newest && session.may_report(arrival.at) {
            self.offer(session, Event::OffPath { index, from: arrival.from, to: arrival.to });
        }
    }

    /// The opened packet joins the batch if it passes the checks.
    fn accept_packet(
        &mut self,
        snapshot: &Snapshot,
        session: &Incoming,
        len: usize,
    ) -> Result<(), DropReason> {
        admit(snapshot, session.site(), &self.packets[self.filled].as_ref()[HEADROOM..])?;
        session.counters().received(len);
        self.filled += 1;
        if self.filled == self.packets.len() {
            self.flush();
        }
        Ok(())
    }

    /// A probe is echoed to where it came from; an echo is reported.
    fn accept_probe(&mut self, session: &Incoming, arrival: &Arrival) -> Result<(), DropReason> {
        let Arrival { from, to, at, .. } = *arrival;
        match Probe::decode(&self.packets[self.filled].as_ref()[HEADROOM..])? {
            Probe::Echo(probe) => {
                self.offer(session, Event::Echo { index: session.index(), probe, from, to });
                Ok(())
            }
            Probe::Ask(probe) => {
                let answer =
                    session.answer().filter(|_| session.may_echo(at)).ok_or(DropReason::EchoLimit)?;
                let sent = probe::send(&self.link, &answer, Probe::Echo(probe), &Path::new(from, to));
                sent.or_else(|error| link::lost_by(&error).map_or(Ok(()), Err))
            }
        }
    }

    fn offer(&mut self, session: &Incoming, event: Event) {
        if !self.sink.event(event) {
            session.counters().drop_packet(DropReason::EventQueueFull);
        }
    }

    /// Writes the batch to the TUN device, neighbours of a flow joined.
    fn flush(&mut self) {
        let count = std::mem::take(&mut self.filled);
        self.receives = 0;
        if count == 0 {
            return;
        }
        let batch = &mut self.packets[..count];
        if let Err(error) = self.shared.tun.send_multiple(&mut self.coalescing, batch, HEADROOM) {
            // A device that is down refuses all of them; else tun-rs tells of one packet and wrote the others.
            let lost = if error.raw_os_error() == Some(libc::EIO) { count } else { 1 };
            self.shared.counters.drop_packets(DropReason::TunWrite, lost);
        }
    }
}
