//! The port of the files: a change reads them, and what it has read is put in force once, or
//! discarded. What must be in force follows: [`Expected`](crate::daemon::Expected).

use std::sync::Arc;
use std::time::Duration;

use ringway_config::{Digest, Fault, Faults, Place, conflicts, meet, rule};
use ringway_core::ExternalText;
use ringway_intent::{Situation, guard, held};
use ringway_shell::{ChangeId, IdentityFacts, Input, NextConfig, Untrusted};

use super::Answer;
use crate::consortium::{self, Records};
use crate::daemon::Pending;
use crate::invariant;
use crate::world::World;

impl World {
    pub(crate) fn read_config(&mut self, node: usize, change: ChangeId) {
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
    pub(crate) fn narrow(&mut self, node: usize, change: ChangeId) {
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

    pub(crate) fn build_zone(&mut self, node: usize, change: ChangeId) {
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

    pub(crate) fn read_identity(&mut self, node: usize, change: ChangeId) {
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
    pub(crate) fn adopt(&mut self, node: usize, change: ChangeId) -> Option<Input> {
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

    pub(crate) fn adopt_identity(&mut self, node: usize, change: ChangeId) {
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
