//! What the end-to-end tests share: a laboratory per test, programs that run in it, captures of what crosses
//! its WAN, an emulator of bad links.
//!
//! The laboratory is the one of `ringway lab`, with the program under test as its gateways; its topology is
//! drawn at the head of [`ringway_lab`]. Everything waits for conditions under deadlines, nothing sleeps to
//! synchronize. Every failure prints the gateways' logs. Errors are panics: this is test code.

pub mod background;
pub mod capture;
pub mod emulator;
pub mod etcd;
pub mod flow;
pub mod ill_owner;
pub mod scene;
pub mod sequence;

pub use background::Background;
pub use capture::Capture;
pub use emulator::Emulator;
pub use flow::Flow;
pub use scene::Scene;
pub use sequence::Sequence;
