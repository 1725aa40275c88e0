//! Shared parts of the end-to-end tests: a laboratory for each test, programs that run in it,
//! captures of the packets that cross its WAN, and an emulator of bad links.
//!
//! The laboratory is that of `ringway lab`, with the program under test as its gateways. Its
//! topology is drawn at the head of [`ringway_lab`]. Tests wait for conditions under deadlines and
//! never sleep to synchronize. A failed test prints its gateways' logs. Errors are panics.

pub mod attached_node;
pub mod attention;
pub mod background;
pub mod capture;
pub mod certificate;
pub mod charon;
pub mod confined;
pub mod container;
pub mod copied_gateway;
mod daemon;
pub mod data_centre;
pub mod emulator;
pub mod etcd;
pub mod flow;
pub mod inside;
pub mod malicious_owner;
pub mod notify_socket;
pub mod pod;
pub mod prometheus;
pub mod pushed;
pub mod raw_session;
pub mod scene;
pub mod second_gateway;
pub mod second_site;
pub mod sequence;
pub mod siblings;
pub mod strangers;
pub mod vpn;
pub mod wireguard_client;

pub use background::Background;
pub use capture::Capture;
pub use confined::Confined;
pub use container::Container;
pub use emulator::Emulator;
pub use flow::Flow;
pub use notify_socket::NotifySocket;
pub use prometheus::Prometheus;
pub use pushed::Pushed;
pub use scene::Scene;
pub use sequence::Sequence;

/// A Python program that accepts TCP connections at all addresses. `http.server` would look up the
/// name of its address first, with queries that count as leaks or time out.
pub(crate) fn listener(port: u16) -> String {
    format!(
        "import socket\n\
         s = socket.create_server((\"::\", {port}), family=socket.AF_INET6, dualstack_ipv6=True)\n\
         held = []\n\
         while True: held.append(s.accept())\n"
    )
}
