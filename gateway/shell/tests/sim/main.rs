//! Deterministic simulation of the shell that ships: 30 gateways of 12 organizations in virtual
//! time, over a network that delays, loses, reorders and cuts, with restarts, breaks, changes of
//! hosts, reloads and rotations, each in the middle of another, and ports that fail or answer late.
//! Only the ports are in memory (`ports`, `links`); they check what they are asked. `invariant`
//! watches every published table; in the end `model`, which knows nothing of sessions and changes,
//! says who should reach whom and what should be in force.
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

mod consortium;
mod control;
mod incident;
mod invariant;
mod links;
mod model;
mod network;
mod node;
mod ports;
mod rng;
mod scenario;
mod seeds;
mod wire;
mod world;
