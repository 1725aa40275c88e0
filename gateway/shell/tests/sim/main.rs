//! Deterministic simulation of the shell that ships: 30 gateways of 12 organizations in virtual
//! time, over a network that delays, loses, reorders and cuts, with restarts, breaks, changes of
//! hosts, reloads and rotations, each in the middle of another, gateways that lie about ranks and
//! flows (`liar`), hosts that ask and are answered (`flows`), and ports that fail or answer late.
//! `world` owns the time. Only the ports are in memory (`ports`, `links`, `streams`, `packets`);
//! they check what they are asked. `invariant` watches every published table and every role; in the
//! end `model`, which knows nothing of sessions and changes, says who should reach whom and what
//! should be in force, and `trials` has hosts ask once more.
//!
//! Tried by hand: each of these changes of the shell fails within 200 seeds.
//!
//! | change | found first by seed | as |
//! |---|---|---|
//! | drop a queued reload | 0 | "a reload was lost" (`model`) |
//! | tables before their keys | 0 | "publishes a session whose keys are not" (`packets`) |
//! | keep the routes into tunnels at shutdown | 0 | "leaves routes into tunnels" (`lifecycle`) |
//! | do not wait for the last routes | 0 | "stops while a port writes" (`lifecycle`) |
//! | adopt a change twice | 0 | "adopts a change that it has not read" (`files`) |
//! | lose a rotation during a dial | 4 | "presents an earlier certificate" (`model`) |
//! | act on answers after the stop | 20 | "acts after it has stopped" (`executor`) |
//! | discard the change under way at a second answer | 0 | as "adopt a change twice" |
//! | take over without a time of grace | 0 | "takes over without a time of grace" (`invariant`) |
//! | the lower epoch goes first | 0 | "2 gateways of its site are active" (`model`) |
//! | store no secrets of siblings | 1 | "2 gateways of its divided site are active" (`model`) |
//! | believe every record of a flow (in the filter) | 1 | "believes FlowRecord" (`flows`) |
//! | take every peer for one of our site | 0 | "writes out an answer to what no host" (`flows`) |
//!
//! `RINGWAY_SIM_SEEDS=N` runs N seeds instead of 200; `RINGWAY_SIM_SEED=X` replays one and prints
//! what happens:
//!
//! ```text
//! RINGWAY_SIM_SEED=17 cargo test -p ringway-shell --test sim seeds -- --nocapture
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a simulation that cannot be set up has failed"
)]

mod agenda;
mod attached;
mod consortium;
mod control;
mod daemon;
mod dialling;
mod event;
mod exchange;
mod executor;
mod flows;
mod guarding;
mod incident;
mod invariant;
mod liar;
mod lifecycle;
mod links;
mod model;
mod network;
mod node;
mod packets;
mod ports;
mod rng;
mod scenario;
mod seeds;
mod siblings;
mod streams;
mod trials;
mod ways;
mod wire;
mod world;
