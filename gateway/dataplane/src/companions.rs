//! [`Companions`]: the other gateways of this site, as the sending threads tell them of new flows.

use std::sync::Arc;

use ringway_filter::Filter;

use crate::flow_records::FlowRecords;
use crate::session::Outgoing;
use crate::udp::Udp;

/// Packets of records that one thread sends between two batches of packets. More wait in the
/// filter's queue, which is bounded.
const MAX_PACKETS: usize = 8;

/// The sessions with the other gateways of this site.
#[derive(Clone, Default)]
pub(crate) struct Companions(Vec<Arc<Outgoing>>);

impl Companions {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Outgoing> {
        self.0.iter().map(|session| &**session)
    }

    pub(crate) fn push(&mut self, session: Arc<Outgoing>) {
        self.0.push(session);
    }

    /// Sends the records of flows that have appeared. Any thread may.
    pub(crate) fn tell<U: Udp>(&self, udp: &U, filter: &Filter) {
        if self.0.is_empty() {
            return;
        }

        for _ in 0..MAX_PACKETS {
            let mut records = FlowRecords::new();
            while !records.is_full()
                && let Some(record) = filter.next_record()
            {
                records.push(&record);
            }
            if records.is_empty() {
                return;
            }

            // What is lost is repeated: with the flow's next SYN, and after 30 s.
            let _ = records.send(udp, self.0.iter().map(|session| &**session));
        }
    }
}
