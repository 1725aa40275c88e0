//! [`Ha`]: what depends on this gateway's role in its site: the virtual addresses of `[ha]` and the
//! operator's hooks. The shell decides the role. Two tasks carry it out: [`keeper`] sets the
//! addresses in the kernel, [`hooks`] runs the commands.
//!
//! ```text
//!   Effect::Role ─► Ha ─┬─ Order, with a pulse twice a second ─► keeper ─► addresses, ARP, ND
//!                       └─ Call ──────────────────────────────► hooks ──► on-active, on-standby
//! ```
//! The addresses are a lease: the keeper renews them only while the drive's loop sends pulses. If
//! the daemon dies, is stopped or hangs, the kernel removes them after two seconds.

pub mod hooks;
pub mod keeper;
pub mod order;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use ringway_config::Config;
use ringway_core::{RoleReason, SiteRole, Standing};
use tokio::sync::watch;

use crate::admin::daemon::rfc3339;
use crate::admin::report::{HookReport, RoleReport, VirtualAddressReport};
use crate::attention::Attention;
use crate::tasks::Tasks;
use hooks::{Call, HookRunner};
use keeper::Keeper;
use order::Order;

/// Interval of the renewals. Three may fail before the kernel removes the addresses.
const PULSE: Duration = Duration::from_millis(500);

/// Minimum time between two renewals that kernel changes trigger.
const KERNEL_PAUSE: Duration = Duration::from_millis(100);

/// State that the tasks last reached, for `status`.
#[derive(Debug, Default)]
pub struct HaStatus {
    /// One entry for each virtual address.
    pub addresses: ArcSwap<Vec<VirtualAddressReport>>,
    /// The command that was started last.
    pub hook: ArcSwap<Option<HookReport>>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Ha {
    orders: watch::Sender<Order>,
    calls: watch::Sender<Call>,
    standing: Standing,
    /// Time of the last change of role.
    since: SystemTime,
    /// When the next pulse to the keeper is due.
    next_pulse: Instant,
    /// The daemon stops: no role counts any more.
    is_leaving: bool,
    status: Arc<HaStatus>,
}

impl Ha {
    /// Starts the tasks. The role is standby until the shell sets another one.
    pub fn start(config: &Config, attention: &Attention, tasks: &Tasks) -> Ha {
        let standing = Standing {
            role: SiteRole::Standby,
            epoch: 0,
            reason: RoleReason::Starting,
            gap: None,
        };
        let now = Instant::now();
        let status = Arc::new(HaStatus::default());

        // A watch channel holds the newest value only: an older order is obsolete once a new one
        // exists.
        let (orders, to_keep) = watch::channel(Order::of(config, &standing, now));
        let keeper = Keeper::new(attention.clone(), status.clone());
        tasks.spawn_to_end(keeper.run(to_keep));
        // No command runs before the shell has decided the first role.
        let (calls, to_call) = watch::channel(Call::none());
        tasks.spawn_to_end(HookRunner::new(attention.clone(), status.clone()).run(to_call));

        Ha {
            orders,
            calls,
            standing,
            since: SystemTime::now(),
            next_pulse: now,
            is_leaving: false,
            status,
        }
    }

    /// Sets the role that the shell has decided.
    pub fn set_role(&mut self, standing: Standing, config: &Config) {
        // `since` is the time of the role: a new epoch or reason does not change it.
        if standing.role != self.standing.role {
            self.since = SystemTime::now();
        }
        self.standing = standing;

        self.update(config);
    }

    /// Applies a reloaded configuration.
    pub fn set_config(&mut self, config: &Config) {
        self.update(config);
    }

    /// Gives up the addresses and runs the last command, because the daemon stops. The tasks end
    /// once this value is dropped and their work is done.
    pub fn shut_down(&mut self, config: &Config) {
        let leaving = Standing {
            role: SiteRole::Standby,
            ..self.standing.clone()
        };
        self.is_leaving = true;
        // Do this before the sessions are closed: otherwise hosts send to a gateway that has no
        // tunnel.
        self.orders
            .send_replace(Order::of(config, &leaving, Instant::now()));
        self.calls.send_replace(Call::of_shutdown(config, &leaving));
    }

    /// When [`Ha::pulse`] is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let is_holding = self.standing.role == SiteRole::Active;
        let has_any = !self.orders.borrow().addresses.is_empty();

        (is_holding && has_any).then_some(self.next_pulse)
    }

    /// Sends a pulse if one is due: the loop is alive at `now`.
    pub fn pulse(&mut self, now: Instant) {
        if now < self.next_pulse {
            return;
        }

        self.next_pulse = now + PULSE;
        self.orders.send_modify(|order| order.pulse = now);
    }

    /// Renews the addresses ahead of time, because something changed in the kernel.
    pub fn on_kernel_change(&mut self, now: Instant) {
        // If another program flushed the interface, the addresses must not stay away until the next
        // pulse. On some hosts routes change all the time, so the rate is limited.
        if now + PULSE >= self.next_pulse + KERNEL_PAUSE {
            self.next_pulse = now;
            self.pulse(now);
        }
    }

    /// The role as `status` shows it.
    pub fn report(&self) -> RoleReport {
        RoleReport {
            role: self.standing.role.word().to_owned(),
            since: rfc3339(self.since),
            epoch: self.standing.epoch,
            cause: self.standing.reason.word().to_owned(),
            reason: self.standing.reason.to_string(),
            sibling: self.standing.reason.sibling().map(ToString::to_string),
            gap_s: self.standing.gap.map(|gap| gap.as_secs_f64()),
            addresses: self.status.addresses.load().to_vec(),
            hook: self.status.hook.load().as_ref().clone(),
        }
    }

    fn update(&mut self, config: &Config) {
        // While the sessions end, the sibling takes over. That must neither end the last command
        // nor give it the time of another one.
        if self.is_leaving {
            return;
        }

        let now = Instant::now();

        self.next_pulse = now + PULSE;
        self.orders
            .send_replace(Order::of(config, &self.standing, now));
        self.calls.send_replace(Call::of(config, &self.standing));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn standing(role: SiteRole) -> Standing {
        Standing {
            role,
            epoch: 1,
            reason: RoleReason::Vacant,
            gap: None,
        }
    }

    #[tokio::test]
    async fn once_the_daemon_stops_no_role_and_no_reload_changes_what_is_done_last() {
        let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples");
        let config = Config::load(&Path::new(files).join("gateway.toml")).unwrap();
        let mut ha = Ha::start(&config, &Attention::default(), &Tasks::default());
        ha.set_role(standing(SiteRole::Active), &config);
        assert!(ha.orders.borrow().is_active);

        ha.shut_down(&config);
        let last = ha.calls.borrow().clone();
        for role in [SiteRole::Standby, SiteRole::Active] {
            ha.set_role(standing(role), &config);
            ha.set_config(&config);
            assert!(!ha.orders.borrow().is_active);
            assert_eq!(*ha.calls.borrow(), last);
        }
    }
}
