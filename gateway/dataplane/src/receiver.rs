//! [`Receiver`]: the receiving thread, UDP to TUN. Owns the socket's reading end, the opening of
//! packets and the sink.
//!
//! ```text
//!  receive: several datagrams joined (GRO)
//!     └─ each: top two bits 00?  no ─► sink.quic
//!          └─ header ─► session ─► path, phase, window, AEAD
//!               ├─► packet: admit ─► filter ─► coalesce ─► TUN
//!               │     │                └─ of no flow here ─► another gateway of this site
//!               │     └─ passed on by such a gateway ─► filter ─► sealed for another site ─► UDP
//!               └─► probe: echo, or event
//! ```
//! Every datagram of a buffer is classified by itself: the kernel appends a short QUIC packet to a
//! run of data packets. A packet that fails is counted and ends nothing.
//!
//! Packets are opened in place and written to the TUN device from where they lie. Buffers are
//! filled behind each other until the socket is empty or the memory is used up, so that a
//! super-packet that had to cross in two sends is joined again. A buffer is judged by tables that
//! were loaded after it came, because the first packet of a new session may follow closely upon its
//! keys.

mod control;
mod handed;
mod passing;

use std::io::{self, ErrorKind, IoSlice};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_filter::{Neighbour, Verdict, WAIT, Waiting};

use self::passing::Passing;
use crate::admit::{self, AdmitCache, admit};
use crate::answer::Answer;
use crate::coalesce::Coalesce;
use crate::counters::DropReason;
use crate::dataplane::Lane;
use crate::header::{self, Checksum, HEADER_LEN, Header, Kind, OVERHEAD, TAG_LEN};
use crate::mss;
use crate::offload::{OFFLOAD_LEN, Offload};
use crate::session::{Incoming, Outgoing};
use crate::sink::ControlSink;
use crate::snapshot::{SiteNo, Snapshot};
use crate::sys::poll;
use crate::traffic_class::{self, TrafficClass};
use crate::transport::Transport;
use crate::tun::Tun;
use crate::turns::Turns;
use crate::udp::{self, MAX_RECEIVE, Metadata, Udp};

/// Bytes in which receive buffers lie behind each other: at least four full ones, or many short
/// ones.
const BUFFER_LEN: usize = 4 * MAX_RECEIVE;

/// Receives after which joined packets are written although more may be waiting.
const MAX_RECEIVES: usize = 64;

/// How long a descriptor is left alone that fails for a reason that may pass.
pub(crate) const BACK_OFF: Duration = Duration::from_millis(50);

/// Where and when a buffer of datagrams arrived.
#[derive(Clone, Copy)]
struct Arrival {
    from: SocketAddr,
    to: Option<IpAddr>,
    ecn: u8,
    at: Instant,
}

/// The result of one receive.
struct Received<'b> {
    bytes: &'b mut [u8],
    metadata: Metadata,
    at: Instant,
}

/// Memory for receives up to the next write to the TUN device.
struct Buffer<'b> {
    free: &'b mut [u8],
    receives_left: usize,
    /// When the first receive into it began. One reading of the clock serves them all.
    at: Instant,
}

/// Datagrams that are judged by the same tables, and lookups that neighbours share.
struct Batch<'b, 's, W> {
    snapshot: &'s Snapshot,
    admitted: AdmitCache<'s>,
    passed: Neighbour<'s>,
    /// The session of the buffer's previous datagram, if that came from the peer's address.
    on_path: Option<&'s Arc<Incoming>>,
    coalesce: Coalesce<'b, W>,
}

/// The receiving thread's state.
pub(crate) struct Receiver<'a, T, U, S> {
    lane: &'a Lane<T, U>,
    sink: &'a mut S,
    /// Later fragments whose first has not come yet.
    fragments: Waiting,
    /// What sends packets that another gateway of this site has passed on; `None` before the first.
    passing: Option<Passing>,
}

impl<'a, T: Tun, U: Udp, S: ControlSink> Receiver<'a, T, U, S> {
    pub(crate) fn new(lane: &'a Lane<T, U>, sink: &'a mut S) -> Self {
        Receiver {
            lane,
            sink,
            fragments: Waiting::new(),
            passing: None,
        }
    }

