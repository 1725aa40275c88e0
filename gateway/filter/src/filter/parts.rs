//! The verdict about a packet that may come in parts: the first fragment is judged by its transport
//! header, later ones follow it.

use super::Filter;
use crate::clock::Tick;
use crate::fragments::Sender;
use crate::packet::{Header, Transport};
use crate::verdict::Verdict;

impl Filter {
    /// The verdict, by `judge` if there is a transport header.
    #[inline(always)]
    pub(super) fn judge_parts<'p>(
        &self,
        sender: Sender,
        header: &Header<'p>,
        now: Tick,
        judge: impl FnOnce(&Transport<'p>) -> Verdict,
    ) -> Verdict {
        let Some(fragment) = header.fragment else {
            return match Transport::parse(header) {
                Ok((transport, _)) => judge(&transport),
                Err(reason) => Verdict::Drop(reason),
            };
        };

        if !fragment.is_first() {
            return self.fragments.judge_later(sender, header, &fragment, now);
        }

        let (verdict, len) = match Transport::parse(header) {
            Ok((transport, len)) => (judge(&transport), len),
            // Remembered too: what follows a refused first fragment is refused like it.
            Err(reason) => (Verdict::Drop(reason), 0),
        };
        // Later fragments must not overwrite what this verdict depends on.
        let len = fragment.skipped + len;
        self.fragments.note_first(sender, header, len, verdict, now)
    }
}
