//! [`Event`]: what is under way in a [`World`](crate::world::World), and happens to a node at its
//! time.

use ringway_config::Prefix;
use ringway_core::{DialError, DialId, SessionIndex};
use ringway_filter::FlowRecord;

use crate::exchange::Exchange;
use crate::incident::Incident;
use crate::links::Dialled;
use crate::ports::Answer;

/// What is under way.
#[derive(Debug)]
pub(crate) enum Event {
    /// A node asked to be woken.
    Wake { node: usize },
    /// A handshake reaches the dialled gateway.
    Dialled(Dialled),
    /// The handshake is done, as far as the dialler knows.
    Answered { wire: usize, dial: DialId },
    /// A dial came to nothing.
    DialFailed {
        node: usize,
        life: u64,
        dial: DialId,
        error: DialError,
    },
    /// The next item of a stream arrives at an end.
    Arrival { wire: usize, end: usize },
    /// A connection is found broken at an end.
    Broken { wire: usize, end: usize },
    /// A packet of the data path arrives at an end.
    Datagram {
        wire: usize,
        end: usize,
        index: SessionIndex,
        content: Content,
    },
    /// A port answers.
    Answer {
        node: usize,
        life: u64,
        answer: Answer,
    },
    /// Something that the run planned.
    Planned(Box<Incident>),
}

/// What a packet of the data path holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Content {
    Probe(u64),
    Echo(u64),
    /// Somebody's IP packet to this prefix. Another gateway of the site may have passed it on.
    Data {
        to: Prefix,
        is_passed_on: bool,
    },
    /// A host of the site has opened a flow.
    Flow(FlowRecord),
    /// The answer to a host of the site.
    Reply(Exchange),
    /// The same, from another gateway of the site, which knows nothing about it.
    Handed(Exchange),
}
