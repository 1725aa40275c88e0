//! [`Heartbeat`]: when the loop shows the service manager that it turns, and how the tunnels are.

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
    /// For `service`, from now on.
    pub fn new(service: ServiceManager) -> Heartbeat {
        Heartbeat {
            service,
            next: Instant::now(),
            has_stalled: false,
        }
    }

    /// Hears it.
    pub(crate) fn service(&self) -> &ServiceManager {
        &self.service
    }

    /// When the next beat is due; `None` if nobody wants any.
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
    /// Beats, if it is time to. With a data plane that hangs there is no beat: the service manager
    /// restarts the gateway then.
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
