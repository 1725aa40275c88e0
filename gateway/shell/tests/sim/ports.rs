//! The ports in memory: what a daemon's effects do to its keys, its kernel and its files. Each may
//! fail, answer late or answer twice while the world is in chaos. What a port is asked is checked
//! on the spot: an effect that comes in the wrong order, twice, or after the end is a violation.

mod files;
mod kernel;

use std::collections::BTreeSet;

use ringway_config::GatewayId;
use ringway_core::Offer;
use ringway_intent::{GuardSpec, RoutePlan, Thing};
use ringway_shell::{Activity, ChangeId, Effect, Input, Notice, RoutesOutcome};

use crate::consortium;
use crate::event::Event;
use crate::invariant;
use crate::wire;
use crate::world::World;

/// An answer that is under way, and what it does when it arrives.
#[derive(Debug)]
pub(crate) enum Answer {
    /// For the shell as it is.
    Input(Input),
    /// The kernel's routes change now.
    Routes {
        plan: RoutePlan,
        outcome: RoutesOutcome,
    },
    /// The kernel's guard changes now.
    Guard {
        change: ChangeId,
        spec: Box<GuardSpec>,
        result: Result<(), String>,
    },
    /// The kernel is compared now.
    Check { leave: BTreeSet<Thing> },
}

impl World {
    /// Carries out one effect. Gives the answer of ports that answer at once.
    pub(crate) fn perform(&mut self, node: usize, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Dial {
                dial,
                peer,
                endpoints,
            } => self.dial(node, dial, &peer, &endpoints),
            Effect::StartLink { conn, .. } => self.start_link(node, conn),
            Effect::RefuseLink { conn } => self.refuse_link(node, conn),
            Effect::Send { conn, message } => self.send_message(node, conn, &message),
            Effect::Close { conn, code } => {
                if self.nodes[node].running().tables.sessions.contains(&conn) {
                    self.accuse(node, "closes a session whose keys are still in the tables");
                }
                self.close_link(node, conn, code);
            }
            Effect::ForgetLink { conn } => {
                self.nodes[node].running_mut().links.remove(&conn);
            }
            Effect::ReadActivity => return Some(Input::Activity(self.activity(node))),
            Effect::Packets(effect) => self.perform_on_packets(node, effect),
            Effect::SyncRoutes(plan) => self.sync_routes(node, plan),
            Effect::ApplyGuard { change, spec } => self.apply_guard(node, change, spec),
            Effect::Hold(held) => self.nodes[node].disk.held = held,
            Effect::CheckKernel { leave } => self.check_kernel(node, leave),
            Effect::Inspect(_) => {
                self.nodes[node].asked += 1;
                return Some(Input::Inspected(Some(Vec::new())));
            }
            Effect::SwitchForwarding { on } => {
                self.may_write(node);
                self.nodes[node].kernel.forwards = on;
            }
            Effect::CheckDevice => return self.check_device(node),
            Effect::ReadRecords => {
                let held = consortium::held(&self.nodes[node].disk.records);
                return Some(Input::RecordsRead(Some(held)));
            }
            Effect::ReadConfig { change } => self.read_config(node, change),
            Effect::Narrow { change } => self.narrow(node, change),
            Effect::BuildZone { change } => self.build_zone(node, change),
            Effect::ReadIdentity { change } => self.read_identity(node, change),
            Effect::SaveAccepted(accepted) => self.nodes[node].save_accepted(&accepted),
            Effect::StoreSecrets(secrets) => self.nodes[node].disk.sibling_secrets = secrets,
            Effect::Adopt { change, .. } => return self.adopt(node, change),
            Effect::AdoptIdentity { change } => self.adopt_identity(node, change),
            Effect::Discard { change } => {
                self.nodes[node].running_mut().pending.remove(&change);
            }
            Effect::Notify(notice) => self.note(node, notice),
            Effect::Raise(finding) => {
                self.nodes[node].findings.insert(finding.name);
            }
            Effect::Clear(name) => {
                self.nodes[node].findings.remove(&name);
            }
            Effect::Offered { peer, offer } => return self.offered(node, &peer, offer),
            Effect::Stop => self.stop(node),
            Effect::Role(standing) => {
                invariant::takeover_has_grace(self, node, &standing);
                self.nodes[node].standing = Some(standing);
                invariant::ranks_are_sound(self, node);
            }
            Effect::AbandonDial { .. }
            | Effect::ExpectPeers(_)
            | Effect::TrimHeap
            | Effect::SetReach { .. }
            | Effect::ZoneMessage { .. }
            | Effect::Policy(_)
            | Effect::OfferZone { .. }
            | Effect::ForgetZone { .. }
            | Effect::ReloadEnded { .. } => {}
        }

        None
    }

    fn note(&mut self, node: usize, notice: Notice) {
        let now = self.now;
        let node = &mut self.nodes[node];
        match notice {
            Notice::TunnelUp { peer, .. } => {
                node.ups += 1;
                node.met.entry(peer).or_insert(now);
            }
            Notice::Alarm(alarm) => node.alarms.push(alarm.to_string()),
            _ => {}
        }
    }

    pub(crate) fn accuse(&mut self, node: usize, text: &str) {
        let id = self.nodes[node].id.clone();

        self.violate(format!("{id} {text}"));
    }

    /// What came in on each connection: nothing while its path is cut.
    fn activity(&mut self, node: usize) -> Vec<Activity> {
        let daemon = self.nodes[node].daemon.as_mut().unwrap();

        let mut activity = Vec::new();
        for (conn, link) in &mut daemon.links {
            let (wire, end) = wire::end_of(*conn);
            let ends = &self.wires[wire].ends;
            if !self.network.is_cut(ends[end].node, ends[1 - end].node) {
                link.frames += 1;
            }
            activity.push(Activity {
                conn: *conn,
                frames: link.frames,
                local: None,
            });
        }
        activity
    }

    /// An answer that comes soon, or in chaos much later.
    fn answer(&mut self, node: usize, answer: Answer) {
        let late = self.is_chaotic && self.rng.chance(100);
        let after = if late {
            self.rng.millis(300, 1500)
        } else {
            self.rng.millis(1, 60)
        };
        let life = self.nodes[node].life;

        self.schedule(after, Event::Answer { node, life, answer });
    }

    fn fails(&mut self, per_mille: usize) -> bool {
        self.is_chaotic && self.rng.chance(per_mille)
    }

    /// A gateway's offer is kept, and the files are read again.
    fn offered(&mut self, node: usize, peer: &GatewayId, offer: Offer) -> Option<Input> {
        let gateway = &mut self.nodes[node];
        let Some(files) = &mut gateway.disk.attached else {
            self.accuse(node, "is no attached node, and hears an offer");
            return None;
        };
        if !files.offered(&peer.name, offer.prefixes) {
            return None;
        }

        gateway.disk.records = files.records();
        let daemon = gateway.running_mut();
        daemon.expected.must_read_config |= !daemon.shell.is_leaving();
        Some(Input::Reload)
    }
}
