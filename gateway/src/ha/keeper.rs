//! [`Keeper`]: the virtual addresses of this host, as the [`Order`] of the moment wants them.
//!
//! ```text
//!                order: active            probes unanswered
//!     away ──────────────────────► probing ───────────────► held
//!      ▲  ▲                            │ somebody has it      │
//!      │  └──── a second later ────────┘                      │
//!      └───────────────── order: standby, or another interface┘
//!            a sibling has left them to us: held at once
//! ```
//! While they are held, each pulse of an order renews them; what another program has removed is
//! back with that. They are announced at once and again for some seconds: a gateway that was killed
//! has its addresses, and answers for them, until its kernel ends them.

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

use super::Done;
use super::order::Order;
use crate::admin::report::VirtualAddressReport;
use crate::attention::Attention;
use attempt::Attempt;
use fight::Fight;
use held::{HANDING_OVER, Held, PROBE, REFRESH};

/// With an older pulse nothing is announced: the daemon hangs.
const LEASE: Duration = Duration::from_millis(1500);

/// After a longer pause the kernel may have ended the addresses: it was no other program.
const LAPSE: Duration = Duration::from_secs(2);

/// So long after such a pause, nothing is taken that somebody else answers for.
const DISTRUST: Duration = Duration::from_secs(10);

/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names of what needs attention.
const KERNEL: &str = "ha address";
const MISSING: &str = "ha interface";
const SILENT: &str = "ha announce";
const TAKEN: &str = "ha duplicate";
const FOREIGN: &str = "ha foreign";

/// See the head of this file.
pub struct Keeper {
    attention: Attention,
    done: Arc<Done>,
    kernel: Option<VirtualAddresses>,
    state: State,
    /// When the daemon was found to have stood still: a sibling may have taken over, and what the
    /// shell says before it has heard of that counts for little.
    lapsed: Option<Instant>,
    /// When this task last had anything to do.
    followed: Instant,
    fight: Fight,
}

enum State {
    /// This host has none of them.
    Away {
        /// Not before then are they tried for again.
        until: Option<Instant>,
    },
    /// It is asked who has them.
    Probing(Order, Attempt),
    /// This host has them.
    Held(Held),
}

impl Keeper {
    /// Nothing is held yet.
    pub fn new(attention: Attention, done: Arc<Done>) -> Keeper {
        Keeper {
            attention,
            done,
            kernel: None,
            state: State::Away { until: None },
            lapsed: None,
            followed: Instant::now(),
            fight: Fight::default(),
        }
    }

