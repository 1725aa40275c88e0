//! [`Wire`]: one connection between two gateways, its control stream in both directions.

use std::collections::VecDeque;
use std::time::Instant;

use ringway_config::Digest;
use ringway_core::{ConnId, Decoder, Role};

/// The dialler's end is 0, the accepter's 1.
pub(crate) struct Wire {
    pub(crate) ends: [End; 2],
}

pub(crate) struct End {
    pub(crate) node: usize,
    /// The life of the node that holds this end.
    pub(crate) life: u64,
    /// The certificate that this end presented.
    pub(crate) certificate: Digest,
    pub(crate) open: bool,
    /// Splits what came into messages.
    pub(crate) decoder: Decoder,
    /// On its way to this end, in order.
    pub(crate) queue: VecDeque<Item>,
    /// When the last of it arrives.
    pub(crate) arrival: Instant,
    /// Since when nothing gets through.
    pub(crate) stalled: Option<Instant>,
}

/// What a stream carries.
#[derive(Debug)]
pub(crate) enum Item {
    /// The TLS handshake is done at this end.
    Connected,
    Bytes(Vec<u8>),
    Closed,
}

impl Wire {
    /// Between two nodes in these lives, which presented these certificates.
    pub(crate) fn new(
        dialler: (usize, u64, Digest),
        accepter: (usize, u64, Digest),
        now: Instant,
    ) -> Self {
        Self {
            ends: [dialler, accepter].map(|(node, life, certificate)| End {
                node,
                life,
                certificate,
                open: true,
                decoder: Decoder::default(),
                queue: VecDeque::new(),
                arrival: now,
                stalled: None,
            }),
        }
    }
}

/// Names one end in the actions of its mesh. The dialler's count up, the accepter's down: that one
/// connection is younger than another says nothing to both ends alike.
pub(crate) fn conn(wire: usize, end: usize) -> ConnId {
    match end {
        0 => ConnId(wire as u64),
        _ => ConnId(u64::MAX - wire as u64),
    }
}

/// The wire and end that `conn` names.
pub(crate) fn end_of(conn: ConnId) -> (usize, usize) {
    match conn.0 <= u64::MAX / 2 {
        true => (conn.0 as usize, 0),
        false => ((u64::MAX - conn.0) as usize, 1),
    }
}

pub(crate) fn role(end: usize) -> Role {
    if end == 0 {
        Role::Dialler
    } else {
        Role::Accepter
    }
}
