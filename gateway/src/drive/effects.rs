//! Carries out the effects of the shell and of the zones. Each arm is one call of a port.

use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Config, Faults, GatewayId, differences};
use ringway_core::message::FRAGMENTS;
use ringway_core::{ConnId, Membership, Message, ZoneMessage};
use ringway_dns::Moment;
use ringway_host::heap;
use ringway_intent::Finding;
use ringway_shell::{ChangeId, Effect, Input, Notice};

use super::Drive;
use super::jobs::Event;
use crate::ipv6;
use crate::notes;
use crate::policy::tests;
use crate::zones::{Reply, Sender};

impl Drive {
    /// Carries out every effect. If a port answers at once, the answer is handled before the next
    /// effect.
    pub(super) fn carry_out(&mut self) {
        while let Some(effect) = self.shell.poll_effect() {
            if let Some(answer) = self.perform(effect) {
                self.shell.handle(answer, Instant::now());
            }
        }
    }

    fn perform(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Dial {
                dial,
                peer,
                endpoints,
            } => self.links.dial(dial, peer, endpoints),
            Effect::AbandonDial { dial } => self.links.abandon(dial),
            Effect::StartLink { conn, peer } => self.links.start(conn, peer),
            Effect::RefuseLink { conn } => self.links.refuse(conn),
            Effect::Send { conn, message } => self.links.send(conn, &message),
            Effect::Close { conn, code } => self.links.close_one(conn, code),
            Effect::ForgetLink { conn } => self.links.forget(conn),
            Effect::ReadActivity => return Some(Input::Activity(self.links.activity())),
            Effect::ExpectPeers(addresses) => self.links.expect(addresses),

            Effect::Packets(effect) => self.perform_on_packets(effect),

            Effect::Role(standing) => self.ha.set_role(standing, self.in_force.config()),
            Effect::SyncRoutes(plan) => self.kernel.sync_routes(plan, &self.jobs),
            Effect::ApplyGuard { change, spec } => {
                self.kernel.apply_guard(change, *spec, &self.jobs);
            }
            Effect::CheckKernel { leave } => {
                self.kernel.check(leave, &self.jobs);
                self.in_force.restore_resolver(&self.jobs);
                self.note_ipv6();
            }
            Effect::Inspect(inspection) => {
                self.kernel
                    .inspect(self.in_force.config(), *inspection, &self.jobs);
            }
            Effect::SwitchForwarding { on } => self.kernel.switch_forwarding(on, &self.jobs),
            Effect::Hold(held) => self.in_force.remember(&held, &self.jobs),
            Effect::CheckDevice => return self.kernel.check_device(Instant::now()),

            Effect::ReadConfig { change } => self.begin_reload(change),
            Effect::ReadRecords => self.in_force.read_records(&self.jobs),
            Effect::Narrow { change } => self.in_force.narrow(change, &self.jobs),
            Effect::BuildZone { change } => self.in_force.build_zone(change, &self.jobs),
            Effect::ReadIdentity { change } => self.in_force.read_identity(change, &self.jobs),
            Effect::SaveAccepted(accepted) => self.in_force.save_accepted(accepted, &self.jobs),
            Effect::StoreSecrets(secrets) => self.in_force.keep_secrets(secrets, &self.jobs),
            Effect::TrimHeap => self.tasks.spawn_blocking(heap::trim),

            Effect::Adopt {
                change,
                config,
                membership,
            } => return Some(self.adopt(change, config, &membership)),
            Effect::AdoptIdentity { change } => self.in_force.adopt_identity(change),
            Effect::Discard { change } => self.in_force.discard(change),

            Effect::SetReach { own, unreachable } => self.in_force.set_reach(own, unreachable),
            Effect::ZoneMessage {
                peer,
                conn,
                message,
            } => {
                self.handle_zone_message(peer, conn, message);
            }
            Effect::Offered { peer, offer } => self.in_force.handle_offer(&peer, offer, &self.jobs),
            Effect::Policy(letter) => self.handle_policy_message(&letter),
            Effect::OfferZone { conn } => self.offer_zone(conn),
            Effect::ForgetZone { conn } => self.replicator.forget(conn),
            Effect::ReloadEnded { change, result } => self.end_reload(change, result),
            Effect::Notify(notice) => {
                notice.log();
                self.handle_notice(&notice);
            }
            Effect::Raise(finding) => self.raise(finding),
            Effect::Clear(name) => self.attention.clear(&name),
            // `Drive::run` checks for this by itself.
            Effect::Stop => {}
        }

