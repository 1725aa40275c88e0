//! [`Sink`]: takes what a data plane hands to the control plane, and keeps it for the test.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::SyncSender;

use ringway_dataplane::{ControlSink, Event};

/// What a sink has received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reported {
    Quic {
        datagram: Vec<u8>,
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    },
    Event(Event),
}

/// A sink with one bounded queue for everything.
#[derive(Clone)]
pub(crate) struct Sink(pub(crate) SyncSender<Reported>);

impl ControlSink for Sink {
    fn quic(
        &mut self,
        datagram: &[u8],
        from: SocketAddr,
        to: Option<IpAddr>,
        ecn: Option<u8>,
    ) -> bool {
        let reported = Reported::Quic {
            datagram: datagram.to_vec(),
            from,
            to,
            ecn,
        };
        self.0.try_send(reported).is_ok()
    }

    fn event(&mut self, event: Event) -> bool {
        self.0.try_send(Reported::Event(event)).is_ok()
    }
}
