//! [`FlowSharing`]: sends every known flow to siblings. Runs off the loop.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ringway_dataplane::{FlowRecords, Outgoing, TunnelSocket};
use ringway_filter::Filter;

/// Packets between two pauses. With this, a full table of 262,144 flows takes less than a second
/// and does not overflow a socket buffer.
const BURST: u32 = 16;
const PAUSE: Duration = Duration::from_millis(2);

/// The inputs of one run.
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
            // A lost record is not a problem: records are repeated.
            tracing::debug!(%error, "Flows not sent to another gateway of this site");
        }
    }
}
