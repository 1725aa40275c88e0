//! The verdict about a packet that may come in parts: the first fragment is judged by its transport
//! header, later ones follow it.

use super::Filter;
use crate::clock::Tick;
use crate::fragments::Sender;
use crate::packet::{Header, Icmp, Tcp, Transport, protocol};
use crate::verdict::{Reason, Verdict};

/// The verdict by a transport header.
///
/// What is not inlined gets the packet and reads its header again: a header that is handed to
/// another function has to be written to memory, also for the many packets that never come there.
pub(super) trait ByTransport: Copy {
    fn packet(&self) -> &[u8];

    /// Of a TCP segment. To be inlined: most packets are.
    fn judge_tcp(self, header: &Header<'_>, tcp: &Tcp) -> Verdict;

    fn judge_udp(self, header: &Header<'_>, source_port: u16, destination_port: u16) -> Verdict;

    fn judge_icmp(self, header: &Header<'_>, icmp: &Icmp<'_>) -> Verdict;

    /// Of any other protocol.
    fn judge_by_number(self, header: &Header<'_>) -> Verdict;

    /// Of any transport, TCP included.
    fn judge_any(self, header: &Header<'_>, transport: &Transport<'_>) -> Verdict {
        match transport {
            Transport::Tcp(tcp) => self.judge_tcp(header, tcp),
            Transport::Udp {
                source_port,
                destination_port,
            } => self.judge_udp(header, *source_port, *destination_port),
            Transport::Icmp(icmp) => self.judge_icmp(header, icmp),
            Transport::Other => self.judge_by_number(header),
        }
    }
}

impl Filter {
    /// The verdict about a packet with this header, by `judge` if there is a transport header.
    #[inline(always)]
    pub(super) fn judge_parts(
        &self,
        sender: Sender,
        header: &Header<'_>,
        now: Tick,
        judge: impl ByTransport,
    ) -> Verdict {
        if header.fragment.is_some() {
            return self.judge_fragment(sender, now, judge);
        }
        if header.protocol != protocol::TCP {
            return judge_whole(judge);
        }

        match Tcp::parse(header.payload) {
            Some((tcp, _)) => judge.judge_tcp(header, &tcp),
            None => Verdict::Drop(Reason::Malformed),
        }
    }

    #[cold]
    fn judge_fragment(&self, sender: Sender, now: Tick, judge: impl ByTransport) -> Verdict {
        let header = match Header::parse(judge.packet()) {
            Ok(header) => header,
            Err(reason) => return Verdict::Drop(reason),
        };
        let Some(fragment) = header.fragment else {
            return judge_whole(judge);
        };
        if !fragment.is_first() {
            return self.fragments.judge_later(sender, &header, &fragment, now);
        }

        let (verdict, len) = match Transport::parse(&header) {
            Ok((transport, len)) => (judge.judge_any(&header, &transport), len),
            // Remembered too: what follows a refused first fragment is refused like it.
            Err(reason) => (Verdict::Drop(reason), 0),
        };
        // Later fragments must not overwrite what this verdict depends on.
        let len = fragment.skipped + len;
        self.fragments
            .note_first(sender, &header, len, verdict, now)
    }
}

/// The verdict about a packet that is no fragment.
#[inline(never)]
fn judge_whole(judge: impl ByTransport) -> Verdict {
    let header = match Header::parse(judge.packet()) {
        Ok(header) => header,
        Err(reason) => return Verdict::Drop(reason),
    };
    match Transport::parse(&header) {
        Ok((transport, _)) => judge.judge_any(&header, &transport),
        Err(reason) => Verdict::Drop(reason),
    }
}
