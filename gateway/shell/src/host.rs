//! Handles changes of the host's interfaces and addresses, and of its kernel objects. A network
//! that the host is newly connected to takes its range from any member that claims it, as at a
//! start; one that is gone gives it back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use ringway_config::{Ruling, rule};
use ringway_intent::{
    Checked, Finding, GuardSpec, Inspection, Links, Missing, Remedy, Restoration, Thing,
    absent_dns, absent_listen, dialled_ports, far_virtual_addresses, has_siblings, host_pairs,
    peers, tcp_ports,
};

use crate::carrier::Carrier;
use crate::changes::{ChangeId, Stage};
use crate::effect::Effect;
use crate::input::RoutesOutcome;
use crate::inspector::Advice;
use crate::notice::Notice;
use crate::shell::Shell;
use crate::watch::{Outcome, TRUCE};

/// The name of what needs attention while the packet filter is missing.
const FORWARDING_OFF: &str = "forwarding off";

/// How the names of findings about the routes between the site and the members begin.
const MEMBER_ROUTE: &str = "route IP";

/// What it says where forwarding is this daemon's, and where it is not.
const CUT_OFF: &str =
    "the site's hosts are cut off: forwarding is off while the nftables table is missing";
const UNGUARDED: &str = "packets with addresses of the mesh may enter and leave beside the TUN \
                         device: the nftables table is missing, and forwarding was switched on by \
                         another program";

/// What an operator looks at when the packet filter cannot be set up.
const RULESET: &str = "nft list ruleset   # what is in the way; it is tried again every second";

impl Shell {
    /// The host has these addresses and routes now.
    pub(crate) fn begin_host_change(&mut self, id: ChangeId, links: Links, now: Instant) {
        // What has a carrier is followed at once, before other changes have ended.
        let have_changed = !links.leads_as(&self.current.links);
        let before = self.current.guard();
        let connected = links.connected();
        self.current.links = links;
        self.announce();

        if connected != self.current.connected {
            tracing::info!("The host's networks changed");
            self.current.connected = connected;
            self.reevaluate(now);
            // The data plane neither takes packets from a connected network nor sends any there.
            self.is_stale = true;
            self.plan_routes(now);
        } else if have_changed {
            // The filter knows this host's addresses, and routes may need another preferred source.
            self.is_stale = true;
            self.plan_routes(now);
        }

        // It may be late: until then it drops what it does not know.
        let spec = self.current.guard();
        if spec == before {
            return self.end_change(now);
        }
        self.apply_guard(id, spec);
        self.changes.await_stage(Stage::Reguarding);
    }

    /// The host has these interfaces now. A sibling is to take over at once, whatever change is
    /// under way.
    pub(crate) fn follow_carrier(&mut self, links: &Links, now: Instant) {
        let own = self.current.situation().own();
        let named = self.current.config.ha.interface.as_str();
        if !self.carrier.update(links, &own, named) {
            return;
        }

        let finding = self.carrier.finding();
        let name = finding.as_ref().map(|finding| finding.name.clone());
        for over in Carrier::NAMES {
            if name.as_deref() != Some(over) {
                self.effects.push_back(Effect::Clear(over.into()));
            }
        }
        self.effects.extend(finding.map(Effect::Raise));
        self.mesh.handle_carrier(self.carrier.lost(), now);
    }

    /// Evaluates the verdicts again. If one changed, the mesh follows.
    fn reevaluate(&mut self, now: Instant) {
        let current = &mut self.current;
        let rulings = rule(&current.config, &current.connected, &current.accepted);

        // Only new verdicts: addresses change often, and each conflict is worth one warning.
        for ruling in rulings
            .iter()
            .filter(|ruling| !current.rulings.contains(ruling))
        {
            warn_of_conflict(ruling);
        }
        if rulings == current.rulings {
            return;
        }

        current.rulings = rulings;
        let membership = (self.derive)(&current.config, &current.rulings);
        // First, so that nothing is announced for a moment.
        self.announce();
        self.apply_membership(Arc::new(membership), now);
    }