    /// Receives until shutdown is requested. Error: the socket is gone.
    pub(crate) fn run(&mut self, turns: &Turns) -> io::Result<()> {
        let mut memory = vec![0; BUFFER_LEN];
        let shutdown = self.lane.shutdown.as_fd();

        while !self.lane.shutdown.is_requested() {
            turns.begin();
            let drained = self.drain(&mut memory);
            self.release_fragments();
            let Err(error) = drained else {
                continue;
            };
            turns.rest();

            match (error.kind(), error.raw_os_error()) {
                (ErrorKind::WouldBlock, _) => {
                    // Fragments must not wait for ever.
                    let timeout = (!self.fragments.is_empty()).then_some(WAIT);
                    poll::wait(Some(self.lane.udp.as_fd()), shutdown, timeout)?;
                }
                // Read on after an interruption, or the ICMP error of an earlier datagram.
                (ErrorKind::Interrupted | ErrorKind::ConnectionRefused, _) => {}
                (_, Some(libc::EBADF | libc::ENOTSOCK)) => return Err(error),
                _ => {
                    poll::wait(None, shutdown, Some(BACK_OFF))?;
                }
            }
        }
        Ok(())
    }

    /// Handles what the socket has, as far as `memory` suffices. Error: the socket's; what was
    /// received before it has been handled.
    fn drain(&mut self, memory: &mut [u8]) -> io::Result<()> {
        let mut buffer = Buffer {
            free: memory,
            receives_left: MAX_RECEIVES,
            at: self.lane.udp.now(),
        };

        let mut next = self.receive(&mut buffer)?;
        while let Some(first) = next {
            next = self.handle_batch(first, &mut buffer)?;
        }

        Ok(())
    }

