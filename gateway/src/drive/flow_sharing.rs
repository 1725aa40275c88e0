//! [`FlowSharing`]: sends every flow that is known to other gateways of our site. Runs off the
//! loop.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ringway_dataplane::{FlowRecords, Outgoing, TunnelSocket};
use ringway_filter::Filter;

/// Packets between two pauses: a full table of 262,144 flows takes less than a second, and no
/// socket's buffer fills up.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(2);

/// What it takes.
pub(super) struct FlowSharing {
    pub(super) filter: Arc<Filter>,
    pub(super) socket: Arc<TunnelSocket>,
    pub(super) sessions: Vec<Arc<Outgoing>>,
}

impl FlowSharing {
    /// Sends every record. Blocks.
    pub(super) fn run(self) {
        let mut records = FlowRecords::new();
        let mut packets = 0;

        self.filter.for_each_record(Instant::now(), &mut |record| {
            records.push(&record);
            if !records.is_full() {
                return;
            }

            self.send(&mut records);
            packets += 1;
            if packets % BURST == 0 {
                thread::sleep(PAUSE);
            }
        });

        if !records.is_empty() {
            self.send(&mut records);
        }
    }

    fn send(&self, records: &mut FlowRecords) {
        let sessions = self.sessions.iter().map(|session| &**session);
        if let Err(error) = records.send(&*self.socket, sessions) {
            // They are repeated in a while.
            tracing::debug!(%error, "Flows not sent to another gateway of this site");
        }
    }
}
