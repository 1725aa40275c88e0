//! [`TunQueue`]: a queue of the kernel's TUN device.
//!
//! Owns how the descriptors are used. `tun-rs` makes and configures the device.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use tun_rs::SyncDevice;

use super::Tun;
use super::byte_limit::{ByteLimit, QUEUE_LEN};
use crate::sys::queue;

/// What the two threads of a lane have of the device.
pub(crate) struct TunQueue {
    /// The lane's queue. That of lane 0 is the same open file as the device's.
    queue: File,
    number: usize,
    /// `None` if the kernel does not allow it; the queue is short then.
    limit: Option<Arc<ByteLimit>>,
    /// The queue that all lanes write to.
    writer: Arc<File>,
    segments_udp: bool,
}

impl TunQueue {
    /// A queue for each of `lanes` lanes. Error: `InvalidInput` if the device was opened without
    /// offloads, or for a single queue although there are several lanes.
    pub(crate) fn open(device: &SyncDevice, lanes: usize) -> io::Result<Vec<TunQueue>> {
        if !device.tcp_gso() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the TUN device has no offloads",
            ));
        }

        // A clone of a device with IFF_MULTI_QUEUE is another queue of it.
        let mut queues = vec![open_file(device)?];
        for _ in 1..lanes {
            queues.push(open_file(&device.try_clone()?)?);
        }

        let writer = Arc::new(match lanes {
            // With one queue, there is no other that a flow could be steered to.
            1 => queues[0].try_clone()?,
            _ => open_writer(device)?,
        });

        let limit = bound(device).map(Arc::new);
        let queues = queues
            .into_iter()
            .enumerate()
            .map(|(number, queue)| TunQueue {
                queue,
                number,
                limit: limit.clone(),
                writer: writer.clone(),
                segments_udp: device.udp_gso(),
            });
        Ok(queues.collect())
    }
}

impl Tun for TunQueue {
    fn segments_udp(&self) -> bool {
        self.segments_udp
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&self.queue).read(buffer);

        if let Some(limit) = &self.limit {
            // A queue that has nothing to read holds no bytes, whatever was counted.
            match &read {
                Ok(len) => limit.subtract(self.number, *len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => limit.clear(self.number),
                Err(_) => {}
            }
        }
        read
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        (&*self.writer).write_vectored(parts).map(|_| ())
    }
}

impl AsFd for TunQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// Makes the device's queues as long as small packets need, if their bytes can be bounded.
fn bound(device: &SyncDevice) -> Option<ByteLimit> {
    let limit = ByteLimit::new(device)
        .inspect_err(|error| {
            tracing::debug!(%error, "The TUN device's queue stays short: its bytes have no bound");
        })
        .ok()?;

    // Only now: a long queue without the bound could take hundreds of megabytes.
    if let Err(error) = device.set_tx_queue_len(QUEUE_LEN) {
        tracing::debug!(%error, "The TUN device's queue stays short");
    }
    Some(limit)
}

fn open_file(device: &SyncDevice) -> io::Result<File> {
    device.set_nonblocking(true)?;
    Ok(device.as_fd().try_clone_to_owned()?.into())
}

/// A queue that is only written to. The kernel steers a flow to the queue that last wrote a packet
/// of its opposite direction. With a detached queue for all writes, every flow stays where its hash
/// puts it, from its first packet on.
fn open_writer(device: &SyncDevice) -> io::Result<File> {
    let writer = device.try_clone()?;
    writer.set_nonblocking(true)?;
    queue::detach(writer.as_fd())?;
    Ok(writer.as_fd().try_clone_to_owned()?.into())
}
