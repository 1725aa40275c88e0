//! [`Ha`]: what of this site follows its active gateway: the virtual addresses of `[ha]`, and the
//! operator's commands. The shell says which role this gateway has; tasks of their own write to the
//! kernel ([`keeper`]) and run the commands ([`hooks`]).
//!
//! ```text
//!   Effect::Role ─► Ha ─┬─ Order, with a pulse twice a second ─► keeper ─► addresses, ARP, ND
//!                       └─ Call ──────────────────────────────► hooks ──► on-active, on-standby
//! ```
//! The keeper renews the addresses only as long as the drive's loop sends it pulses. A daemon that
//! is dead, stopped or hangs loses them: the kernel ends them after two seconds.

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
use hooks::{Call, Calls};
use keeper::Keeper;
use order::Order;

/// How often the addresses are renewed: three may fail before the kernel ends them.
const PULSE: Duration = Duration::from_millis(500);

/// Least time between two looks because of changes in the kernel.
const REST: Duration = Duration::from_millis(100);

/// What the tasks last did, for the report.
#[derive(Debug, Default)]
pub struct Done {
    /// Each virtual address.
    pub addresses: ArcSwap<Vec<VirtualAddressReport>>,
    /// The last command that was started.
    pub hook: ArcSwap<Option<HookReport>>,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Ha {
    orders: watch::Sender<Order>,
    calls: watch::Sender<Call>,
    standing: Standing,
    /// When it was told.
    since: SystemTime,
    /// When the keeper is due a sign of life.
    next_pulse: Instant,
    done: Arc<Done>,
}

impl Ha {
    /// Starts the tasks, as standby, for the gateway of `config`.
    pub fn start(config: &Config, attention: &Attention, tasks: &Tasks) -> Ha {
        let standing = Standing {
            role: SiteRole::Standby,
            epoch: 0,
            reason: RoleReason::Starting,
            gap: None,
        };
        let now = Instant::now();
        let done = Arc::new(Done::default());

        // Each holds the newest order alone: what was wanted before does not count any more.
        let (orders, to_keep) = watch::channel(Order::of(config, &standing, now));
        let keeper = Keeper::new(attention.clone(), done.clone());
        tasks.spawn_to_end(keeper.keep(to_keep));
        // Before the shell has said anything, there is nothing to run.
        let (calls, to_call) = watch::channel(Call::none());
        tasks.spawn_to_end(Calls::new(attention.clone(), done.clone()).run(to_call));

        Ha {
            orders,
            calls,
            standing,
            since: SystemTime::now(),
            next_pulse: now,
            done,
        }
    }

    /// This gateway has this role from now on.
    pub fn follow(&mut self, standing: Standing, config: &Config) {
        // Another epoch or reason is no other role.
        if standing.role != self.standing.role {
            self.since = SystemTime::now();
        }
        self.standing = standing;

        self.order(config);
    }

    /// The files say something else now.
    pub fn adopt(&mut self, config: &Config) {
        self.order(config);
    }

    /// The daemon ends: others may have the addresses from now on. The tasks end with this value,
    /// when that is done.
    pub fn leave(&mut self, config: &Config) {
        let leaving = Standing {
            role: SiteRole::Standby,
            ..self.standing.clone()
        };
        // Not only when the sessions are closed: hosts would send to a gateway without any.
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

    /// The loop is alive, `now`.
    pub fn pulse(&mut self, now: Instant) {
        if now < self.next_pulse {
            return;
        }

        self.next_pulse = now + PULSE;
        self.orders.send_modify(|order| order.pulse = now);
    }

    /// Something in the kernel was changed: the addresses are looked at, at once.
    pub fn kernel_changed(&mut self, now: Instant) {
        // Somebody may have flushed the interface: that must not wait for the next pulse. On some
        // hosts routes change all the time.
        if now + PULSE >= self.next_pulse + REST {
            self.next_pulse = now;
            self.pulse(now);
        }
    }

    /// What `status` says of it.
    pub fn report(&self) -> RoleReport {
        RoleReport {
            role: self.standing.role.word().to_owned(),
            since: rfc3339(self.since),
            epoch: self.standing.epoch,
            cause: self.standing.reason.word().to_owned(),
            reason: self.standing.reason.to_string(),
            sibling: self.standing.reason.sibling().map(ToString::to_string),
            gap_s: self.standing.gap.map(|gap| gap.as_secs_f64()),
            addresses: self.done.addresses.load().to_vec(),
            hook: self.done.hook.load().as_ref().clone(),
        }
    }

    fn order(&mut self, config: &Config) {
        let now = Instant::now();

        self.next_pulse = now + PULSE;
        self.orders
            .send_replace(Order::of(config, &self.standing, now));
        self.calls.send_replace(Call::of(config, &self.standing));
    }
}
