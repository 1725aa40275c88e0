//! [`Keeper`]: sets and removes the virtual addresses of this host, according to the current
//! [`Order`].
//!
//! ```text
//!                order: active            probes unanswered
//!     away ──────────────────────► probing ───────────────► held
//!      ▲  ▲                            │ in use elsewhere     │
//!      │  └──── a second later ────────┘                      │
//!      └───────────────── order: standby, or another interface┘
//!            a sibling has handed them over: held at once
//! ```
//! Addresses that a reload adds are probed as well, while the others stay (`added`).
//!
//! While they are held, each pulse of an order renews them, which also restores addresses that
//! another program has removed. They are announced at once, and repeatedly for some seconds: a
//! gateway that was killed keeps its addresses, and answers ARP for them, until its kernel removes
//! them.

mod added;
mod attempt;
mod fight;
mod held;

use ringway_intent::Remedy;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_host::virtual_address::announce::{Announcer, Hardware};
use ringway_host::virtual_address::{Interface, VirtualAddresses};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::HaStatus;
use super::order::Order;
use crate::admin::report::VirtualAddressReport;
use crate::attention::Attention;
use added::Added;
use attempt::AddressProbe;
use fight::Fight;
use held::{HANDOVER, Held, PROBE, REFRESH};

/// If the last pulse is older than this, the daemon hangs: nothing is announced.
const PULSE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Lifetime of the addresses in the kernel. After a longer pause the kernel, and not another
/// program, may have removed them.
const LIFETIME: Duration = Duration::from_secs(2);

/// For this long after such a pause, the addresses are probed before they are taken.
const PROBE_AFTER_STALL: Duration = Duration::from_secs(10);

/// Deadline for the kernel's answers.
const KERNEL_TIMEOUT: Duration = Duration::from_secs(2);

/// Names of the findings.
const KERNEL: &str = "ha address";
const SILENT: &str = "ha announce";
const TAKEN: &str = "ha duplicate";
const FOREIGN: &str = "ha foreign";

/// See the head of this file.
pub struct Keeper {
    attention: Attention,
    status: Arc<HaStatus>,
    kernel: Option<VirtualAddresses>,
    state: State,
    /// When the daemon was found to have been stopped. A sibling may have taken over since, and the
    /// shell's order may predate its knowledge of that.
    stalled: Option<Instant>,
    /// When [`Keeper::update`] last ran.
    last_update: Instant,
    fight: Fight,
    added: Added,
}

enum State {
    /// This host has none of the addresses.
    Away {
        /// Earliest time of the next attempt to take them.
        until: Option<Instant>,
    },
    /// Asks the network whether another host has them.
    Probing(Order, AddressProbe),
    /// This host has the addresses.
    Held(Held),
}

impl Keeper {
    /// A keeper that holds no addresses.
    pub fn new(attention: Attention, status: Arc<HaStatus>) -> Keeper {
        Keeper {
            attention,
            status,
            kernel: None,
            state: State::Away { until: None },
            stalled: None,
            last_update: Instant::now(),
            fight: Fight::default(),
            added: Added::default(),
        }
    }

