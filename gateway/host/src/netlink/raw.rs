//! [`RawSocket`]: requests whose answers are compared but not parsed. A dump of a hundred routes
//! costs about ten microseconds this way, cheap enough for every second.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;

use rtnetlink::packet_core::{
    NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer,
    NetlinkHeader, NlasIterator,
};
use rtnetlink::sys::{Socket, SocketAddr};

/// The kernel sends no larger datagrams than this.
const DATAGRAM: usize = 32 * 1024;

/// Length of a netlink header (RFC 3549, section 2.2).
const HEADER: usize = 16;

/// Length of the header of an attribute.
const ATTRIBUTE_HEADER: usize = 4;

/// A netlink socket with synchronous answers: the kernel handles a request inside the call that
/// sends it.
#[derive(Debug)]
pub(crate) struct RawSocket {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Whether an answer is consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Complete and consistent.
    Whole,
    /// Something changed while it was listed.
    Interrupted,
}

impl RawSocket {
    /// A socket of a protocol of netlink(7), in the network namespace of the calling thread.
    pub(crate) fn open(protocol: isize) -> io::Result<RawSocket> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Kernels before 4.20 do not filter dumps, so more than necessary is compared there.
        _ = socket.set_netlink_get_strict_chk(true);

        Ok(RawSocket {
            socket,
            sequence: 0,
            buffer: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Sends a request and passes every message of its answer, without its header, to `each`.
    pub(crate) fn ask(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]),
    ) -> io::Result<Answer> {
        self.send(kind, flags, payload)?;
        let mut answer = Answer::Whole;

        loop {
            self.receive()?;

            let mut rest = self.buffer.as_slice();
            while rest.len() >= HEADER {
                let message = NetlinkBuffer::new_checked(rest).map_err(malformed)?;
                // The last message of a datagram need not be padded.
                let length = (message.length() as usize)
                    .next_multiple_of(4)
                    .min(rest.len());
                let following = &rest[length..];
                rest = following;

                // Part of the answer to an earlier request that failed half way.
                if message.sequence_number() != self.sequence {
                    continue;
                }
                if message.flags() & NLM_F_DUMP_INTR != 0 {
                    answer = Answer::Interrupted;
                }
                match message.message_type() {
                    NLMSG_DONE => return Ok(answer),
                    NLMSG_ERROR => return refusal(message.payload()).map(|()| answer),
                    kind => each(kind, message.payload()),
                }
                // netlink(7): only a message of several parts is followed by NLMSG_DONE.
                if message.flags() & NLM_F_MULTIPART == 0 {
                    return Ok(answer);
                }
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: &[u8]) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);

        let mut header = NetlinkHeader::default();
        header.length = (HEADER + payload.len()) as u32;
        header.message_type = kind;
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;

        let mut request = vec![0; HEADER];
        rtnetlink::packet_core::Emitable::emit(&header, &mut request);
        request.extend_from_slice(payload);
        self.socket.send(&request, 0).map(drop)
    }

    fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        // The answer has already arrived, or never will.
        let length = self.socket.recv(&mut self.buffer, libc::MSG_DONTWAIT)?;

        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// The attributes of a message, or of another attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl Attributes<'_> {
    /// The value of the first attribute of a kind.
    pub(crate) fn find(&self, kind: u16) -> Option<Vec<u8>> {
        NlasIterator::new(self.0)
            .flatten()
            .find(|found| found.kind() == kind)
            .map(|found| found.value().to_vec())
    }

    /// The first attribute of a kind as a number, in nfnetlink's byte order.
    pub(crate) fn number(&self, kind: u16) -> Option<u32> {
        let value = self.find(kind)?;

        value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }
}

/// Adds an attribute to a request.
pub(crate) fn push_attribute(request: &mut Vec<u8>, kind: u16, value: &[u8]) {
    // Fits: values are short, and nftables allows names of 256 bytes.
    let length = (ATTRIBUTE_HEADER + value.len()) as u16;

    request.extend(length.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend_from_slice(value);
    request.resize(request.len().next_multiple_of(4), 0);
}

/// The error that a message of type `NLMSG_ERROR` carries: 0 is an acknowledgement.
fn refusal(payload: &[u8]) -> io::Result<()> {
    let code = payload
        .first_chunk()
        .map_or(-libc::EPROTO, |bytes| i32::from_ne_bytes(*bytes));

    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(-code)),
    }
}

fn malformed(error: rtnetlink::packet_core::DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// A digest of `bytes`, stable for the life of the process.
pub(crate) fn digest_of(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();

    bytes.hash(&mut hasher);
    hasher.finish()
}