    /// The kernel reported a change: everything is compared.
    pub(crate) fn kernel_changed(&mut self, now: Instant) {
        self.routes.changed(now);
        self.watch.changed(now);
        self.inspector.changed(now);
    }

    /// SIGHUP: whatever others have changed is put back at once.
    pub(crate) fn repair(&mut self, now: Instant) {
        self.watch.insist();
        self.routes.rest(now);
        self.kernel_changed(now);
    }

    /// What an inspection of the host must check now.
    pub(crate) fn inspection(&self) -> Inspection {
        let config = &self.current.config;
        let own = self.current.situation().served();
        let tunnelled = self.routes.installed();
        let members = self
            .routes
            .planned()
            .filter(|prefix| !own.iter().any(|own| own.overlaps(prefix)))
            .map(|prefix| (prefix, tunnelled.contains(&prefix)))
            .collect();

        // Nobody dials a gateway without endpoints, so that its port need not be open.
        let is_dialled = config
            .own
            .gateway(&config.id.name)
            .is_some_and(|gateway| !gateway.endpoints.is_empty());
        let (pairs, skipped) = host_pairs(&self.current.links, &own, &members);
        Inspection {
            pairs,
            site: self.current.links.site_interfaces(&own),
            skipped,
            dns: config.dns.listen.iter().map(SocketAddr::ip).collect(),
            listen_port: config.listen.port(),
            tunnel_port: is_dialled.then_some(config.listen.port()),
            dialled_ports: dialled_ports(config),
            outside: self.current.links.outside(),
            peers: peers(config),
            ports: tcp_ports(&config.policy),
        }
    }

    /// An inspection of the host has ended. `findings` is `None` if it has failed.
    pub(crate) fn inspected(&mut self, findings: Option<Vec<Finding>>, now: Instant) {
        let Some(mut findings) = findings else {
            return self.inspector.failed(now);
        };

        // While forwarding is off because of us, and while something of ours is restored, the
        // kernel has no route for the site's packets: no other program's is to blame.
        if self.is_closed || self.watch.has_restored(self.inspector.began(now)) {
            findings.retain(|found| {
                !found.name.starts_with(MEMBER_ROUTE) || self.inspector.has_reported(found)
            });
        }
        findings.retain(|found| !self.carrier.explains(&found.name));
        findings.extend(self.absent());
        let advice = self.inspector.completed(findings, now);
        self.report(advice);
    }

    /// Addresses of ours that this host does not have, or whose network it is not connected to. The
    /// active one of several gateways has the address that moves between them.
    fn absent(&self) -> Vec<Finding> {
        let (config, links) = (&self.current.config, &self.current.links);
        let mut absent = Vec::from_iter(absent_listen(config, links));
        absent.extend(far_virtual_addresses(config, links));

        if self.is_active || !has_siblings(config) {
            absent.extend(absent_dns(config, links));
        }
        absent
    }

    /// Changes the list of what needs attention.
    pub(crate) fn report(&mut self, advice: Vec<Advice>) {
        for advice in advice {
            self.effects.push_back(match advice {
                Advice::Raise(finding) => Effect::Raise(finding),
                Advice::Clear(name) => Effect::Clear(name),
            });
        }
    }

    /// Rules and routes were compared.
    pub(crate) fn routes_synced(
        &mut self,
        outcome: &RoutesOutcome,
        restored: Vec<Restoration>,
        now: Instant,
    ) {
        self.routes.synced(outcome, now);

        let outcomes = self.watch.restored(restored, now);
        self.tell(outcomes);
        // Rules and routes are one comparison: if one of them is fought over, both wait.
        if self.watch.rests(&Thing::Rule, now) || self.watch.rests(&Thing::Routes, now) {
            self.routes.rest(now + TRUCE);
        }
    }

