//! [`ChannelTun`]: a TUN device in memory. [`ChannelHost`] is the host behind it and plays the
//! kernel's part.
//!
//! ```text
//!   host.send ─► queue ─► read        write ─► queue ─► host.receive
//! ```
//! What the host receives has complete checksums, and super-packets are cut.
//!
//! Both queues are bounded. As with the kernel's device, a packet from the host that finds its
//! queue full is lost; a write that finds its queue full fails, and the thread counts it.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Tun;
use crate::checksum;
use crate::offload::{Gso, GsoType, OFFLOAD_LEN, Offload};
use crate::queue::Queue;
use crate::split::Split;
use crate::transport::Transport;

/// What the device and its host share.
struct Wire {
    from_host: Queue<Vec<u8>>,
    to_host: Queue<Vec<u8>>,
    is_gone: AtomicBool,
}

/// The device, for [`crate::Dataplane::start_on`].
pub struct ChannelTun(Arc<Wire>);

impl ChannelTun {
    /// A device whose two queues hold up to `capacity` packets each, and the host behind it.
    pub fn new(capacity: usize) -> io::Result<(ChannelTun, ChannelHost)> {
        let wire = Arc::new(Wire {
            from_host: Queue::new(capacity)?,
            to_host: Queue::new(capacity)?,
            is_gone: AtomicBool::new(false),
        });

        let host = ChannelHost {
            wire: wire.clone(),
            received: Mutex::new(VecDeque::new()),
        };

        Ok((ChannelTun(wire), host))
    }
}

impl Tun for ChannelTun {
    fn segments_udp(&self) -> bool {
        true
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // `remove_device` sets the flag before its push, so that the thread which wakes sees it.
        let packet = self.0.from_host.pop();
        if self.0.is_gone.load(Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EBADFD));
        }

        let packet = packet.ok_or(io::ErrorKind::WouldBlock)?;
        let len = packet.len().min(buffer.len());
        buffer[..len].copy_from_slice(&packet[..len]);
        Ok(len)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        let packet: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();

        if self.0.is_gone.load(Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::EBADFD));
        }

        if self.0.to_host.push(packet) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::ENOBUFS))
        }
    }
}

impl AsFd for ChannelTun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.from_host.as_fd()
    }
}

/// The host behind a [`ChannelTun`].
pub struct ChannelHost {
    wire: Arc<Wire>,
    /// Segments of the super-packet that was received last.
    received: Mutex<VecDeque<Vec<u8>>>,
}

impl ChannelHost {
    /// Sends an IP packet with complete checksums. False if the queue is full: it is lost.
    pub fn send(&self, packet: &[u8]) -> bool {
        self.push(&Offload::default(), packet)
    }

    /// Sends a TCP or UDP super-packet, to be cut into segments with `size` bytes of payload each.
    /// False if it is lost: the queue is full, or the packet is neither TCP nor UDP.
    pub fn send_super_packet(&self, packet: &[u8], size: usize) -> bool {
        // The kernel's stack makes super-packets of these two only.
        let Some(transport) = Transport::locate(packet) else {
            return false;
        };

        let gso = Gso {
            kind: GsoType::of(&transport),
            header_len: transport.payload,
            size,
        };

        let offload = Offload {
            checksum: Some(transport.checksum_place()),
            gso: Some(gso),
        };

        self.push(&offload, packet)
    }

    /// Packets that were sent and not read yet.
    pub fn waiting(&self) -> usize {
        self.wire.from_host.len()
    }

    /// The next IP packet, waiting up to `timeout` for it. Super-packets arrive as their segments,
    /// and all checksums are complete, as the kernel would hand them to a host.
    pub fn receive(&self, timeout: Duration) -> Option<Vec<u8>> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        if received.is_empty() {
            received.extend(segments(self.wire.to_host.pop_within(timeout)?));
        }
        received.pop_front()
    }

    /// Takes the device away, as `ip link del` does: its threads end with a failure.
    pub fn remove_device(&self) {
        self.wire.is_gone.store(true, Relaxed);
        // The sending thread may be waiting for a packet.
        self.wire.from_host.push(Vec::new());
    }

    fn push(&self, offload: &Offload, packet: &[u8]) -> bool {
        self.wire
            .from_host
            .push([&offload.encode()[..], packet].concat())
    }
}

/// The packets that the kernel makes of one write.
fn segments(mut written: Vec<u8>) -> Vec<Vec<u8>> {
    let (header, packet) = written
        .split_first_chunk_mut::<OFFLOAD_LEN>()
        .expect("an offload header precedes every packet");

    let offload = Offload::decode(header).expect("the data plane writes offloads that it knows");
    let Some(gso) = &offload.gso else {
        if let Some(place) = offload.checksum {
            checksum::complete(packet, place.start, place.field);
        }
        return vec![packet.to_vec()];
    };

    let mut split = Split::new(packet, gso, usize::MAX).expect("a super-packet is what it says");
    let mut segments = Vec::with_capacity(split.count());
    for at in 0..split.count() {
        let mut segment = vec![0; split.len(at)];
        split.write(at, &mut segment);

        if let Some(transport) = Transport::locate(&segment) {
            let place = transport.checksum_place();
            checksum::complete(&mut segment, place.start, place.field);
        }
        segments.push(segment);
    }

    segments
}
