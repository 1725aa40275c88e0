//! Linux calls that std does not have: waiting for two descriptors, socket options, ancillary data,
//! steering datagrams to sockets, queues of a TUN device, programs in the kernel.
//!
//! All `unsafe` of this crate is in the files below, each of which says why its blocks are sound.

#![expect(
    unsafe_code,
    reason = "system calls; each file's head says why its block is sound"
)]

pub(crate) mod bpf;
pub(crate) mod control;
pub(crate) mod option;
pub(crate) mod poll;
pub(crate) mod queue;
pub(crate) mod receive;
pub(crate) mod steer;
