//! [`plan()`]: determines which settings are needed, and which of them this daemon has to change.
//! Pure, except that it reads settings.

use std::collections::BTreeSet;

use ringway_intent::{Families, GuardSpec};

use super::Change;
use crate::firewall::Restriction;
use crate::sysctl;

const ALL_V4: &str = "net/ipv4/ip_forward";
const ALL_V6: &str = "net/ipv6/conf/all/forwarding";
/// Lets the reverse-path check use the mark that the guard sets on the tunnel's own packets, so
/// that it does not use our routing table.
const MARKED_SOURCES: &str = "net/ipv4/conf/all/src_valid_mark";

/// The settings that forwarding needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Settings and their values, in the order of writing.
    pub(super) wanted: Vec<(String, String)>,
    /// Those that this daemon has to change, or has changed.
    pub(super) changes: Vec<Change>,
    /// Earlier changes of this daemon that are no longer needed.
    pub(super) released: Vec<Change>,
    pub(super) restriction: Restriction,
}

/// Reads settings; tests have their own.
pub(super) trait Settings {
    /// The value of `key`, if this kernel has it.
    fn read(&self, key: &str) -> Option<String>;
    /// The names below `key`.
    fn entries(&self, key: &str) -> Vec<String>;
}

/// The kernel's settings, in the network namespace of the calling thread.
pub(super) struct Proc;

impl Settings for Proc {
    fn read(&self, key: &str) -> Option<String> {
        sysctl::read(key).ok()
    }

    fn entries(&self, key: &str) -> Vec<String> {
        sysctl::entries(key)
    }
}

/// Makes the plan for `spec`; `recalled` are earlier changes of this daemon.
pub(super) fn plan(spec: &GuardSpec, recalled: &[Change], settings: &impl Settings) -> Plan {
    let mut planner = Planner {
        recalled,
        settings,
        plan: Plan::default(),
    };

    let families = Families::of(&spec.own);
    if families.v4 {
        planner.forward_v4(spec);
    }
    if families.v6 {
        planner.forward_v6(spec);
    }
    if spec.marks_arrivals {
        planner.need(MARKED_SOURCES, "1", None);
    }

    planner.finish()
}

/// The daemon's devices.
fn devices(spec: &GuardSpec) -> impl Iterator<Item = &str> {
    let clients = spec.wireguard.iter().map(|(tun, _)| tun.as_str());

    clients.chain([spec.tun.as_str()])
}

struct Planner<'a, S> {
    recalled: &'a [Change],
    settings: &'a S,
    plan: Plan,
}

impl<S: Settings> Planner<'_, S> {
    fn forward_v4(&mut self, spec: &GuardSpec) {
        // Not recorded: the setting vanishes with the device.
        for device in devices(spec) {
            self.set(&switch_v4(device), "1");
        }

        for interface in &spec.site {
            if self.need(&switch_v4(interface), "1", Some(ALL_V4)) {
                self.plan.restriction.v4.insert(interface.clone());
            }
        }
    }

    fn forward_v6(&mut self, spec: &GuardSpec) {
        if self.settings.read(&switch_v6("all")).is_none() {
            return self.forward_everywhere_v6(spec);
        }
        // The host is already a router. Release what we had switched on, so that it does not count
        // as the host's own setting when the router is switched off again.
        if self.is_on(ALL_V6) {
            return;
        }

        for device in devices(spec) {
            self.set(&switch_v6(device), "1");
        }
        for interface in &spec.site {
            if self.need(&switch_v6(interface), "1", Some(ALL_V6)) {
                self.plan.restriction.v6.insert(interface.clone());
            }
        }
    }

    fn forward_everywhere_v6(&mut self, spec: &GuardSpec) {
        let is_ours = !self.is_on(ALL_V6) || self.recalled(ALL_V6).is_some();

        if is_ours {
            for interface in self.settings.entries("net/ipv6/conf") {
                self.keep_advertisements(&interface);
            }
            self.plan.restriction.v6.clone_from(&spec.site);
            self.plan.restriction.everywhere_v6 = true;
        }
        self.need(ALL_V6, "1", None);
    }

    /// Keeps an interface using router advertisements if it gets its addresses and default route
    /// from them.
    fn keep_advertisements(&mut self, interface: &str) {
        let key = format!("net/ipv6/conf/{interface}/accept_ra");
        let is_affected = !["all", "lo"].contains(&interface)
            && (self.is_on(&key) || self.recalled(&key).is_some());

        // ip-sysctl, accept_ra: 1 has no effect once the interface forwards, 2 does.
        if is_affected {
            self.need(&key, "2", None);
        }
    }

    /// Plans to set `key` to `value`. True if this daemon has to change it. `general` is the
    /// general switch above it: a program that turns that one on turns this one on too, and is
    /// responsible for it.
    fn need(&mut self, key: &str, value: &str, general: Option<&str>) -> bool {
        let Some(now) = self.settings.read(key) else {
            return false; // An interface that is gone, or a kernel without the setting.
        };
        let general = general.and_then(|general| self.settings.read(general));
        self.set(key, value);

        let recalled = self.recalled(key).cloned();
        let change = match recalled {
            Some(recalled) if is_taken_over(&recalled, general.as_deref()) => None,
            Some(recalled) => Some(Change {
                general: lower(recalled.general, general),
                ..recalled
            }),
            // Another program has set it: it stays when this daemon ends.
            None if now == value => None,
            None => Some(Change {
                key: key.into(),
                before: now,
                after: value.into(),
                general,
            }),
        };

        let is_ours = change.is_some();
        self.plan.changes.extend(change);
        is_ours
    }

    fn set(&mut self, key: &str, value: &str) {
        if self.settings.read(key).is_some() {
            self.plan.wanted.push((key.into(), value.into()));
        }
    }

    fn is_on(&self, key: &str) -> bool {
        self.settings.read(key).as_deref() == Some("1")
    }

    fn recalled(&self, key: &str) -> Option<&Change> {
        self.recalled.iter().find(|change| change.key == key)
    }

    fn finish(mut self) -> Plan {
        let wanted: BTreeSet<&str> = self.plan.wanted.iter().map(|(key, _)| &**key).collect();
        let superfluous = self
            .recalled
            .iter()
            .filter(|change| !wanted.contains(&*change.key));

        for change in superfluous {
            let general = change
                .general
                .as_ref()
                .and_then(|_| self.general_of(change));
            let is_v4 = change.key.starts_with("net/ipv4/");

            // If IPv4 forwards in general, the interface's switch is part of that.
            if !(is_v4 && is_taken_over(change, general.as_deref())) {
                self.plan.released.push(change.clone());
            }
        }
        self.plan
    }

    fn general_of(&self, change: &Change) -> Option<String> {
        let all = if change.key.starts_with("net/ipv4/") {
            ALL_V4
        } else {
            ALL_V6
        };

        self.settings.read(all)
    }
}

/// True if another program has turned the general switch on since.
fn is_taken_over(change: &Change, general: Option<&str>) -> bool {
    change.general.as_deref() == Some("0") && general == Some("1")
}

/// Off if the general switch was off at either time: only turning it on shows that another program
/// needs it.
fn lower(before: Option<String>, now: Option<String>) -> Option<String> {
    match now {
        Some(now) if now == "0" => Some(now),
        _ => before,
    }
}

fn switch_v4(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/forwarding")
}

fn switch_v6(interface: &str) -> String {
    format!("net/ipv6/conf/{interface}/force_forwarding")
}

#[cfg(test)]
mod tests;
