//! Views of the flow table: records for the site's other gateways, and TCP flows to be reset.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use ringway_config::Prefix;

use super::Filter;
use crate::clock::{Tick, seconds, ticks};
use crate::counts::HostAnswers;
use crate::flows::{ANSWERED, Entry, FlowKey, IMPORTED, Owner, Side, State};
use crate::holders::Holder;
use crate::record::{FlowProtocol, FlowRecord};
use crate::rules::Rules;
use crate::tcp_flow::TcpFlow;

/// Hosts of which [`host_answers`] are collected: others decide how many they open towards.
const HOSTS: usize = 1024;

pub(super) fn record(key: &FlowKey, state: State, idle: Tick) -> FlowRecord {
    FlowRecord {
        protocol: key.protocol,
        local: key.local_socket(),
        remote: key.remote_socket(),
        ack: state.ack(),
        idle: u16::try_from(seconds(idle)).unwrap_or(u16::MAX),
    }
}

pub(super) fn for_each_record(filter: &Filter, now: Instant, visit: &mut dyn FnMut(FlowRecord)) {
    let now = filter.clock.tick(now);
    filter.flows.for_each(Side::Ours, now, &mut |entry| {
        // Gateways that told each other what they have from each other would never forget it.
        if !entry.state.has(IMPORTED) && !entry.state.is_closed() {
            let idle = now.saturating_sub(entry.last);
            visit(record(&entry.key, entry.state, idle));
        }
    });
}

pub(super) fn import(filter: &Filter, rules: &Rules, record: &FlowRecord, now: Instant) -> bool {
    let Some(key) = FlowKey::of(record.protocol, record.local, record.remote) else {
        return false;
    };
    let is_local = rules.holder(key.v6, key.local) == Holder::Own;
    let is_remote = matches!(rules.holder(key.v6, key.remote), Holder::Site(_));
    // A gateway of our site may say what our hosts have opened towards other sites, and nothing
    // else.
    if !is_local || !is_remote {
        return false;
    }

    let now = filter.clock.tick(now);
    let idle = ticks(Duration::from_secs(record.idle.into()));
    let last = now.saturating_sub(idle);
    let flow = filter.flows.hashed(key);
    let tables = filter.flows.tables();
    // What a member has opened stays so: answers to it need its rule.
    if tables.find(Side::Theirs, &flow, now).is_some() {
        return false;
    }

    if let Some(known) = tables.find(Side::Ours, &flow, now) {
        known.change(|state| state.told(record.ack));
        known.touch(last);
        return true;
    }
    let state = State::imported().told(record.ack);
    // Here it would have expired.
    if idle > state.idle(key.protocol) {
        return false;
    }
    filter
        .flows
        .insert_at(&tables, Side::Ours, &flow, Owner::Local, state, (last, now))
}

pub(super) fn for_each_tcp(
    filter: &Filter,
    towards: &[Prefix],
    now: Instant,
    visit: &mut dyn FnMut(TcpFlow),
) {
    let now = filter.clock.tick(now);
    for side in [Side::Ours, Side::Theirs] {
        filter.flows.for_each(side, now, &mut |entry| {
            let is_towards = is_open_tcp(&entry)
                && towards.iter().any(|prefix| {
                    let remote = entry.key.remote_socket().ip();
                    prefix.contains(remote)
                });
            if is_towards {
                visit(tcp(&entry.key, entry.state, side));
            }
        });
    }
}

pub(super) fn host_answers(filter: &Filter, now: Instant) -> Vec<HostAnswers> {
    let now = filter.clock.tick(now);
    let mut hosts: BTreeMap<IpAddr, HostAnswers> = BTreeMap::new();

    filter.flows.for_each(Side::Theirs, now, &mut |entry| {
        if entry.key.protocol != FlowProtocol::Tcp {
            return;
        }
        let host = entry.key.local_socket().ip();
        if hosts.len() == HOSTS && !hosts.contains_key(&host) {
            return;
        }
        let known = hosts.entry(host).or_insert(HostAnswers {
            host,
            answered: 0,
            unanswered: 0,
        });
        if entry.state.has(ANSWERED) {
            known.answered += 1;
        } else {
            known.unanswered += 1;
        }
    });
    hosts.into_values().collect()
}

/// Connections of `remote` to `local` that the host has not answered since it answered another one.
pub(super) fn unanswered(filter: &Filter, remote: IpAddr, local: SocketAddr, now: Instant) -> u64 {
    let now = filter.clock.tick(now);
    let mut last_answer = 0;
    let mut asked = Vec::new();

    filter.flows.for_each(Side::Theirs, now, &mut |entry| {
        let is_meant = entry.key.protocol == FlowProtocol::Tcp
            && entry.key.local_socket() == local
            && entry.key.remote_socket().ip() == remote;
        if !is_meant {
            return;
        }
        if entry.state.has(ANSWERED) {
            last_answer = last_answer.max(entry.last);
        } else {
            asked.push(entry.last);
        }
    });
    asked.retain(|asked| *asked > last_answer);
    asked.len() as u64
}

fn is_open_tcp(entry: &Entry) -> bool {
    entry.key.protocol == FlowProtocol::Tcp && entry.state.is_open()
}

fn tcp(key: &FlowKey, state: State, side: Side) -> TcpFlow {
    TcpFlow {
        local: key.local_socket(),
        remote: key.remote_socket(),
        ack: state.ack(),
        is_ours: side == Side::Ours,
    }
}

pub(super) fn tcp_flow(
    filter: &Filter,
    local: SocketAddr,
    remote: SocketAddr,
    now: Instant,
) -> Option<TcpFlow> {
    let now = filter.clock.tick(now);
    let key = FlowKey::of(FlowProtocol::Tcp, local, remote)?;
    let flow = filter.flows.hashed(key);
    let tables = filter.flows.tables();

    [Side::Ours, Side::Theirs].into_iter().find_map(|side| {
        let found = tables.find(side, &flow, now)?;
        Some(tcp(&key, found.state, side))
    })
}

pub(super) fn mark_reset(filter: &Filter, local: SocketAddr, remote: SocketAddr, now: Instant) {
    let now = filter.clock.tick(now);
    let Some(key) = FlowKey::of(FlowProtocol::Tcp, local, remote) else {
        return;
    };

    let flow = filter.flows.hashed(key);
    let tables = filter.flows.tables();
    for side in [Side::Ours, Side::Theirs] {
        if let Some(found) = tables.find(side, &flow, now) {
            found.change(State::reset_here);
            found.touch(now);
        }
    }
}
