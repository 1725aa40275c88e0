//! The verdict about a packet that may come in parts: the first fragment is judged by its transport
//! header, later ones follow it.

use super::Filter;
use crate::clock::Tick;
use crate::fragments::Sender;
use crate::packet::{Header, Transport};
use crate::verdict::Verdict;

impl Filter {
    /// The verdict, by `judge` if there is a transport header, and that header.
    #[inline]
    pub(super) fn judge_parts<'p>(
        &self,
        sender: Sender,
        header: &Header<'p>,
        now: Tick,
        judge: impl FnOnce(&Transport<'p>) -> Verdict,
    ) -> (Verdict, Option<Transport<'p>>) {
        let Some(fragment) = header.fragment else {
            return match Transport::parse(header) {
                Ok((transport, _)) => (judge(&transport), Some(transport)),
                Err(reason) => (Verdict::Drop(reason), None),
            };
        };

        if !fragment.is_first() {
            let verdict = self.fragments.judge_later(sender, header, &fragment, now);
            return (verdict, None);
        }

        let (verdict, transport, len) = match Transport::parse(header) {
            Ok((transport, len)) => (judge(&transport), Some(transport), len),
            // Remembered too: what follows a refused first fragment is refused like it.
            Err(reason) => (Verdict::Drop(reason), None, 0),
        };
        // Later fragments must not overwrite what this verdict depends on.
        let len = fragment.skipped + len;
        let verdict = self.fragments.note_first(sender, header, len, verdict, now);
        (verdict, transport)
    }
}
