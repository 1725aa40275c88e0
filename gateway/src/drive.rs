//! The executor of the [`Shell`]: turns the events of every port into inputs and carries out each
//! effect with one call of a port. Decides nothing; packets never pass here.
//!
//! ```text
//!   data plane's events ─┐                             ┌─► links     connections, control streams
//!   results of jobs     ─┤                             ├─► packets   keys, tables, probes
//!   watches, admin      ─┼─► Input ─► Shell ─► Effect ─┼─► kernel    routes, filter, device
//!   links               ─┤             ▲               ├─► jobs      read files, build the zone
//!   clock, signals      ─┘             └─── answers ───┴─► in force  trust, identity, names, zones
//! ```
//! The queues are polled in this order. The data plane's events come first: a flood of messages
//! must not hide that other peers are alive. Links come last because members can flood them; the
//! queues before them are seldom full, so that an operator's request is always answered.

mod clients;
mod effects;
mod flow_sharing;
mod fragment;
mod heartbeat;
mod in_force;
mod jobs;
mod kernel;
mod keys;
mod links;
mod lists;
mod nodes;
mod packet_effects;
mod packets;
mod policy_report;
mod prefix_owner;
mod questions;
mod queues;
mod reloads;
mod report;
mod rules;

use std::time::{Duration, Instant, SystemTime};

use ringway_core::SessionIndex;
use ringway_dataplane as dataplane;
use ringway_dns::Moment;
use ringway_intent::Remedy;
use ringway_shell::{Input, Shell};
use rustls_pki_types::UnixTime;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub use heartbeat::Heartbeat;
pub use in_force::{InForce, Stored};
use jobs::Event;
pub use jobs::Jobs;
pub use kernel::KernelPort;
pub use keys::LocalGateway;
pub use links::Links;
pub use packets::Packets;
pub(crate) use policy_report::service as denied_service;
pub use questions::Questions;
pub use queues::{Queues, Senders, queues};
pub use reloads::Reloads;

use crate::admin::attention::Beginnings;
use crate::admin::{AnswersReport, Request};
use crate::attention::Attention;
use crate::ha::Ha;
use crate::health::Health;
use crate::kubernetes::Kubernetes;
use crate::logging;
use crate::tasks::Tasks;
use crate::watch;
use crate::wireguard::Clients;
use crate::zones::Replicator;

/// Time limit for closing the links.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The shell and its ports. [`crate::run`] makes it.
pub struct Drive {
    /// Makes every decision.
    pub shell: Shell,
    /// Connections.
    pub links: Links,
    /// Keys and the data plane's tables.
    pub packets: Packets,
    /// Routes, packet filter and TUN device.
    pub kernel: KernelPort,
    /// Work off the loop.
    pub jobs: Jobs,
    /// The trust, identity and names in force.
    pub in_force: InForce,
    /// Replicates names: other gateways' fragments here, ours to them.
    pub replicator: Replicator,
    /// Checks which addresses of our hosts accept connections.
    pub health: Health,
    /// The names of Kubernetes Services.
    pub kubernetes: Kubernetes,
    /// Carries out this gateway's role in its site.
    pub ha: Ha,
    /// WireGuard clients, if the file has `[wireguard]`.
    pub(crate) wireguard: Option<Clients>,
    /// The findings for the operator.
    pub attention: Attention,
    /// When the findings that are derived from reports began.
    pub beginnings: Beginnings,
    /// When the members' revocation lists were last checked for age.
    pub lists_seen: UnixTime,
    /// Clients that wait for a reload.
    pub reloads: Reloads,
    /// Questions about rules that wait for a peer's answer.
    pub questions: Questions,
    /// Reports to the service manager.
    pub heartbeat: Heartbeat,
    /// When the daemon started.
    pub started: SystemTime,
    /// Every task of the daemon.
    pub tasks: Tasks,
}

impl Drive {
    /// Runs until `stop` is cancelled, then until every session is closed.
    pub async fn run(mut self, mut queues: Queues, stop: CancellationToken) {
        let mut is_stopping = false;
        // A new shell already has effects, and our fragment a first version.
        self.carry_out();
        self.prepare_zone();

        while !self.shell.is_stopped() {
            let wake = self.wake();

            tokio::select! {
                // In the order of the file's head, and for the reasons there.
                biased;
                () = stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    self.heartbeat.service().stops();
                    // Before the sessions are closed, so that a sibling takes over meanwhile.
                    self.ha.shut_down(self.in_force.config());
                    self.in_force.withdraw_resolver();
                    self.handle(Input::Shutdown);
                }
                () = sleep_until(wake.into()) => self.tick(),
                Some(event) = queues.packets.recv() => self.handle(packet_input(event)),
                Some(event) = queues.jobs.recv() => self.handle_job(event),
                Some(event) = queues.watches.recv() => self.handle_watch(event),
                Some(request) = queues.requests.recv() => self.answer(request),
                Some(()) = queues.reloads.recv() => self.handle(Input::Reload),
                Some(event) = queues.links.recv() => {
                    let input = self.links.input(event);
                    self.handle(input);
                }
            }
        }

