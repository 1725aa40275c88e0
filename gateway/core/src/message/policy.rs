//! `PolicyQuestion` and `PolicyAnswer`: whether the rules of the gateway that is asked allow a
//! connection of the asker's organization, for `ringway explain`. Only gateways that both offer
//! [`POLICY_QUESTIONS`] in `Hello` send these messages.
//!
//! | tag | field | value |
//! |---|---|---|
//! | 1 | number | u64; the answer repeats it |
//! | 2 | source (question) | family u8, address |
//! | 3 | destination (question) | family u8, address |
//! | 4 | service (question) | kind u8: 1 TCP, 2 UDP, 3 echo, 4 protocol; port or number u16, or 0 |
//! | 5 | verdict (answer) | u8: 1 allowed, 2 denied; others: not told |
//! | 6 | node (answer, optional) | u8, of the host there: 1 down, 2 silent; others: nothing |

use std::net::IpAddr;

use ringway_config::{Asked, Opening};

use super::field::{FieldError, Fields, Writer};
use super::wire::{Cursor, Wire};

/// The feature bit in `Hello` of a gateway that answers questions about its policy.
pub const POLICY_QUESTIONS: u64 = 4;

const NUMBER: u16 = 1;
const SOURCE: u16 = 2;
const DESTINATION: u16 = 3;
const SERVICE: u16 = 4;
const VERDICT: u16 = 5;
const NODE: u16 = 6;

/// A question about a gateway's policy, or its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyMessage {
    /// Would the receiver's rules let this be opened?
    Question {
        /// Chosen by the asker.
        number: u64,
        /// What would be opened.
        opening: Opening,
    },
    /// The answer to a question of the receiver.
    Answer {
        /// The question's.
        number: u64,
        /// What the rules say.
        verdict: PolicyVerdict,
        /// Why the host at the answerer's end is not reached although the rules allow it.
        node: Option<NodeAway>,
    },
}

/// What a gateway tells about its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// A rule allows it.
    Allowed,
    /// No rule does.
    Denied,
    /// It concerns other organizations than the asker's, or other sites than the answerer's.
    NotTold,
}

/// The host at the answerer's end is an attached node without a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeAway {
    /// It is down.
    Down,
    /// It is a WireGuard client that has been silent. It may answer all the same.
    Silent,
}

pub(super) fn put(message: &PolicyMessage, out: &mut Writer<'_>) {
    match message {
        PolicyMessage::Question { number, opening } => {
            out.required(NUMBER, number);
            out.required(SOURCE, &opening.source);
            out.required(DESTINATION, &opening.destination);
            out.required(SERVICE, &opening.service);
        }
        PolicyMessage::Answer {
            number,
            verdict,
            node,
        } => {
            let verdict: u8 = match verdict {
                PolicyVerdict::Allowed => 1,
                PolicyVerdict::Denied => 2,
                PolicyVerdict::NotTold => 3,
            };
            out.required(NUMBER, number);
            out.required(VERDICT, &verdict);
            let node: Option<u8> = node.map(|node| match node {
                NodeAway::Down => 1,
                NodeAway::Silent => 2,
            });
            // An earlier version skips it.
            if let Some(node) = node {
                out.optional(NODE, &node);
            }
        }
    }
}

pub(super) fn get_question(body: &[u8]) -> Result<PolicyMessage, FieldError> {
    let fields = Fields::split(body, &[NUMBER, SOURCE, DESTINATION, SERVICE])?;

    Ok(PolicyMessage::Question {
        number: fields.required(NUMBER)?,
        opening: Opening {
            source: fields.required(SOURCE)?,
            destination: fields.required(DESTINATION)?,
            service: fields.required(SERVICE)?,
        },
    })
}

pub(super) fn get_answer(body: &[u8]) -> Result<PolicyMessage, FieldError> {
    let fields = Fields::split(body, &[NUMBER, VERDICT, NODE])?;
    let node = match fields.optional::<u8>(NODE)? {
        Some(1) => Some(NodeAway::Down),
        Some(2) => Some(NodeAway::Silent),
        _ => None,
    };
    let verdict = match fields.required::<u8>(VERDICT)? {
        1 => PolicyVerdict::Allowed,
        2 => PolicyVerdict::Denied,
        _ => PolicyVerdict::NotTold,
    };

    Ok(PolicyMessage::Answer {
        number: fields.required(NUMBER)?,
        verdict,
        node,
    })
}

impl Wire for IpAddr {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            IpAddr::V4(address) => {
                4_u8.put(out);
                address.octets().put(out);
            }
            IpAddr::V6(address) => {
                6_u8.put(out);
                address.octets().put(out);
            }
        }
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        match u8::get(cursor)? {
            4 => Some(<[u8; 4]>::get(cursor)?.into()),
            6 => Some(<[u8; 16]>::get(cursor)?.into()),
            _ => None,
        }
    }
}

impl Wire for Asked {
    fn put(&self, out: &mut Vec<u8>) {
        let (kind, value): (u8, u16) = match self {
            Asked::Tcp(port) => (1, *port),
            Asked::Udp(port) => (2, *port),
            Asked::Echo => (3, 0),
            Asked::Protocol(number) => (4, (*number).into()),
        };
        kind.put(out);
        value.put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        let kind = u8::get(cursor)?;
        let value = u16::get(cursor)?;

        match (kind, value) {
            (1, port) => Some(Asked::Tcp(port)),
            (2, port) => Some(Asked::Udp(port)),
            (3, 0) => Some(Asked::Echo),
            (4, number) => Some(Asked::Protocol(number.try_into().ok()?)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_one_encoding() {
        let read = |bytes: &[u8]| Asked::get(&mut Cursor(bytes));

        assert_eq!(read(&[1, 0x1b, 0x8b]), Some(Asked::Tcp(7051)));
        assert_eq!(read(&[3, 0, 0]), Some(Asked::Echo));
        assert_eq!(read(&[4, 0, 47]), Some(Asked::Protocol(47)));
        assert_eq!(read(&[3, 0, 1]), None);
        assert_eq!(read(&[4, 1, 0]), None);
        assert_eq!(read(&[5, 0, 0]), None);
        assert_eq!(read(&[1, 0]), None);
    }
}
