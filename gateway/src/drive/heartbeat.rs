//! [`Heartbeat`]: reports to the service manager that the loop is alive, and the state of the
//! tunnels.

use std::time::Instant;

use ringway_core::{TunnelState, TunnelStatus};

use super::Drive;
use crate::service_manager::ServiceManager;

/// See the head of this file.
#[derive(Debug)]
pub struct Heartbeat {
    service: ServiceManager,
    next: Instant,
    has_stalled: bool,
}

impl Heartbeat {
    /// Reports to `service`.
    pub fn new(service: ServiceManager) -> Heartbeat {
        Heartbeat {
            service,
            next: Instant::now(),
            has_stalled: false,
        }
    }

    /// The service manager that receives the beats.
    pub(crate) fn service(&self) -> &ServiceManager {
        &self.service
    }

    /// When the next beat is due; `None` if the service manager wants none.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.service.is_present().then_some(self.next)
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let Some(patience) = self.service.patience().filter(|_| self.next <= now) else {
            return false;
        };

        self.next = now + patience;
        true
    }
}

impl Drive {
    /// Sends a beat if one is due and the data plane is alive. If the data plane hangs, the missing
    /// beat makes the service manager restart the gateway.
    pub(super) fn beat(&mut self, now: Instant) {
        if !self.heartbeat.is_due(now) {
            return;
        }

        let has_stalled = self.kernel.has_stalled(now);
        if has_stalled && !self.heartbeat.has_stalled {
            tracing::error!("A thread that moves packets hangs");
        }
        self.heartbeat.has_stalled = has_stalled;
        if !has_stalled {
            self.heartbeat.service.beat();
        }

        let mut tunnels = self.shell.status(now).tunnels;
        tunnels.retain(|tunnel| !tunnel.peer.is_node());
        self.heartbeat.service.shows(summary(&tunnels));
    }
}

fn summary(tunnels: &[TunnelStatus]) -> String {
    if tunnels.is_empty() {
        return "no other gateway is known".to_owned();
    }

    let up = tunnels
        .iter()
        .filter(|tunnel| tunnel.state == TunnelState::Up);
    format!("{} of {} tunnels up", up.count(), tunnels.len())
}