        // A link that still sends an event must not wait for this loop.
        drop(queues);
        if !self.links.close(CLOSE_TIMEOUT).await {
            tracing::warn!("Some peers did not acknowledge our last message");
        }

        let heard = self.replicator.heard();
        self.in_force.store_heard(heard, &self.jobs);
    }

    fn handle(&mut self, input: Input) {
        self.shell.handle(input, Instant::now());

        self.carry_out();
    }

    fn handle_watch(&mut self, event: watch::Event) {
        let input = match event {
            watch::Event::Links(links) => {
                self.in_force.set_arrivals(&links);
                Input::HostChanged(links)
            }
            watch::Event::Kernel => {
                self.ha.on_kernel_change(Instant::now());
                Input::KernelChanged
            }
            watch::Event::Certificate => Input::CertificateChanged,
            watch::Event::WireGuard(clients) => Input::WireGuard(clients),
            watch::Event::Kubernetes(event) => return self.note_kubernetes(event),
        };

        self.handle(input);
    }

    /// When the shell or another part is due, even without an event.
    fn wake(&self) -> Instant {
        // `sleep_until` needs a time. Waking up once an hour costs nothing.
        let far = Instant::now() + Duration::from_secs(3600);

        let timeouts = [
            self.shell.poll_timeout(),
            self.replicator.poll_timeout(),
            self.health.poll_timeout(),
            self.ha.poll_timeout(),
            self.heartbeat.poll_timeout(),
            self.beginnings.poll_timeout(),
            self.questions.poll_timeout(),
            self.kubernetes.poll_timeout(),
        ];

        timeouts.into_iter().flatten().fold(far, Instant::min)
    }

    fn tick(&mut self) {
        self.ha.pulse(Instant::now());
        // Time since boot includes suspension, the monotonic clock does not. From the difference
        // the shell sees that the machine was suspended.
        let boot = boot_time();
        // Certificates expire by the wall clock, which can be set at any time.
        let wall = wall_time();
        self.handle(Input::Tick { boot, wall });

        self.check_lists();
        logging::log_left_out();
        let now = Moment::now();
        let update = self.replicator.update_ages(now);
        if let Some(heard) = update.heard {
            self.in_force.store_heard(heard, &self.jobs);
        }
        self.reply_all(update.replies);
        for reply in self.replicator.handle_timeout(now.monotonic) {
            self.reply(reply);
        }
        self.questions.handle_timeout(now.monotonic);
        self.compare_services(now.monotonic);
        if let Some(round) = self.health.poll_round(now.monotonic) {
            self.jobs.spawn(async { Event::Probed(round.run().await) });
        }
        if self.beginnings.is_due(now.monotonic) {
            // For their beginnings alone.
            self.report();
        }
        // Last, so that a beat means that the whole tick was done.
        self.beat(Instant::now());
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Status(reply) => {
                // The client may have disconnected.
                let _ = reply.send(self.report());
            }
            Request::Role(reply) => {
                let _ = reply.send(self.role());
            }
            Request::Drain { on, reply } => {
                self.drain(on);
                let _ = reply.send(self.report());
            }
            Request::Answers(reply) => {
                let answers = self.packets.filter().host_answers(Instant::now());
                // The client may have given up.
                let _ = reply.send(AnswersReport::of(&answers));
            }
            Request::Rules { opening, reply } => self.ask_rules(&opening, reply),
            Request::Reload(reply) => {
                self.reloads.add_waiting(self.shell.last_change(), reply);
                self.handle(Input::Reload);
            }
        }
    }

    /// Drains this gateway, or takes that back. Without a sibling there is nothing to hand over.
    fn drain(&mut self, on: bool) {
        let site = self.shell.status(Instant::now()).site;
        let on = on && !site.siblings.is_empty();
        self.handle(Input::Drain { on });

        if on {
            self.attention.raise(
                "drained",
                "this gateway is drained: it hands the site over whenever a sibling can serve it",
                Remedy::ringway("drain --cancel"),
            );
        } else {
            self.attention.clear("drained");
        }
    }
}

fn packet_input(event: dataplane::Event) -> Input {
    match event {
        dataplane::Event::Echo {
            index,
            probe,
            from,
            to,
        } => Input::Echo {
            index: SessionIndex(index),
            probe,
            from,
            to,
        },
        dataplane::Event::OffPath { index, from, .. } => Input::OffPath {
            index: SessionIndex(index),
            from,
            random: random(),
        },
        dataplane::Event::Failed { .. } => Input::DeviceFailed,
    }
}

/// 64 random bits that an attacker cannot guess: tokens of challenges depend on it. If there is no
/// randomness, aws-lc aborts the process.
fn random() -> u64 {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system has random bytes");

    u64::from_be_bytes(bytes)
}

/// Time since 1970, by the wall clock.
pub fn wall_time() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Time since boot, suspension included (CLOCK_BOOTTIME).
pub fn boot_time() -> Duration {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME)
        .map_or(Duration::ZERO, Duration::from)
}
