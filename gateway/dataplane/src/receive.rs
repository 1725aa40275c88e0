//! The receiving thread: UDP → TUN. Owns the socket's reading end, the opening of packets and the sink.
//!
//! ```text
//!  recvmsg: several datagrams joined (GRO)
//!     └─ each: top two bits 00?  no ─► sink.quic
//!          └─ header ─► session ─► path, phase, window, AEAD ─► packet: admit ─► coalesce ─► TUN
//!                                                           └─► probe: echo, or event
//! ```
//! Every datagram of a buffer is classified alone: the kernel appends a short QUIC packet to a run of data.
//! A packet that fails is counted and ends nothing. Packets are opened in place and written to the TUN device
//! from where they lie: buffers are filled behind each other until the socket is empty, or no room is left,
//! so that a super-packet which had to cross in two sends is one again. A buffer is judged by tables that were
//! loaded after it came: the first packet of a new session may follow close upon its keys.

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::admit::Gate;
use crate::coalesce::Coalesce;
use crate::counters::DropReason;
use crate::dataplane::Shared;
use crate::header::{self, Checksum, HEADER_LEN, Header, Kind, TAG_LEN};
use crate::link::{self, Link};
use crate::mss;
use crate::offload::OFFLOAD_LEN;
use crate::probe::{self, Probe};
use crate::session::{Incoming, Path};
use crate::sink::{ControlSink, Event};
use crate::snapshot::Snapshot;
use crate::sys::control::Told;
use crate::sys::poll;
use crate::transport::Transport;

/// The kernel joins datagrams up to this many bytes.
const BUFFER: usize = 0xffff;

/// Bytes in which buffers lie behind each other: at least four, or many short ones.
const ROOM: usize = 4 * BUFFER;

/// Receives after which what was joined is written although more may be waiting.
const ENOUGH: usize = 64;

/// How long to leave a descriptor alone that fails for a reason that may pass.
pub(crate) const BACK_OFF: Duration = Duration::from_millis(50);

/// Where and when a buffer of datagrams arrived.
#[derive(Clone, Copy)]
struct Arrival {
    from: SocketAddr,
    to: Option<IpAddr>,
    /// When the first buffer of its room was received. Sessions and peers, which outlive this thread, compare
    /// it with what other threads give them.
    at: Instant,
}

/// What one recvmsg(2) gave.
struct Received<'b> {
    buffer: &'b mut [u8],
    arrival: Arrival,
    told: Told,
}

/// What may be received before what was joined must be written.
struct Room<'b> {
    left: &'b mut [u8],
    receives: usize,
    /// When it began to be filled.
    at: Instant,
}

/// What the datagrams of neighbouring buffers share, lookups that they repeat among it.
struct Batch<'b, 's, W> {
    snapshot: &'s Snapshot,
    gate: Gate<'s>,
    /// The session of the buffer's last datagram, which was on its path.
    session: Option<&'s Arc<Incoming>>,
    joined: Coalesce<'b, W>,
}

/// The receiving thread's state.
pub(crate) struct Receive<'a, S> {
    shared: &'a Shared,
    link: Link<'a>,
    sink: &'a mut S,
}

impl<'a, S: ControlSink> Receive<'a, S> {
    pub(crate) fn new(shared: &'a Shared, sink: &'a mut S) -> io::Result<Self> {
        Ok(Receive {
            shared,
            link: Link::of(&shared.socket)?,
            sink,
        })
    }