    /// Follows the orders until there are no more; has nothing then.
    pub async fn keep(mut self, mut orders: watch::Receiver<Order>) {
        loop {
            let order = orders.borrow_and_update().clone();
            let wake = self.follow(&order, Instant::now()).await;

            tokio::select! {
                changed = orders.changed() => if changed.is_err() {
                    let last = Order { is_active: false, ..order };
                    self.follow(&last, Instant::now()).await;
                    return;
                },
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// Does what is due; returns when something is again.
    async fn follow(&mut self, order: &Order, now: Instant) -> Instant {
        let far = now + REFRESH;
        // While they are held, there is something to do with each pulse.
        if matches!(self.state, State::Held(_)) && now > self.followed + LAPSE {
            self.lapsed = Some(now);
        }
        self.followed = now;
        if order.addresses.is_empty() && matches!(self.state, State::Away { .. }) {
            self.report(order, "");
            return far;
        }

        // A deadline, since the daemon waits for this task when it ends.
        match timeout(PATIENCE, self.turn(order, now)).await {
            Ok(wake) => wake.unwrap_or(far),
            Err(_) => {
                self.attention
                    .raise(KERNEL, "the kernel does not answer for its addresses", "");
                now + LEASE
            }
        }
    }

    async fn turn(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let before = match &self.state {
            State::Away { .. } => None,
            State::Probing(before, _) => Some(before),
            State::Held(held) => Some(&held.order),
        };
        // What is held elsewhere goes first.
        if let Some(before) = before
            && (!order.is_active || !before.has_the_place_of(order))
        {
            let before = before.without_what_stays(order);
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
            State::Away { .. } => self.begin(order, now).await,
            State::Probing(..) => self.probe(order, now).await,
            State::Held(_) => self.hold(order, now).await,
        }
    }

    /// Takes the addresses, or asks first who has them.
    async fn begin(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let Some(interface) = self.interface(order).await else {
            self.report(order, "refused");
            return self.try_again(now);
        };
        let announcer = self.open_announcer(interface, order);

        match announcer {
            Some(announcer) if self.must_probe(order, now) && interface.is_running => {
                self.report(order, "probing");
                let attempt = Attempt::new(interface, announcer, now);
                self.state = State::Probing(order.clone(), attempt);
                self.probe(order, now).await
            }
            announcer => self.take(order, interface, announcer, now).await,
        }
    }

    fn must_probe(&self, order: &Order, now: Instant) -> bool {
        order.must_probe || self.lapsed.is_some_and(|lapsed| now < lapsed + DISTRUST)
    }

    async fn probe(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        let State::Probing(_, attempt) = &mut self.state else {
            return None;
        };
        let others = attempt.announcer().others(&order.addresses);
        if !others.is_empty() {
            self.say_taken(&others);
            self.report(order, "taken");
            return self.try_again(now);
        }
        // A sibling that is heard of meanwhile has nothing to do with who has them now.
        if let Some(next) = attempt.probe(&order.addresses, now) {
            return Some(next);
        }

        let State::Probing(_, attempt) = std::mem::replace(&mut self.state, away()) else {
            return None;
        };
        let (interface, announcer) = attempt.conclude();
        self.attention.clear(TAKEN);
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
            next_probe: now + HANDING_OVER,
            heard: None,
            is_new: true,
            // Whatever the last pulse was, it counts.
            renewed: now.checked_sub(REFRESH).unwrap_or(now),
        });
        tracing::info!(interface = order.interface, "Virtual addresses taken");

        self.hold(order, now).await
    }

    /// Renews, announces and asks, each when it is due.
    async fn hold(&mut self, order: &Order, now: Instant) -> Option<Instant> {
        if let State::Held(held) = &mut self.state
            && held.order.epoch != order.epoch
        {
            // A sibling may have had them meanwhile.
            held.order = order.clone();
            held.since = now;
            held.announced = 0;
            held.next_announcement = now;
        }
        // The loop hangs, or the whole machine stood still until now: nothing is said before it is
        // alive again.
        if now > order.pulse + LEASE {
            return Some(now + LEASE);
        }
        if self.is_lapsing(order) {
            // To announce them again would take the hosts from a sibling that carries them now.
            tracing::warn!("The daemon stood still: the virtual addresses are given up");
            self.lapsed = Some(now);
            self.remove(order).await;
            self.report(order, "away");
            return self.try_again(now);
        }
        if !self.renew(order, now).await {
            self.report(order, "refused");
            return self.try_again(now);
        }

        let State::Held(held) = &mut self.state else {
            return None;
        };
        held.announce(order, now);
        let others = held.ask(order, now);
        let wake = held.next_announcement.min(held.next_probe);
        if !others.is_empty() {
            held.heard = Some(now);
            self.say_taken(&others);
        } else if held
            .heard
            .is_none_or(|heard| now > heard + PROBE + HANDING_OVER)
        {
            // Nobody has answered the last question.
            self.attention.clear(TAKEN);
        }
        self.report(order, "held");
        Some(wake)
    }

    /// True if there was no pulse for so long that the kernel may have ended the addresses.
    fn is_lapsing(&self, order: &Order) -> bool {
        match &self.state {
            State::Held(held) => !held.is_new && order.pulse > held.renewed + LAPSE,
            _ => false,
        }
    }

    /// Renews the addresses if the daemon's loop was alive since the last time. False if this host
    /// cannot have them.
    async fn renew(&mut self, order: &Order, now: Instant) -> bool {
        let State::Held(held) = &self.state else {
            return false;
        };
        let (renewed, index) = (held.renewed, held.interface.index);
        let is_new = held.is_new;
        // Only an announcement was due.
        if order.pulse <= renewed {
            return true;
        }

        // It may have been created again, with another index.
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
                self.fight.look(&self.attention, now);
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
                // They end by themselves within seconds.
                tracing::warn!(%error, "Virtual addresses are not removed");
            }
        }
    }

    /// The interface of `order`; says what is wrong if there is none.
    async fn interface(&mut self, order: &Order) -> Option<Interface> {
        if self.kernel.is_none() {
            self.kernel = VirtualAddresses::open().ok();
        }
        let name = &order.interface;
        // Nothing is to be set or removed.
        if order.addresses.is_empty() {
            return None;
        }

        let interface = self.kernel.as_ref()?.interface(name).await;
        match interface {
            Ok(Some(interface)) => {
                self.attention.clear(MISSING);
                Some(interface)
            }
            Ok(None) => {
                let what = format!("[ha] interface {name} is no interface of this host");
                self.attention
                    .raise(MISSING, &what, Remedy::command("ip link   # lists them"));
                None
            }
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
                    "hosts are not told of the virtual addresses, and follow a takeover late: \
                     {error}"
                );
                self.attention
                    .raise(SILENT, &what, Remedy::command(RAW_REMEDY));
                None
            }
        }
    }

    fn say_taken(&self, others: &BTreeMap<IpAddr, Hardware>) {
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

    fn try_again(&mut self, now: Instant) -> Option<Instant> {
        let until = Some(now + Duration::from_secs(1));

        self.state = State::Away { until };
        until
    }

    fn report(&self, order: &Order, state: &str) {
        let addresses = order.addresses.iter().map(|address| VirtualAddressReport {
            address: address.to_string(),
            interface: order.interface.clone(),
            state: state.to_owned(),
        });

        self.done.addresses.store(Arc::new(addresses.collect()));
    }
}

/// How a daemon gets the right to announce addresses, and to send fragments: CAP_NET_RAW.
pub const RAW_REMEDY: &str = "install -D -t /etc/systemd/system/ringway.service.d \
     /usr/share/ringway/systemd/ha.conf && systemctl daemon-reload && \
     systemctl restart ringway   # or give it CAP_NET_RAW otherwise";

fn away() -> State {
    State::Away { until: None }
}