    /// One receive; `None` if what was joined must be written first.
    fn receive<'b>(&mut self, buffer: &mut Buffer<'b>) -> io::Result<Option<Received<'b>>> {
        let free = mem::take(&mut buffer.free);
        if buffer.receives_left == 0 || free.len() < MAX_RECEIVE {
            return Ok(None);
        }

        // A full receive fits, whatever the kernel has joined.
        buffer.receives_left -= 1;

        let metadata = self.lane.udp.receive(&mut free[..MAX_RECEIVE])?;
        let (bytes, free) = free.split_at_mut(metadata.len);
        buffer.free = free;
        Ok(Some(Received {
            bytes,
            metadata,
            at: buffer.at,
        }))
    }

    /// Handles `first` and what follows for as long as the tables stay the same. Gives the first
    /// receive after a change: it may belong to a session that only the new tables have.
    fn handle_batch<'b>(
        &mut self,
        first: Received<'b>,
        buffer: &mut Buffer<'b>,
    ) -> io::Result<Option<Received<'b>>> {
        let lane = self.lane;
        let snapshot = lane.snapshot.load();

        let write = |parts: &[IoSlice<'_>], packets| {
            // A device that is down refuses.
            if lane.tun.write(parts).is_err() {
                lane.counters.drop_packets(DropReason::TunWrite, packets);
            }
        };
        let mut batch = Batch {
            snapshot: &snapshot,
            admitted: AdmitCache::new(&snapshot),
            passed: Neighbour::new(&lane.filter),
            on_path: None,
            coalesce: Coalesce::new(lane.tun.segments_udp(), write),
        };

        let mut next = Ok(Some(first));
        while let Ok(Some(received)) = next {
            self.handle(&mut batch, received);
            next = self.receive(buffer);
            // Loaded after the receive: its first packets may be of a session that is just
            // published.
            if !Arc::ptr_eq(&snapshot, &lane.snapshot.load()) {
                break;
            }
        }
        batch.coalesce.flush();
        self.flush_passed_on();
        next
    }

    /// Handles one datagram, or several of one length and a last one.
    fn handle<'b, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, '_, W>,
        received: Received<'b>,
    ) {
        let Metadata {
            from,
            to,
            segment,
            ecn,
            lost,
            ..
        } = received.metadata;
        let arrival = Arrival {
            from,
            to,
            // What the kernel does not say changes nothing.
            ecn: ecn.unwrap_or(0),
            at: received.at,
        };

        let counters = &self.lane.counters;
        if received.bytes.is_empty() {
            counters.drop_packet(DropReason::Short);
        }
        if lost > 0 {
            counters.drop_packets(DropReason::SocketQueue, lost as usize);
        }

        // Another buffer may have come from elsewhere.
        batch.on_path = None;
        for datagram in received.bytes.chunks_mut(segment.unwrap_or(MAX_RECEIVE)) {
            if header::is_data(datagram) {
                self.handle_data(batch, &arrival, datagram);
            } else if !self.sink.quic(datagram, from, to, ecn) {
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
        let counters = &self.lane.counters;
        let header = match Header::decode(datagram) {
            Ok(header) => header,
            Err(reason) => return counters.drop_packet(reason),
        };

        // Neighbours are mostly of one session: no lookup, and the path is known to be right.
        let known = batch
            .on_path
            .filter(|session| session.index() == header.index);
        let Some(session) = known.or_else(|| batch.snapshot.incoming(header.index)) else {
            return counters.drop_packet(DropReason::UnknownIndex);
        };

        if known.is_none() {
            match session.expect_from(arrival.from, header.kind, arrival.at) {
                Ok(is_on_path) => batch.on_path = is_on_path.then_some(session),
                Err(reason) => return session.counters().drop_packet(reason),
            }
        }

        if let Err(reason) = self.accept(batch, arrival, session, &header, datagram) {
            session.counters().drop_packet(reason);
        }
    }

    /// Opens a packet of a session in place and passes it on. It came from the peer's address if
    /// `batch.on_path` is set.
    fn accept<'b, W: FnMut(&[IoSlice<'_>], usize)>(
        &mut self,
        batch: &mut Batch<'b, '_, W>,
        arrival: &Arrival,
        session: &Incoming,
        header: &Header,
        datagram: &'b mut [u8],
    ) -> Result<(), DropReason> {
        let is_newest = session.open(header, datagram)?;
        if batch.on_path.is_none() && is_newest {
            self.report_off_path(session, arrival);
        }

        let payload = HEADER_LEN..datagram.len() - TAG_LEN;
        let checksum = match header.kind {
            Kind::Packet(checksum) => checksum,
            Kind::Handed(checksum) => {
                return self.accept_handed(batch, arrival, session, checksum, datagram);
            }
            Kind::Probe => return self.accept_probe(session, &datagram[payload], arrival),
            Kind::Flows => {
                return self.accept_flows(batch.snapshot, session, &datagram[payload], arrival.at);
            }
        };

        // Authentic, but not yet trusted: the peer may seal what its hosts must not send.
        let packet = &mut datagram[payload.clone()];
        batch.admitted.admit(session.site(), packet)?;
        traffic_class::combine(packet, arrival.ecn)?;

        let packet = &datagram[payload.clone()];
        let transport = Transport::locate(packet);
        // The kernel would not know where to complete it.
        if checksum == Checksum::Partial && transport.is_none() {
            return Err(DropReason::Malformed);
        }

        // A gateway of our site has no tunnel to that one.
        let snapshot = batch.snapshot;
        if session.site() == snapshot.site() && admit::is_for_another_site(snapshot, packet) {
            let packet = &mut datagram[payload];
            return self.pass_on(snapshot, session, checksum, packet, arrival.at);
        }

        match self.judge(batch, session, checksum, packet, arrival.at)? {
            Verdict::Pass => {}
            Verdict::HandedOver => {
                session.counters().handed_over();
                return Ok(());
            }
            Verdict::WaitForFirstFragment => return Ok(()),
            Verdict::Drop(_) => return Err(DropReason::Denied),
            Verdict::Reject(_) => {
                if let Some(back) = session.outgoing() {
                    self.reject(session, &back, packet, arrival.at);
                }
                return Err(DropReason::Denied);
            }
        }

        session.counters().received(packet.len());
        let back = || session.outgoing().map(|back| back.max_packet());
        deliver(batch, datagram, checksum, transport, back);
        Ok(())
    }

    /// The filter's verdict; a fragment that waits for its first is held. Error:
    /// [`DropReason::Denied`], if there is no room for it, or are no rules.
    fn judge<W>(
        &mut self,
        batch: &mut Batch<'_, '_, W>,
        session: &Incoming,
        checksum: Checksum,
        packet: &[u8],
        now: Instant,
    ) -> Result<Verdict, DropReason> {
        let snapshot = batch.snapshot;
        // A host of ours. What it sends to other sites is judged when it leaves.
        if snapshot.is_node(session.site()) {
            return Ok(Verdict::Pass);
        }
        // A gateway of our site has judged it, and has no session with the node that it is for.
        if session.site() == snapshot.site() && admit::is_for_node(snapshot, packet) {
            return Ok(Verdict::Pass);
        }
        let rules = snapshot.rules().ok_or(DropReason::Denied)?;
        let SiteNo(from) = session.site();

        let passed = &mut batch.passed;
        let filter = &self.lane.filter;
        let udp = &*self.lane.udp;
        let verdict = filter.arrives_beside_unless(passed, rules, from, packet, now, |reason| {
            handed::hand_over(udp, snapshot, session, checksum, packet, reason, now)
        });
        // Networks reorder packets: the first fragment may be right behind.
        if verdict == Verdict::WaitForFirstFragment && !self.fragments.hold(from, packet, now) {
            return Err(DropReason::Denied);
        }
        Ok(verdict)
    }

    /// Answers by the session `back`, in the name of the host that was written to. `session`
    /// brought the packet.
    fn reject(&self, session: &Incoming, back: &Outgoing, packet: &[u8], now: Instant) {
        if !session.peer().may_reject(now) {
            return;
        }
        let Some(answer) = Answer::to_denied(packet) else {
            return;
        };

        // Few are sent in a second: memory of their own costs nothing.
        let packet = &answer.bytes()[OFFLOAD_LEN..];
        let mut datagram = vec![0; packet.len() + OVERHEAD];
        datagram[HEADER_LEN..][..packet.len()].copy_from_slice(packet);

        let kind = Kind::Packet(Checksum::Complete);
        let sealed = back
            .reserve(1)
            .and_then(|number| back.seal(kind, number, &mut datagram));
        if sealed.is_ok() {
            // What the socket has no room for is an answer less.
            let class = TrafficClass::default();
            let _ = udp::send_along(&*self.lane.udp, back, &datagram, None, class);
        }
    }

    /// Writes the fragments whose first has come meanwhile. They are judged by the tables of now.
    fn release_fragments(&mut self) {
        if self.fragments.is_empty() {
            return;
        }

        let lane = self.lane;
        let snapshot = lane.snapshot.load();
        let Some(rules) = snapshot.rules() else {
            return;
        };

        let deliver = |from, packet: &[u8]| {
            // Whose addresses they are may have changed.
            if admit(&snapshot, SiteNo(from), packet).is_err() {
                return lane.counters.drop_packet(DropReason::Source);
            }

            let offload = Offload::default().encode();
            let parts = [IoSlice::new(&offload), IoSlice::new(packet)];
            match lane.tun.write(&parts) {
                Ok(()) => lane.counters.received(packet.len()),
                Err(_) => lane.counters.drop_packet(DropReason::TunWrite),
            }
        };
        let now = lane.udp.now();
        self.fragments.release(&lane.filter, rules, now, deliver);
    }
}

/// Hands an opened packet over to the TUN device. A SYN announces no more than what packets of
/// `back` bytes carry.
fn deliver<'b, W: FnMut(&[IoSlice<'_>], usize)>(
    batch: &mut Batch<'b, '_, W>,
    datagram: &'b mut [u8],
    checksum: Checksum,
    transport: Option<Transport>,
    back: impl FnOnce() -> Option<usize>,
) {
    let payload = HEADER_LEN..datagram.len() - TAG_LEN;
    // A SYN that asks for more would draw segments that have to be fragmented.
    if let Some(transport) = &transport
        && mss::applies_to(&datagram[payload.clone()], transport)
        && let Some(back) = back()
    {
        mss::clamp(&mut datagram[payload.clone()], transport, checksum, back);
    }

    // The header has been read: the offload header of the TUN device takes its place.
    let with_headroom = &mut datagram[payload.start - OFFLOAD_LEN..payload.end];
    batch.coalesce.push(with_headroom, checksum, transport);
}