        None
    }

    /// The finding that IPv6 is switched off on this host.
    fn note_ipv6(&self) {
        match ipv6::find(self.in_force.config()) {
            Some(finding) => self.raise(finding),
            None => self.attention.clear(ipv6::NAME),
        }
    }

    fn raise(&self, finding: Finding) {
        self.attention
            .raise(&finding.name, &finding.what, finding.remedy);
    }

    fn handle_notice(&self, notice: &Notice) {
        match notice {
            Notice::TunnelUp { peer, .. } => self.in_force.set_reachable(peer, true, &self.jobs),
            Notice::TunnelDown { peer, .. } => self.in_force.set_reachable(peer, false, &self.jobs),
            _ => {}
        }
    }

    fn begin_reload(&mut self, change: ChangeId) {
        self.heartbeat.service().reloads();

        self.in_force.read_config(change, &self.jobs);
    }

    fn end_reload(&mut self, change: ChangeId, result: Result<(), Faults>) {
        self.reloads.finish(change, result);

        self.heartbeat.service().has_reloaded();
    }

    /// The finding about failed policy tests: until they pass, the rules of the file are not in
    /// force.
    fn note_failed_tests(&self, failed: &Faults) {
        match failed.0.first() {
            Some(fault) => self.attention.raise(
                tests::FAILED,
                &format!(
                    "a policy test failed, so the new rules open nothing that was closed before: \
                     {fault}"
                ),
                tests::remedy(),
            ),
            None => self.attention.clear(tests::FAILED),
        }
    }

    /// Handles the result of a job, as an input of the shell or of the zones.
    pub(super) fn handle_job(&mut self, event: Event) {
        match event {
            Event::Shell(input) => self.handle(input),
            Event::ConfigRead { change, result } => {
                if let Ok(read) = &result {
                    self.note_failed_tests(read.failed_tests());
                    self.reloads
                        .add_findings(read.failed_tests(), read.warnings());
                }
                let input = self.in_force.config_read(change, result);
                self.handle(input);
            }
            Event::Narrowed { change, narrowed } => {
                let input = self.in_force.narrowed(change, *narrowed);
                self.handle(input);
            }
            Event::ZoneBuilt { change, result } => {
                let input = self.in_force.zone_built(change, result);
                self.handle(input);
            }
            Event::IdentityRead { change, result } => {
                let input = self.in_force.identity_read(change, result);
                self.handle(input);
            }
            Event::ZoneChecked(checked) => {
                let replies = self.replicator.handle_checked(*checked, Instant::now());
                self.reply_all(replies);
            }
            Event::ZoneMerged(merged) => {
                let replies = self.replicator.handle_merged(*merged, Moment::now());
                self.reply_all(replies);
            }
            Event::Probed(probed) => self.note_probed(probed),
            Event::Derived { number, derived } => self.contribute(number, derived),
            Event::ZonePrepared(prepared) => {
                let offers = self.replicator.handle_prepared(*prepared);

                self.reply_all(offers);
                // The fragment may have changed again in the meantime.
                self.prepare_zone();
            }
        }
    }

    /// Puts a reload in force. The returned input names the connections that the new trust refuses.
    fn adopt(&mut self, change: ChangeId, config: Arc<Config>, membership: &Membership) -> Input {
        // Only this function has both configurations, so the list of changes is made here.
        let certificate = self.in_force.identity().load().fingerprint();
        let mut changes = differences(self.in_force.config(), &config);
        changes.extend(self.in_force.new_lists(change));
        self.in_force.adopt(change, config, membership, &self.jobs);
        notes::note(self.in_force.config(), &self.attention);
        if self.in_force.identity().load().fingerprint() != certificate {
            changes.push("our certificate is another one".to_owned());
        }
        self.reloads.add_changes(changes);
        // Forget the results of endpoints that are in no record any more.
        let gateways = &self.shell.membership().gateways;
        self.links.dialled().retain(|peer, endpoint| {
            let known = gateways.get(peer).or_else(|| membership.gateways.get(peer));
            let mut endpoints = known.into_iter().flat_map(|info| &info.endpoints);
            endpoints.any(|known| known.to_string() == endpoint)
        });

        // The site's prefixes, and so the interfaces towards them, may have changed.
        self.in_force.set_arrivals(&self.shell.current().links);
        self.adopt_names(membership);
        self.ha.set_config(self.in_force.config());
        if let Some(attach) = &self.in_force.config().attach {
            self.kernel
                .set_addresses(attach.addresses.clone(), &self.jobs);
        }
        if let Some(wireguard) = &self.wireguard {
            wireguard.set_nodes(&self.in_force.config().nodes.list);
        }

        // Last: verifies these by the trust that was just put in force.
        Input::Adopted {
            change,
            untrusted: self.links.untrusted(),
        }
    }

    /// Handles a message about names.
    fn handle_zone_message(&mut self, id: GatewayId, conn: ConnId, message: ZoneMessage) {
        // The session may have ended while the message was in a queue.
        let Some(session) = self.shell.peer_session(conn) else {
            return;
        };
        let sender = Sender {
            conn,
            id,
            session,
            keys: self.links.keys(conn),
        };

        let replies = self.replicator.handle(sender, message, Instant::now());
        self.reply_all(replies);
    }

    fn offer_zone(&mut self, conn: ConnId) {
        let Some(session) = self.shell.peer_session(conn) else {
            return;
        };
        let knows_fragments = session.features & FRAGMENTS != 0;
        let (offer, reply) = self.replicator.offer(knows_fragments);

        if let Some(offer) = offer {
            self.links.send(conn, &Message::Zone(offer));
        }
        self.reply_all(reply);
    }

    pub(super) fn reply_all(&mut self, replies: impl IntoIterator<Item = Reply>) {
        for reply in replies {
            self.reply(reply);
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Message(conn, message) => self.links.send(conn, &Message::Zone(message)),
            Reply::Stream(conn, messages) => self.links.stream(conn, messages),
            Reply::Check(check) => {
                self.jobs
                    .run(move || Event::ZoneChecked(Box::new(check.run())));
            }
            Reply::Merge(merge) => {
                self.jobs
                    .run(move || Event::ZoneMerged(Box::new(merge.run())));
            }
            Reply::Store(store) => self.in_force.store_names(store, &self.jobs),
            Reply::OfferToAll => {
                for conn in self.shell.sessions_in_use(Instant::now()) {
                    self.offer_zone(conn);
                }
            }
        }
    }
}