    /// Receives until it is time to stop. Error: the socket is gone.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut room = vec![0; ROOM];
        while !self.shared.halt.is_set() {
            match self.drain(&mut room) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll::wait(
                        Some(self.shared.socket.as_fd()),
                        self.shared.halt.signal(),
                        None,
                    )?;
                }
                Err(error)
                    if matches!(error.raw_os_error(), Some(libc::EBADF | libc::ENOTSOCK)) =>
                {
                    return Err(error);
                }
                // An ICMP error that something sent earlier has met, or an interruption: read on.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionRefused
                    ) => {}
                Err(_) => poll::wait(None, self.shared.halt.signal(), Some(BACK_OFF))?,
            }
        }
        Ok(())
    }

    /// Handles what the socket has, as far as there is room. Error: the socket's, and nothing is left behind.
    fn drain(&mut self, room: &mut [u8]) -> io::Result<()> {
        let mut room = Room {
            left: room,
            receives: ENOUGH,
            at: Instant::now(),
        };
        let mut next = self.receive(&mut room)?;
        while let Some(first) = next {
            next = self.handle_batch(first, &mut room)?;
        }
        Ok(())
    }

    /// What one recvmsg(2) gives; `None`: enough for now.
    fn receive<'b>(&mut self, room: &mut Room<'b>) -> io::Result<Option<Received<'b>>> {
        let left = mem::take(&mut room.left);
        if room.receives == 0 || left.len() < BUFFER {
            return Ok(None);
        }
        room.receives -= 1;
        let (len, from, told) = self.link.receive(&mut left[..BUFFER])?;
        let (buffer, left) = left.split_at_mut(len);
        room.left = left;
        Ok(Some(Received {
            buffer,
            arrival: Arrival {
                from,
                to: told.to,
                at: room.at,
            },
            told,
        }))
    }

    /// Handles `first`, and what follows for as long as the tables stay what they are. Gives what came after a
    /// change: it may belong to a session that only the new tables have.
    fn handle_batch<'b>(
        &mut self,
        first: Received<'b>,
        room: &mut Room<'b>,
    ) -> io::Result<Option<Received<'b>>> {
        let shared = self.shared;
        let snapshot = shared.snapshot.load();
        let write = |parts: &[IoSlice<'_>], packets| {
            // A device that is down refuses.
            if shared.tun.write(parts).is_err() {
                shared.counters.drop_packets(DropReason::TunWrite, packets);
            }
        };
        let joined = Coalesce::new(shared.tun.joins_udp(), write);
        let gate = Gate::new(&snapshot);
        let mut batch = Batch {
            snapshot: &snapshot,
            gate,
            session: None,
            joined,
        };
        let mut next = Ok(Some(first));
        while let Ok(Some(received)) = next {
            self.handle(&mut batch, received);
            next = self.receive(room);
            if !Arc::ptr_eq(&snapshot, &shared.snapshot.load()) {
                break;
            }
        }
        batch.joined.flush();
        next
    }

    /// Handles one datagram, or several of the same length and a last one.
    fn handle<'b, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, '_, W>,
        received: Received<'b>,
    ) {
        let Received {
            buffer,
            arrival,
            told,
        } = received;
        let counters = &self.shared.counters;
        if buffer.is_empty() {
            counters.drop_packet(DropReason::Short);
        }
        batch.session = None;
        for datagram in buffer.chunks_mut(told.segment.unwrap_or(BUFFER)) {
            if header::is_data(datagram) {
                self.handle_data(batch, &arrival, datagram);
            } else if !self.sink.quic(datagram, arrival.from, arrival.to, told.ecn) {
                counters.drop_packet(DropReason::QuicQueueFull);
            }
        }
    }

    fn handle_data<'b, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, '_, W>,
        arrival: &Arrival,
        datagram: &'b mut [u8],
    ) {
        let counters = &self.shared.counters;
        let header = match Header::split(datagram) {
            Ok((header, ..)) => header,
            Err(reason) => return counters.drop_packet(reason),
        };
        let known = batch
            .session
            .filter(|session| session.index() == header.index);
        let Some(session) = known.or_else(|| batch.snapshot.incoming(header.index)) else {
            return counters.drop_packet(DropReason::UnknownIndex);
        };
        if let Err(reason) = self.accept(batch, arrival, session, known.is_some(), datagram) {
            session.counters().drop_packet(reason);
        }
    }

    /// Opens a packet in place and passes it on. `on_path` if its source is known to be the peer's.
    fn accept<'b, 's, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, 's, W>,
        arrival: &Arrival,
        session: &'s Arc<Incoming>,
        on_path: bool,
        datagram: &'b mut [u8],
    ) -> Result<(), DropReason> {
        let (header, additional, sealed) = Header::split(datagram)?;
        let on_path = on_path || session.expect_from(arrival.from, header.kind, arrival.at)?;
        batch.session = on_path.then_some(session);
        let newest = session.open(&header, additional, sealed)?;
        self.tell(session, on_path, newest, arrival);
        let payload = HEADER_LEN..datagram.len() - TAG_LEN;
        let Kind::Packet(checksum) = header.kind else {
            return self.accept_probe(session, &datagram[payload], arrival);
        };
        let packet = &datagram[payload.clone()];
        batch.gate.admit(session.site(), packet)?;
        let transport = Transport::locate(packet);
        if checksum == Checksum::Partial && transport.is_none() {
            return Err(DropReason::Malformed);
        }
        session.counters().received(packet.len());
        if let Some(transport) = transport.filter(|transport| mss::applies_to(packet, transport))
            && let Some(back) = session.answer()
        {
            mss::clamp(
                &mut datagram[payload.clone()],
                &transport,
                checksum,
                back.room(),
            );
        }
        // The header was read: the TUN device's takes its place.
        batch.joined.push(
            &mut datagram[payload.start - OFFLOAD_LEN..payload.end],
            checksum,
            transport,
        );
        Ok(())
    }

    /// Tells the control plane what an authenticated packet proves.
    fn tell(&mut self, session: &Incoming, on_path: bool, newest: bool, arrival: &Arrival) {
        let index = session.index();
        if !session.is_proved() && self.sink.event(Event::Proved { index }) {
            session.set_proved();
        }
        if !on_path && newest && session.may_report(arrival.at) {
            self.offer(
                session,
                Event::OffPath {
                    index,
                    from: arrival.from,
                    to: arrival.to,
                },
            );
        }
    }

    /// A probe is echoed to where it came from; an echo is reported.
    fn accept_probe(
        &mut self,
        session: &Incoming,
        payload: &[u8],
        arrival: &Arrival,
    ) -> Result<(), DropReason> {
        let Arrival { from, to, at } = *arrival;
        match Probe::decode(payload)? {
            Probe::Echo(probe) => {
                if !session.peer().may_be_heard(at) {
                    return Err(DropReason::EchoLimit);
                }
                self.offer(
                    session,
                    Event::Echo {
                        index: session.index(),
                        probe,
                        from,
                        to,
                    },
                );
                Ok(())
            }
            Probe::Ask(probe) => {
                let answer = session
                    .answer()
                    .filter(|_| session.peer().may_echo(at))
                    .ok_or(DropReason::EchoLimit)?;
                let sent = probe::send(
                    &self.link,
                    &answer,
                    Probe::Echo(probe),
                    &Path::new(from, to),
                );
                sent.or_else(|error| link::lost_by(&error).map_or(Ok(()), Err))
            }
        }
    }

    fn offer(&mut self, session: &Incoming, event: Event) {
        if !self.sink.event(event) {
            session.counters().drop_packet(DropReason::EventQueueFull);
        }
    }
}
