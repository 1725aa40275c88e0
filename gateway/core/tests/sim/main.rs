//! Deterministic simulation of the mesh: 30 gateways of 12 organizations in virtual time, over a network
//! that delays, loses, reorders and cuts, with restarts, breaks and changes of membership. `invariant`
//! watches every published table; in the end `model`, which knows nothing of sessions, says who should
//! reach whom.
//!
//! `RINGWAY_SIM_SEEDS=N` runs N seeds instead of 200; `RINGWAY_SIM_SEED=X` replays one and prints what
//! happens:
//!
//! ```text
//! RINGWAY_SIM_SEED=17 cargo test -p ringway-core --test sim seeds -- --nocapture
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a simulation that cannot be set up has failed"
)]

mod chaos;
mod consortium;
mod control;
mod dice;
mod invariant;
mod model;
mod network;
mod node;
mod scenario;
mod seeds;
mod shell;
mod wire;
mod world;
