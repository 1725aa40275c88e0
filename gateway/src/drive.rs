//! The loop that owns the mesh core: everything that happens goes in, every action is carried out.
//! Decides nothing about sessions or routes; that is [`ringway_core`]'s. Packets never pass here.
//!
//! ```text
//!   accept, dial, links ─┐                              ┌─► dial, links (control streams)
//!   data plane events ───┼─► Input ─► Mesh ─► Action ───┼─► sessions (keys, data-plane snapshot)
//!   admin, SIGHUP ───────┘            ▲                 ├─► keeper (kernel routes)
//!                                   clock               └─► replicator (zones)
//! ```
//! Events of the data plane come first and by a queue of their own: no flood of messages may hide that
//! other peers are alive.

mod act;
mod challenges;
mod clock;
mod control;
mod fresh;
mod host;
mod input;
mod packets;
mod reload;
pub mod renewal;
mod report;
mod session;
mod sessions;

use std::time::{Duration, Instant};

use quinn::Connection;
use ringway_config::GatewayId;
use ringway_core::{
    ByeCode, Connected, DialError, DialId, ExternalText, Fib, Incoming, Membership, Mesh, Role,
    SessionIndex,
};
use ringway_dataplane::Event;
use ringway_dns::{HoldFile, Moment};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

pub use fresh::Fresh;
pub use host::watch as watch_host;
pub use input::Input;
pub use packets::Packets;
pub use reload::Running;

use crate::host::heap::{self, Heap};
use crate::identity::local::Age;
use crate::keeper::{Installed, Wanted};
use crate::plane::Plane;
use crate::quic::accept::PeerAddresses;
use crate::quic::dial::Dialler;
use crate::quic::link::Outbox;
use crate::zones::Replicator;
use clock::Clock;
use reload::Reload;
use sessions::Sessions;

/// Inputs that may wait for the loop. Filled by peers' messages first of all; their links wait then,
/// and the peers with them.
pub const QUEUE: usize = 1024;

/// How often the loop looks after the TUN device and its connections, although nobody told that it should.
const ROUND: Duration = Duration::from_secs(1);

/// What the loop works with; made by [`crate::run`].
pub struct Drive {
    /// The core.
    pub mesh: Mesh,
    /// Configuration, trust and identity as they are in force.
    pub running: Running,
    /// Dials.
    pub dialler: Dialler,
    /// Addresses of peers, for those who accept.
    pub peers: PeerAddresses,
    /// The data plane's tables.
    pub packets: Packets,
    /// The TUN device and the data plane's threads.
    pub plane: Plane,
    /// Zones of the other organizations.
    pub replicator: Replicator,
    /// Routes for the kernel.
    pub routes: watch::Sender<Wanted>,
    /// Routes that the kernel has.
    pub installed: Installed,
    /// Where links, dials and the data plane report to.
    pub inputs: mpsc::Sender<Input>,
}

/// The loop's own state.
struct State {
    drive: Drive,
    membership: Membership,
    fib: Fib,
    sessions: Sessions,
    clock: Clock,
    reload: Reload,
    /// The data plane's tables are not as the sessions and routes are.
    stale: bool,
    /// Connections to close once their keys are gone from the data plane.
    closing: Vec<(Outbox, ByeCode)>,
    drained: bool,
    /// When to look again after what nobody may have told.
    round: Instant,
    /// When freed memory goes back to the system.
    heap: Heap,
    /// The age of the certificate that was last warned of.
    warned: Age,
}

impl Drive {
    /// Runs until `stop`, then takes leave of every peer. An error: it ended by itself, and why.
    pub async fn run(
        self,
        mut inputs: mpsc::Receiver<Input>,
        mut events: mpsc::Receiver<Event>,
        stop: CancellationToken,
    ) -> Result<(), &'static str> {
        let membership = self.running.membership();
        let sessions = Sessions::new(self.running.domain().clone(), membership.me.clone());
        let (fib, clock) = (Fib::default(), Clock::new());
        let mut state = State {
            drive: self,
            membership,
            fib,
            sessions,
            clock,
            reload: Reload::default(),
            stale: true,
            closing: Vec::new(),
            drained: false,
            round: Instant::now(),
            heap: Heap::default(),
            warned: Age::Fresh,
        };
        let mut stopping = false;
        state.act();
        while !state.drained {
            let wake = state.wake();
            tokio::select! {
                biased;
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    state.drive.mesh.handle_shutdown(Instant::now());
                }
                () = sleep_until(wake.into()) => state.tick(),
                Some(event) = events.recv() => state.noticed(event, Instant::now()),
                input = inputs.recv() => match input {
                    Some(input) => state.handle(input),
                    None => return Err("nobody reports to the drive any more"),
                },
            }
            state.act();
        }
        // Whoever still reports to us shall not wait for that.
        drop((inputs, events));
        state.sessions.closed().await;
        remember(&state.drive.replicator.remembered());
        Ok(())
    }
}

/// Who was heard when, for the next start.
fn remember(file: &HoldFile) {
    if let Err(error) = file.write() {
        tracing::warn!(%error, "Not stored when members were last heard: after a restart it counts from now");
    }
}

impl State {
    fn wake(&self) -> Instant {
        let mesh = self.drive.mesh.poll_timeout();
        let zones = self.drive.replicator.poll_timeout();
        [mesh, zones]
            .into_iter()
            .flatten()
            .fold(self.clock.next(), Instant::min)
    }

