//! The ports in memory: what a daemon's effects do to its keys, its kernel and its files. Each may
//! fail, answer late or answer twice while the world is in chaos. What a port is asked is checked
//! on the spot: an effect that comes in the wrong order, twice, or after the end is a violation.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ringway_config::{Digest, Fault, Faults, GatewayId, Place, conflicts, meet, rule};
use ringway_core::{ConnId, ExternalText, Message, Offer};
use ringway_intent::{
    Checked, GuardSpec, Missing, Restoration, RoutePlan, Situation, Thing, guard, held,
};
use ringway_shell::{
    Activity, ChangeId, Effect, IdentityFacts, Input, NextConfig, Notice, PacketEffect,
    RoutesOutcome, Tables, Untrusted,
};

use crate::consortium::{self, Records};
use crate::invariant;
use crate::node::Pending;
use crate::wire;
use crate::world::{Event, World};

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
            Effect::AskKernel(_) => {
                self.nodes[node].asked += 1;
                return Some(Input::KernelAsked(Some(Vec::new())));
            }
            Effect::SwitchForwarding { on } => {
                self.may_write(node);
                self.nodes[node].kernel.forwards = on;
            }
            Effect::CheckDevice => return self.check_device(node),
            Effect::ReadConfig { change } => self.read_config(node, change),
            Effect::Narrow { change } => self.narrow(node, change),
            Effect::BuildZone { change } => self.build_zone(node, change),
            Effect::ReadIdentity { change } => self.read_identity(node, change),
            Effect::SaveAccepted(accepted) => self.nodes[node].save_accepted(&accepted),
            Effect::KeepSecrets(secrets) => self.nodes[node].disk.sibling_secrets = secrets,
            Effect::Adopt { change, .. } => return self.adopt(node, change),
            Effect::AdoptIdentity { change } => self.adopt_identity(node, change),
            Effect::Discard { change } => {
                self.nodes[node].running_mut().pending.remove(&change);
            }
            Effect::Notify(Notice::TunnelUp { peer, .. }) => {
                let now = self.now;
                self.nodes[node].ups += 1;
                self.nodes[node].met.entry(peer).or_insert(now);
            }
            Effect::Notify(Notice::Alarm(alarm)) => {
                self.nodes[node].alarms.push(alarm.to_string());
            }
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
            | Effect::ReloadEnded { .. }
            | Effect::Notify(_) => {}
        }

        None
    }

    fn perform_on_packets(&mut self, node: usize, effect: PacketEffect) {
        match effect {
            PacketEffect::InstallOpening {
                conn, site, lanes, ..
            } => {
                let daemon = self.nodes[node].running_mut();
                daemon.opening.insert(conn, lanes[0].index);
                daemon.sites.insert(conn, site);
            }
            PacketEffect::InstallSealing { conn, lanes, .. } => {
                let daemon = self.nodes[node].running_mut();
                daemon.sealing.insert(conn, lanes[0].index);
            }
            PacketEffect::Publish(tables) => self.publish(node, *tables),
            PacketEffect::Probe { conn, probe, .. } => self.probe(conn, probe),
            PacketEffect::BeginGrace => self.begin_grace(node),
            PacketEffect::ShareFlows { to } => self.share_flows(node, &to),
            PacketEffect::Challenge { .. }
            | PacketEffect::MovePath { .. }
            | PacketEffect::SetPathMtu { .. }
            | PacketEffect::RetainPeers(_)
            | PacketEffect::ExpireKeys => {}
        }
    }

    pub(crate) fn accuse(&mut self, node: usize, text: &str) {
        let id = self.nodes[node].id.clone();

        self.violate(format!("{id} {text}"));
    }

    /// The keys that open a peer's packets must be in the tables before our `Hello` names them.
    fn send_message(&mut self, node: usize, conn: ConnId, message: &Message) {
        let daemon = self.nodes[node].running();
        let is_open = daemon.tables.sessions.contains(&conn);
        let is_started = daemon.links.get(&conn).is_some_and(|link| link.is_started);

        if matches!(message, Message::Hello(_)) && !is_open {
            self.accuse(
                node,
                "says Hello before the keys that it names are published",
            );
        }
        if !is_started {
            self.accuse(node, "sends on a link that was not started");
        }
        self.send(conn, wire::Item::Bytes(message.encode()));
    }

    fn start_link(&mut self, node: usize, conn: ConnId) {
        match self.nodes[node].running_mut().links.get_mut(&conn) {
            Some(link) => link.is_started = true,
            None => self.accuse(node, "starts a link that does not exist"),
        }
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

    /// Tables name only keys that are installed; keys that they do not name are dropped.
    fn publish(&mut self, node: usize, tables: Tables) {
        let daemon = self.nodes[node].running_mut();
        let open = tables
            .sessions
            .iter()
            .all(|conn| daemon.opening.contains_key(conn));
        let seals = tables
            .routes
            .values()
            .all(|conn| tables.sessions.contains(conn) && daemon.sealing.contains_key(conn));

        daemon
            .opening
            .retain(|conn, _| tables.sessions.contains(conn));
        daemon
            .sealing
            .retain(|conn, _| tables.sessions.contains(conn));
        daemon.tables = tables;
        self.forget_rules(node);
        if !open {
            self.accuse(node, "publishes a session whose keys are not installed");
        }
        if !seals {
            self.accuse(node, "publishes a route whose session has no keys");
        }
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

    fn may_write(&mut self, node: usize) {
        if self.nodes[node].kernel.is_restored {
            self.accuse(node, "writes to the kernel after it was restored");
        }
    }

    fn sync_routes(&mut self, node: usize, plan: RoutePlan) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if std::mem::replace(&mut daemon.is_syncing, true) {
            self.accuse(node, "compares routes twice at a time");
        }

        let outcome = if self.fails(40) {
            RoutesOutcome::Failed
        } else if self.fails(40) {
            let first = plan.keys().next().copied();
            RoutesOutcome::Refused(first.into_iter().collect())
        } else {
            RoutesOutcome::Done
        };
        self.answer(node, Answer::Routes { plan, outcome });
    }

    /// Replaces the kernel's routes by the plan's, but for what is refused.
    pub(crate) fn routes_synced(
        &mut self,
        node: usize,
        mut plan: RoutePlan,
        outcome: RoutesOutcome,
    ) -> Input {
        self.may_write(node);
        let kernel = &mut self.nodes[node].kernel;
        kernel.is_meddled &= outcome == RoutesOutcome::Failed;

        match &outcome {
            RoutesOutcome::Done => kernel.routes = plan,
            RoutesOutcome::Refused(refused) => {
                for prefix in refused {
                    plan.remove(prefix);
                    if let Some(before) = kernel.routes.get(prefix) {
                        plan.insert(*prefix, *before);
                    }
                }
                kernel.routes = plan;
            }
            RoutesOutcome::Failed => {}
        }

        let daemon = self.nodes[node].running_mut();
        daemon.is_syncing = false;
        daemon.is_sync_refused = outcome != RoutesOutcome::Done;
        Input::RoutesSynced {
            outcome,
            restored: Vec::new(),
        }
    }

    fn check_kernel(&mut self, node: usize, leave: BTreeSet<Thing>) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if std::mem::replace(&mut daemon.is_checking, true) {
            self.accuse(node, "compares the kernel twice at a time");
        }

        self.answer(node, Answer::Check { leave });
    }

    /// Puts the filter back if another program has changed it.
    pub(crate) fn kernel_checked(&mut self, node: usize, leave: &BTreeSet<Thing>) -> Input {
        self.may_write(node);
        let fails = self.fails(100) || leave.contains(&Thing::Table);
        let gateway = &mut self.nodes[node];
        let daemon = gateway.daemon.as_mut().unwrap();
        daemon.is_checking = false;

        let name = "the filter".to_owned();
        let mut checked = Checked::default();
        if gateway.kernel.guard == daemon.applied {
            return Input::KernelChecked(checked);
        }
        if fails {
            checked.missing.push(Missing {
                thing: Thing::Table,
                name,
                reason: "nft refused".into(),
            });
        } else {
            gateway.kernel.guard = daemon.applied.clone();
            checked.restored.push(Restoration {
                thing: Thing::Table,
                name,
                found: "gone".into(),
                by: None,
            });
        }
        Input::KernelChecked(checked)
    }

    fn apply_guard(&mut self, node: usize, change: ChangeId, spec: Box<GuardSpec>) {
        self.may_write(node);
        let daemon = self.nodes[node].running_mut();
        if daemon.guarding.replace(change).is_some() {
            self.accuse(node, "replaces the guard twice at a time");
        }

        let refuses = &mut self.nodes[node].kernel.refuses_guards;
        let is_refused = *refuses > 0;
        *refuses = refuses.saturating_sub(1);

        let result = if is_refused || self.fails(100) {
            Err("nft refused".to_owned())
        } else {
            Ok(())
        };
        self.answer(
            node,
            Answer::Guard {
                change,
                spec,
                result,
            },
        );
    }

    pub(crate) fn guard_applied(
        &mut self,
        node: usize,
        change: ChangeId,
        spec: GuardSpec,
        result: Result<(), String>,
    ) -> Input {
        self.may_write(node);
        let gateway = &mut self.nodes[node];
        let daemon = gateway.daemon.as_mut().unwrap();
        daemon.guarding = None;

        match &result {
            Ok(()) => {
                daemon.applied = Some(spec.clone());
                gateway.kernel.guard = Some(spec);
            }
            // A reload whose guard is refused changes nothing.
            Err(_) => {
                if daemon.pending.contains_key(&change) {
                    daemon.expected.records = daemon.records.clone();
                    daemon.expected.certificate = daemon.certificate;
                }
            }
        }
        Input::Guarded { change, result }
    }

    /// Brings the device back if it is gone.
    fn check_device(&mut self, node: usize) -> Option<Input> {
        let kernel = &mut self.nodes[node].kernel;

        std::mem::take(&mut kernel.is_device_gone).then_some(Input::DeviceRecreated)
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

    fn read_config(&mut self, node: usize, change: ChangeId) {
        let fails = self.fails(100) || self.nodes[node].disk.is_faulty;
        let gateway = &mut self.nodes[node];
        let records = gateway.disk.records.clone();
        let config = consortium::config(&gateway.id, &gateway.site, &records);
        let links = gateway.kernel.links.clone();
        let connected = links.connected();
        let accepted = gateway.disk.accepted.clone();
        let rulings = rule(&config, &connected, &accepted);
        let next = NextConfig {
            held: held(&config, &rulings, &gateway.disk.held),
            rulings,
            conflicts: conflicts(&config, &connected, &accepted),
            connected,
            links,
            accepted,
            identity: facts(gateway.disk.certificate),
            config: config.into(),
        };

        let certificate = gateway.disk.certificate;
        let daemon = gateway.running_mut();
        daemon.expected.must_read_config = false;
        let result = if fails {
            Err(fault("cannot be read"))
        } else {
            // What a later stage refuses is taken back there.
            if next.conflicts.is_empty() {
                daemon.expected.records = records.clone();
                daemon.expected.certificate = certificate;
            }
            let pending = Pending {
                records: Some(records),
                certificate,
                is_narrowed: false,
            };
            daemon.pending.insert(change, pending);
            Ok(Box::new(next))
        };
        // The second of two answers must change nothing.
        if self.fails(50) {
            let result = result.clone();
            self.answer(node, Answer::Input(Input::ConfigRead { change, result }));
        }
        self.answer(node, Answer::Input(Input::ConfigRead { change, result }));
    }

    /// The reload was refused: what is in force becomes what the files allow too.
    fn narrow(&mut self, node: usize, change: ChangeId) {
        let gateway = &mut self.nodes[node];
        let files = consortium::config(&gateway.id, &gateway.site, &gateway.disk.records);
        let current = &gateway.running().shell.current().config;
        let config = Arc::new(meet(current, &consortium::survey(&files)));

        let in_force = &gateway.running().records;
        let met = consortium::meet(&gateway.id, &gateway.site, in_force, &gateway.disk.records);
        let daemon = gateway.running_mut();
        daemon.expected.records = met.clone();
        daemon.expected.certificate = daemon.certificate;
        let pending = Pending {
            records: Some(met),
            certificate: daemon.certificate,
            is_narrowed: true,
        };
        daemon.pending.insert(change, pending);

        if self.fails(50) {
            let config = config.clone();
            self.answer(
                node,
                Answer::Input(Input::Narrowed {
                    change,
                    config,
                    lists: Vec::new(),
                }),
            );
        }
        self.answer(
            node,
            Answer::Input(Input::Narrowed {
                change,
                config,
                lists: Vec::new(),
            }),
        );
    }

    fn build_zone(&mut self, node: usize, change: ChangeId) {
        let result = if self.fails(50) {
            let daemon = self.nodes[node].running_mut();
            daemon.expected.records = daemon.records.clone();
            daemon.expected.certificate = daemon.certificate;
            Err(fault("the serial could not be saved"))
        } else {
            Ok(())
        };

        if self.fails(50) {
            let result = result.clone();
            self.answer(node, Answer::Input(Input::ZoneBuilt { change, result }));
        }
        self.answer(node, Answer::Input(Input::ZoneBuilt { change, result }));
    }

    fn read_identity(&mut self, node: usize, change: ChangeId) {
        let fails = self.fails(100);
        let gateway = &mut self.nodes[node];
        let certificate = gateway.disk.certificate;
        let daemon = gateway.running_mut();
        daemon.expected.must_read_identity = false;

        let result = if fails {
            Err(fault("the certificate and the key do not fit"))
        } else {
            daemon.expected.certificate = certificate;
            let pending = Pending {
                records: None,
                certificate,
                is_narrowed: false,
            };
            daemon.pending.insert(change, pending);
            Ok(facts(certificate))
        };
        self.answer(node, Answer::Input(Input::IdentityRead { change, result }));
    }

    /// Puts what was read in force, once, and after the guard that goes with it.
    fn adopt(&mut self, node: usize, change: ChangeId) -> Option<Input> {
        let Some(pending) = self.nodes[node].running_mut().pending.remove(&change) else {
            self.accuse(node, "adopts a change that it has not read, or twice");
            return None;
        };
        let Some(records) = pending.records else {
            self.accuse(node, "adopts a certificate as a configuration");
            return None;
        };
        // What a refused reload takes away does not wait for the guard.
        if !pending.is_narrowed {
            self.check_guard(node, &records);
        }

        let now = self.now;
        let daemon = self.nodes[node].running_mut();
        if daemon.certificate != pending.certificate {
            daemon.certificate = pending.certificate;
            daemon.rotated = now;
        }
        daemon.records = records;
        self.nodes[node].note_members();
        let untrusted = self.untrusted(node);
        Some(Input::Adopted { change, untrusted })
    }

    /// The rules of a changed policy are in the kernel before the rest is in force.
    fn check_guard(&mut self, node: usize, records: &Records) {
        let gateway = &self.nodes[node];
        let current = gateway.running().shell.current();
        let config = consortium::config(&gateway.id, &gateway.site, records);
        // The host may have changed since the reload has read its addresses: then the guard is
        // replaced again afterwards.
        let rulings = rule(&config, &current.connected, &gateway.disk.accepted);
        let held = held(&config, &rulings, &current.held);
        let before = guard(&current.situation());
        let after = guard(&Situation {
            config: &config,
            rulings: &rulings,
            held: &held,
            ..current.situation()
        });
        let hosts_agree = current.links == gateway.kernel.links;

        let is_removed = gateway.kernel.guard.is_none();

        if hosts_agree && before != after && !is_removed && gateway.kernel.guard != Some(after) {
            self.accuse(node, "adopts a configuration before its guard");
        }
    }

    /// Connections of gateways that the records in force do not list.
    fn untrusted(&self, node: usize) -> Vec<Untrusted> {
        let daemon = self.nodes[node].running();
        if !self.checks_trust {
            return Vec::new();
        }

        daemon
            .links
            .keys()
            .filter(|conn| {
                let peer = invariant::peer_of(self, **conn);
                let here = &self.nodes[node];
                !consortium::lists(&here.id, &here.site, &daemon.records, peer)
            })
            .map(|conn| Untrusted {
                conn: *conn,
                reason: ExternalText::new("not in the org's record"),
            })
            .collect()
    }

    fn adopt_identity(&mut self, node: usize, change: ChangeId) {
        let now = self.now;
        let daemon = self.nodes[node].running_mut();

        match daemon.pending.remove(&change) {
            Some(pending) => {
                daemon.certificate = pending.certificate;
                daemon.rotated = now;
            }
            None => self.accuse(node, "adopts a certificate that it has not read, or twice"),
        }
    }

    /// The daemon has nothing to do any more: nothing of it may be left.
    fn stop(&mut self, node: usize) {
        let daemon = self.nodes[node].running();
        let is_busy = daemon.guarding.is_some() || daemon.is_syncing || daemon.is_checking;
        let has_sessions = !daemon.tables.sessions.is_empty() || !daemon.tables.routes.is_empty();
        let has_routes = invariant::has_tunnel_routes(&self.nodes[node].kernel.routes);
        // A plan that the kernel refused at the very end is not tried again: the device takes its
        // routes along.
        let was_refused = daemon.is_sync_refused;

        if is_busy {
            self.accuse(node, "stops while a port writes to the kernel");
        }
        if has_sessions {
            self.accuse(node, "stops with sessions in the data plane's tables");
        }
        if has_routes && !was_refused {
            self.accuse(node, "leaves routes into tunnels behind");
        }
        let mut stopped = self.nodes[node].daemon.take();
        if let Some(effect) = stopped
            .as_mut()
            .and_then(|daemon| daemon.shell.poll_effect())
        {
            self.accuse(node, &format!("acts after it has stopped: {effect:?}"));
        }
        self.kill(node);
        self.nodes[node].stopped = stopped;
        self.nodes[node].kernel.is_restored = true;
    }
}

fn facts(certificate: Digest) -> IdentityFacts {
    IdentityFacts {
        certificate,
        remaining: Duration::from_secs(86_400),
    }
}

fn fault(message: &str) -> Faults {
    vec![Fault {
        place: Place::whole(std::path::Path::new("gateway.toml")),
        message: message.to_owned(),
    }]
    .into()
}