    /// Follows the orders. Removes the addresses once the sender of `orders` is dropped.
    pub async fn run(mut self, mut orders: watch::Receiver<Order>) {
        loop {
            let order = orders.borrow_and_update().clone();
            let wake = self.update(&order, Instant::now()).await;

            tokio::select! {
                changed = orders.changed() => if changed.is_err() {
                    let last = Order { is_active: false, ..order };
                    self.update(&last, Instant::now()).await;
                    return;
                },
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// Does what is due. Returns when to call again.
    async fn update(&mut self, order: &Order, now: Instant) -> Instant {
        let far = now + REFRESH;
        // While addresses are held, a pulse comes every 500 ms. A longer pause means that this
        // process did not run.
        if matches!(self.state, State::Held(_)) && now > self.last_update + LIFETIME {
            self.stalled = Some(now);
        }
        self.last_update = now;
        let order = &self.added.apply(order, now);
        if order.addresses.is_empty() && matches!(self.state, State::Away { .. }) {
            self.report(order, "");
            return far;
        }

        // The daemon waits for this task when it stops, so the kernel gets a deadline.
        match timeout(KERNEL_TIMEOUT, self.step(order, now)).await {
            Ok(wake) => wake.unwrap_or(far),
            Err(_) => {
                self.attention
                    .raise(KERNEL, "the kernel does not answer for its addresses", "");
                now + PULSE_TIMEOUT
            }
        }
    }

    async fn step(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let before = match &self.state {
            State::Away { .. } => None,
            State::Probing(before, _) => Some(before),
            State::Held(held) => Some(&held.order),
        };
        // First remove what the new order no longer includes.
        if let Some(before) = before
            && (!order.is_active || !before.has_same_addresses(order))
        {
            let before = before.released_by(order);
            self.state = State::Away { until: None };
            self.remove(&before).await;
        }

        if !order.is_active || order.addresses.is_empty() {
            self.attention.clear(TAKEN);
            self.attention.clear(SILENT);
            self.remove(order).await;
            self.report(order, "away");
            return None;
        }
        match &self.state {
            State::Away { until } if until.is_some_and(|until| now < until) => *until,
            State::Away { .. } => self.acquire(order, now).await,
            State::Probing(..) => self.probe(order, now).await,
            State::Held(_) => self.hold(order, now).await,
        }
    }

    /// Takes the addresses, after a probe if another host may have them.
    async fn acquire(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let Some(interface) = self.interface(order).await else {
            self.report(order, "refused");
            return self.retry_later(now);
        };
        let announcer = self.open_announcer(interface, order);

        match announcer {
            Some(announcer) if self.must_probe(order, now) && interface.is_running => {
                self.report(order, "probing");
                let attempt = AddressProbe::new(interface, announcer, now);
                self.state = State::Probing(order.clone(), attempt);
                self.probe(order, now).await
            }
            announcer => self.take(order, interface, announcer, now).await,
        }
    }

    fn must_probe(&self, order: &Order, now: Instant) -> bool {
        order.must_probe
            || self.added.must_probe()
            || self
                .stalled
                .is_some_and(|stalled| now < stalled + PROBE_AFTER_STALL)
    }

    async fn probe(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let State::Probing(_, attempt) = &mut self.state else {
            return None;
        };
        let others = attempt.announcer().others(&order.addresses);
        if !others.is_empty() {
            self.report_conflict(&others);
            self.report(order, "taken");
            if self.added.refuse(others.keys(), now) {
                // The others are taken without them.
                self.state = away();
                return Some(now);
            }
            return self.retry_later(now);
        }
        // Whether a sibling is heard from meanwhile does not matter: the answers to the probes
        // decide.
        if let Some(next) = attempt.probe(&order.addresses, now) {
            return Some(next);
        }

        let State::Probing(_, attempt) = std::mem::replace(&mut self.state, away()) else {
            return None;
        };
        let (interface, announcer) = attempt.into_parts();
        self.added.verified();
        self.clear_conflict();
        self.take(order, interface, Some(announcer), now).await
    }

    async fn take(
        &mut self,
        order: &Order,
        interface: Interface,
        announcer: Option<Announcer>,
        now: Instant,
    ) -> Option<Instant> {
        self.state = State::Held(Held {
            order: order.clone(),
            interface,
            announcer,
            since: now,
            announced: 0,
            next_announcement: now,
            next_probe: now + HANDOVER,
            conflict_at: None,
            is_new: true,
            // In the past, so that the first pulse is never older and the addresses are set now.
            renewed: now.checked_sub(REFRESH).unwrap_or(now),
        });
        // While one is left out, the others are taken again after each probe for it.
        if self.added.refused().next().is_none() {
            tracing::info!(interface = order.interface, "Virtual addresses taken");
        }

        self.hold(order, now).await
    }

    /// Renews, announces and probes the addresses, each when it is due.
    async fn hold(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        if let State::Held(held) = &mut self.state
            && held.order.epoch != order.epoch
        {
            // A new epoch: a sibling may have had the addresses in between, so announce them again.
            held.order = order.clone();
            held.since = now;
            held.announced = 0;
            held.next_announcement = now;
        }
        // The loop hangs, or the machine was suspended. Announce nothing until the next pulse.
        if now > order.pulse + PULSE_TIMEOUT {
            return Some(now + PULSE_TIMEOUT);
        }
        if self.has_lapsed(order) {
            // A sibling may carry the addresses now. Announcing them again would take the hosts
            // away from it.
            tracing::warn!("The daemon was stopped: the virtual addresses are given up");
            self.stalled = Some(now);
            self.remove(order).await;
            self.report(order, "away");
            return self.retry_later(now);
        }
        if !self.renew(order, now).await {
            self.report(order, "refused");
            return self.retry_later(now);
        }

        let State::Held(held) = &mut self.state else {
            return None;
        };
        held.announce(order, now);
        let others = held.probe(order, now);
        let wake = held.next_announcement.min(held.next_probe);
        if !others.is_empty() {
            held.conflict_at = Some(now);
            self.report_conflict(&others);
        } else if held
            .conflict_at
            .is_none_or(|at| now > at + PROBE + HANDOVER)
        {
            // The last probe had no answer.
            self.clear_conflict();
        }
        self.report(order, "held");
        Some(wake)
    }

    /// True if no pulse came for so long that the kernel may have removed the addresses.
    fn has_lapsed(&self, order: &Order) -> bool {
        match &self.state {
            State::Held(held) => !held.is_new && order.pulse > held.renewed + LIFETIME,
            _ => false,
        }
    }

    /// Renews the addresses if there was a pulse since the last renewal. False if this host cannot
    /// have them.
    async fn renew(&mut self, order: &Order, now: Instant) -> bool {
        let State::Held(held) = &self.state else {
            return false;
        };
        let (renewed, index) = (held.renewed, held.interface.index);
        let is_new = held.is_new;
        // No new pulse: only an announcement was due.
        if order.pulse <= renewed {
            return true;
        }

        // The interface may have been created again, with another index.
        let interface = self.interface(order).await;
        if interface.map(|interface| interface.index) != Some(index) {
            return false;
        }
        let Some(kernel) = &self.kernel else {
            return false;
        };
        match kernel.renew(index, &order.addresses).await {
            Ok(missing) => {
                self.attention.clear(KERNEL);
                if !is_new && !missing.is_empty() {
                    self.fight.restored(&missing, &self.attention, now);
                    self.announce_again(now);
                }
                self.fight.expire(&self.attention, now);
                if let State::Held(held) = &mut self.state {
                    held.renewed = order.pulse;
                    held.is_new = false;
                }
                true
            }
            Err(error) => {
                let what = format!("the virtual addresses cannot be set: {error}");
                self.attention.raise(KERNEL, &what, "");
                false
            }
        }
    }

    fn announce_again(&mut self, now: Instant) {
        if let State::Held(held) = &mut self.state {
            held.announced = 0;
            held.next_announcement = now;
            held.since = now;
        }
    }

    async fn remove(&mut self, order: &Order) {
        let Some(interface) = self.interface(order).await else {
            return;
        };
        let Some(kernel) = &self.kernel else { return };

        match kernel.remove(interface.index, &order.addresses).await {
            Ok(foreign) => match foreign.first() {
                Some(first) => self.attention.raise(
                    FOREIGN,
                    &format!(
                        "{first} is a virtual address, and another program has set it on {}: hosts \
                         may use this gateway while another one is active",
                        order.interface
                    ),
                    format!("take {first} from that program's configuration of the host"),
                ),
                None => self.attention.clear(FOREIGN),
            },
            Err(error) => {
                // The kernel removes them by itself after [`LIFETIME`].
                tracing::warn!(%error, "Virtual addresses are not removed");
            }
        }
    }

    /// The interface of `order`.
    async fn interface(&mut self, order: &Order) -> Option<Interface> {
        if self.kernel.is_none() {
            self.kernel = VirtualAddresses::open().ok();
        }
        let name = &order.interface;
        // There is nothing to set or remove.
        if order.addresses.is_empty() {
            return None;
        }

        let interface = self.kernel.as_ref()?.interface(name).await;
        match interface {
            // If there is none, the site's carrier is lost, which is a finding already.
            Ok(interface) => interface,
            Err(error) => {
                let what = format!("the interface {name} cannot be read: {error}");
                self.attention.raise(KERNEL, &what, "");
                None
            }
        }
    }

    fn open_announcer(&self, interface: Interface, order: &Order) -> Option<Announcer> {
        match Announcer::open(interface, &order.addresses) {
            Ok(announcer) => {
                self.attention.clear(SILENT);
                Some(announcer)
            }
            Err(error) => {
                let what = format!(
                    "virtual addresses cannot be announced, so hosts follow a takeover late: \
                     {error}"
                );
                self.attention
                    .raise(SILENT, &what, Remedy::command(RAW_REMEDY));
                None
            }
        }
    }

    fn report_conflict(&self, others: &BTreeMap<IpAddr, Hardware>) {
        let Some((address, hardware)) = others.first_key_value() else {
            return;
        };

        let what = format!(
            "the virtual address {address} is also at {hardware}, which is not our active sibling"
        );
        let remedy = Remedy::command(format!(
            "ip neigh   # find {hardware}, and give one of the two another address"
        ));
        self.attention.raise(TAKEN, &what, remedy);
    }

    fn clear_conflict(&self) {
        if self.added.refused().next().is_none() {
            self.attention.clear(TAKEN);
        }
    }

    fn retry_later(&mut self, now: Instant) -> Option<Instant> {
        let until = Some(now + Duration::from_secs(1));

        self.state = State::Away { until };
        until
    }

    fn report(&self, order: &Order, state: &str) {
        let ours = order.addresses.iter().map(|address| (address, state));
        let refused = self.added.refused().map(|address| (address, "taken"));
        let addresses = ours
            .chain(refused)
            .map(|(address, state)| VirtualAddressReport {
                address: address.to_string(),
                interface: order.interface.clone(),
                state: state.to_owned(),
            });

        self.status.addresses.store(Arc::new(addresses.collect()));
    }
}

/// How to give the daemon CAP_NET_RAW, to announce addresses and to send fragments.
pub const RAW_REMEDY: &str = "install -D -t /etc/systemd/system/ringway.service.d \
     /usr/share/ringway/systemd/ha.conf && systemctl daemon-reload && \
     systemctl restart ringway   # or give it CAP_NET_RAW otherwise";

fn away() -> State {
    State::Away { until: None }
}
