//! Hosts that ask by one gateway of their site and are answered by another: while all kinds of
//! things happen ([`plan`]), when little may go wrong, and when nothing does any more
//! ([`examine`]), when every answer must arrive.

use std::time::Duration;

use crate::exchange::Exchange;
use crate::flows::session;
use crate::incident::{Incident, planned};
use crate::world::{Violation, World};

/// Questions in a course of events.
const QUESTIONS: usize = 16;

/// For records to arrive, and for answers that are handed over.
const MOMENT: Duration = Duration::from_millis(100);

/// Plans questions in the first `span` milliseconds, by gateways that share a site.
pub(crate) fn plan(world: &mut World, span: u64) {
    let pairs: Vec<(usize, usize)> = world.network.neighbours().collect();

    for _ in 0..QUESTIONS {
        let (a, b) = pairs[world.rng.below(pairs.len())];
        let node = if world.rng.chance(500) { a } else { b };
        let at = world.rng.millis(1000, span);
        world.schedule(at, planned(Incident::Ask(node)));
    }
}

/// A host asks any other by `node`, and is answered soon.
pub(crate) fn ask(world: &mut World, node: usize) {
    let far = world.rng.below(world.nodes.len());
    if !world.nodes[node].runs() || !world.nodes[far].runs() {
        return;
    }
    let Some(exchange) = Exchange::between(world, node, far) else {
        return;
    };
    let is_lost = world.rng.chance(300);
    world.ask(node, exchange, is_lost);

    let to = if world.rng.chance(700) {
        other_of_site(world, node)
    } else {
        node
    };
    let after = world.rng.millis(20, 600);
    world.schedule(after, planned(Incident::Reply { far, to, exchange }));
}

fn other_of_site(world: &World, node: usize) -> usize {
    let mut pairs = world.network.neighbours();
    let pair = pairs.find(|(a, b)| *a == node || *b == node);

    pair.map_or(node, |(a, b)| a + b - node)
}

/// A question by one gateway whose answer comes back by another one.
struct Trial {
    exchange: Exchange,
    far: usize,
    to: usize,
}

/// Hosts ask by each gateway that has a session with another one of its site, and are answered by
/// that one: it knows the flow, or hands the answer over. Nobody receives what nobody has asked.
pub(crate) fn examine(world: &mut World) -> Result<(), Violation> {
    let pairs: Vec<(usize, usize)> = world.network.neighbours().collect();
    let both_ways = pairs.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
    let mut trials = Vec::new();
    for (by, to) in both_ways {
        if let Some(far) = far_from(world, by, to) {
            trials.extend(asked(world, by, to, far));
        }
    }
    world.run_for(MOMENT)?;

    for Trial { exchange, far, to } in &trials {
        world.answer_by(*far, *to, *exchange);
        lie(world, *far, *to);
    }
    world.run_for(MOMENT)?;

    for Trial { exchange, to, .. } in trials {
        if !world.exchanges.is_answered(&exchange) {
            let id = &world.nodes[to].id;
            let text = format!("{exchange:?}: the answer was lost at {id}");
            return Err(Violation(text));
        }
    }
    Ok(())
}

/// Of two questions, the record of the second gets lost.
fn asked(world: &mut World, by: usize, to: usize, far: usize) -> Vec<Trial> {
    let mut trials = Vec::new();
    for is_lost in [false, true] {
        let Some(exchange) = Exchange::between(world, by, far) else {
            continue;
        };
        world.ask(by, exchange, is_lost);
        if world.exchanges.is_asked(&exchange) {
            trials.push(Trial { exchange, far, to });
        }
    }
    trials
}

/// A gateway that both know, and that can answer by the second.
fn far_from(world: &World, by: usize, to: usize) -> Option<usize> {
    if !world.nodes[by].runs() || !world.nodes[to].runs() {
        return None;
    }
    if session(world, by, to).is_none() || session(world, to, by).is_none() {
        return None;
    }

    let mut nodes = 0..world.nodes.len();
    nodes.find(|far| {
        let there = &world.nodes[*far];
        let runs = there.runs() && !there.id.is_node() && *far != by && *far != to;
        runs && [by, to].iter().all(|near| {
            let near = *near;
            session(world, *far, near).is_some()
                && session(world, near, *far).is_some()
                && world.is_served_by(near, *far)
        })
    })
}

/// The far gateway says that a host of the near site has asked, and sends an answer to what nobody
/// has asked.
fn lie(world: &mut World, far: usize, to: usize) {
    let exchanges = [(); 2].map(|()| Exchange::between(world, to, far));
    let [Some(claimed), Some(unasked)] = exchanges else {
        return;
    };

    if let Some(conn) = session(world, far, to) {
        world.claim(far, conn, claimed);
    }
    world.answer_by(far, to, unasked);
}