    fn tick(&mut self) {
        let now = Instant::now();
        if self.clock.has_jumped(now) {
            tracing::warn!(
                "The clock jumped: this machine slept or was moved; all sessions start anew"
            );
            self.drive.mesh.handle_clock_jump(now);
        }
        if self.round <= now {
            self.round = now + ROUND;
            self.mend(now);
            self.replace_stranded(now);
            if self.heap.is_due(now) {
                tokio::task::spawn_blocking(heap::give_back);
            }
        }
        self.warn_of_age();
        if self.drive.running.names.is_reach_due(now) {
            self.drive
                .running
                .names
                .reach(&self.membership, &self.fib, now);
        }
        self.sessions.forget_passed_keys(now);
        if let Some(file) = self.drive.replicator.look(Moment::now()) {
            tokio::task::spawn_blocking(move || remember(&file));
        }
        self.drive.mesh.handle_timeout(now);
        for reply in self.drive.replicator.handle_timeout(now) {
            self.reply(reply);
        }
    }

    fn handle(&mut self, input: Input) {
        let now = Instant::now();
        match input {
            Input::Accepted(connection) => self.connected(connection, Role::Accepter, None, now),
            Input::Dialled {
                dial,
                peer,
                connection,
            } => {
                self.drive.dialler.finish(dial);
                self.connected(connection, Role::Dialler, Some((dial, peer)), now);
            }
            Input::DialFailed { dial, error } => {
                self.drive.dialler.finish(dial);
                self.drive.mesh.handle_dial_failed(dial, error, now);
            }
            Input::Message {
                conn,
                incoming: Incoming::Message(message),
            } => {
                self.drive.mesh.handle_message(conn, message, now);
            }
            Input::Message {
                conn,
                incoming: Incoming::Malformed { kind, error },
            } => {
                self.drive.mesh.handle_malformed(conn, kind, error, now);
            }
            Input::Disconnected { conn, error } => {
                self.drop_session(conn);
                self.drive.mesh.handle_disconnected(conn, error, now);
            }
            Input::ZoneChecked(checked) => {
                self.heap.littered(now);
                let next = self.drive.replicator.handle_checked(*checked, now);
                next.into_iter().for_each(|reply| self.reply(reply));
            }
            Input::ZoneRenewed(renewed) => self.end_renewing_zone(*renewed, now),
            Input::Reload => self.begin_reload(),
            Input::Reloaded(fresh) => self.end_reload(fresh, now),
            Input::Renew => self.renew(now),
            Input::Host(links) => {
                self.mend(now);
                self.look_around(links, now);
                self.replace_stranded(now);
                self.drive.mesh.handle_host_changed(now);
            }
            Input::Filtered(result) => self.end_filtering(result, now),
            // Whoever asked may have given up.
            Input::Status(reply) => _ = reply.send(self.report()),
        }
    }

    /// Registers a connection, if its peer still has this gateway's trust.
    fn connected(
        &mut self,
        connection: Connection,
        role: Role,
        dial: Option<(DialId, GatewayId)>,
        now: Instant,
    ) {
        let (dial, dialled) = dial.unzip();
        let remote = connection.remote_address();
        self.heap.littered(now);
        match self
            .sessions
            .admit(&connection, role, dialled.as_ref(), &self.drive.running)
        {
            Ok((peer, expires)) => {
                let (inputs, links) = (self.drive.inputs.clone(), &self.drive.running.links);
                let conn = self
                    .sessions
                    .insert(connection, role, peer.clone(), inputs, links);
                self.drive.mesh.handle_connected(
                    conn,
                    Connected {
                        peer,
                        role,
                        dial,
                        expires,
                    },
                    now,
                );
            }
            Err(refusal) => {
                tracing::warn!(%remote, reason = %refusal, "Peer refused");
                connection.close(0u8.into(), b"");
                if let Some(dial) = dial {
                    let error = DialError::PeerRefused {
                        endpoint: remote.into(),
                        reason: ExternalText::new(refusal),
                    };
                    self.drive.mesh.handle_dial_failed(dial, error, now);
                }
            }
        }
    }

    fn noticed(&mut self, event: Event, now: Instant) {
        match event {
            Event::Echo {
                index,
                probe,
                from,
                to,
            } => match self.sessions.answered(index, probe, from, to) {
                Some(true) => self.drive.mesh.handle_moved(SessionIndex(index), now),
                Some(false) => {}
                None => self.drive.mesh.handle_echo(SessionIndex(index), probe, now),
            },
            Event::OffPath { index, from, .. } => {
                self.sessions
                    .challenge(index, from, self.drive.packets.socket());
            }
            // The echo of the first probe proves more: that both directions work.
            Event::Failed { .. } => self.mend(now),
        }
    }

    /// Brings the TUN device back if it was taken away, and the kernel's routes with it.
    fn mend(&mut self, now: Instant) {
        if self.drive.plane.mend(now) {
            self.publish_routes();
        }
    }

    /// Sessions whose control stream is about to end are replaced before it does.
    fn replace_stranded(&mut self, now: Instant) {
        for conn in self.sessions.stranded(&self.drive.running.links, now) {
            self.drive.mesh.handle_silent(conn, now);
        }
    }
}