    /// Everything else was compared. Without the packet filter, what enters by the site's
    /// interfaces could leave by any other.
    pub(crate) fn kernel_checked(&mut self, checked: Checked, now: Instant) {
        let forwards_for_us = checked.forwards_for_us;
        let outcomes = self.watch.checked(checked, now);
        self.tell(outcomes);

        let must_close = self.watch.lacks(&Thing::Table);
        if must_close != self.is_closed {
            self.is_closed = must_close;
            self.closed_since = now;
            self.effects
                .push_back(Effect::SwitchForwarding { on: !must_close });
            if !must_close {
                self.effects.push_back(Effect::Clear(FORWARDING_OFF.into()));
            }
        }
        // In a fight it is off for a second at most each time, which the alarm says.
        let lasts = now.duration_since(self.closed_since) > TRUCE;
        if must_close && (lasts || !self.watch.is_fought(&Thing::Table)) {
            self.effects
                .push_back(Effect::Raise(without_table(forwards_for_us)));
        }
    }

    fn tell(&mut self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            match outcome {
                Outcome::Restored(restored) => {
                    self.effects
                        .push_back(Effect::Notify(Notice::Restored(restored)));
                }
                Outcome::Fought(restored) => {
                    self.effects.push_back(Effect::Raise(fight(&restored)));
                }
                Outcome::Quiet(thing) => self.effects.push_back(Effect::Clear(fight_name(&thing))),
                Outcome::Missing(missing) => self.effects.push_back(Effect::Raise(Finding {
                    name: missing_name(&missing.thing),
                    what: format!("{} is not as needed: {}", missing.name, missing.reason),
                    remedy: remedy(&missing),
                })),
                Outcome::Back(thing) => {
                    self.effects.push_back(Effect::Clear(missing_name(&thing)));
                }
            }
        }
    }

    pub(crate) fn apply_guard(&mut self, change: ChangeId, spec: GuardSpec) {
        self.guarding = Some(change);

        self.effects.push_back(Effect::ApplyGuard {
            change,
            spec: Box::new(spec),
        });
    }
}

fn warn_of_conflict(ruling: &Ruling) {
    if let Some(fault) = ruling.fault() {
        tracing::warn!(reason = %fault, "A network of this host overlaps a member's prefix");
    }
}

/// What operators read while the packet filter is missing.
fn without_table(forwards_for_us: bool) -> Finding {
    Finding {
        name: FORWARDING_OFF.into(),
        what: if forwards_for_us { CUT_OFF } else { UNGUARDED }.into(),
        remedy: Remedy::command(RULESET),
    }
}

fn missing_name(thing: &Thing) -> String {
    format!("missing {thing}")
}

/// What this daemon may not do, or is kept from, the host's administrator can.
fn remedy(missing: &Missing) -> Remedy {
    match missing.thing {
        Thing::Setting(_) => {
            Remedy::command(format!("sysctl -w {}", missing.name.replace(" = ", "=")))
        }
        Thing::Table => Remedy::command(RULESET),
        Thing::Rule => {
            Remedy::command("ip rule   # what is in the way; it is tried again every second")
        }
        Thing::Routes => Remedy::command(
            "ip route show table all   # what is in the way; it is tried again every second",
        ),
        Thing::Address(_) => {
            Remedy::command("ip address   # what the device has; it is tried again every second")
        }
        Thing::Mtu(_) | Thing::Group(_) | Thing::Queue(_) => Remedy::command(
            "ip -details link   # what the device has; it is tried again every second",
        ),
    }
}

fn fight_name(thing: &Thing) -> String {
    format!("fight {thing}")
}

fn fight(restored: &Restoration) -> Finding {
    let by = restored.by.as_deref().unwrap_or("another program");
    let meanwhile = match restored.thing {
        Thing::Table => ", and the site's hosts are cut off until then",
        _ => "",
    };

    Finding {
        name: fight_name(&restored.thing),
        what: format!(
            "{by} changes {} again and again: it is restored once a second at most{meanwhile}",
            restored.name
        ),
        remedy: format!("stop {by} from changing it").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forwarding_that_we_switched_on_is_reported_as_off() {
        assert!(without_table(true).what.contains("forwarding is off"));
        assert!(without_table(false).what.contains("another program"));
    }
}
