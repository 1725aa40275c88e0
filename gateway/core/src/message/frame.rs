//! Frames: `length u32 | kind u16 | field*`, written whole and read piece by piece.

use std::fmt;

use super::field::{FieldError, Writer};
use super::{
    Message, ZoneMessage, addresses, bye, fragment, hello, offer, policy, prefix, records, refuse,
    sibling, site_settings, zone,
};

/// Most bytes that may follow a frame's length.
pub const MAX_FRAME: usize = 64 * 1024;

const LENGTH: usize = 4;
const KIND: usize = 2;

/// The kind of a message, by its number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the message of the same name")]
pub enum Kind {
    Hello = 1,
    Announce = 2,
    Withdraw = 3,
    Refuse = 4,
    Records = 5,
    ZoneOffer = 6,
    ZoneFetch = 7,
    ZoneData = 8,
    Bye = 9,
    FragmentOffer = 10,
    FragmentFetch = 11,
    FragmentData = 12,
    FragmentVerdict = 13,
    Rank = 14,
    Sibling = 15,
    Relay = 16,
    Addresses = 17,
    PolicyQuestion = 18,
    PolicyAnswer = 19,
    Offer = 20,
    SiteSettings = 21,
}

impl Kind {
    const ALL: [Kind; 21] = [
        Kind::Hello,
        Kind::Announce,
        Kind::Withdraw,
        Kind::Refuse,
        Kind::Records,
        Kind::ZoneOffer,
        Kind::ZoneFetch,
        Kind::ZoneData,
        Kind::Bye,
        Kind::FragmentOffer,
        Kind::FragmentFetch,
        Kind::FragmentData,
        Kind::FragmentVerdict,
        Kind::Rank,
        Kind::Sibling,
        Kind::Relay,
        Kind::Addresses,
        Kind::PolicyQuestion,
        Kind::PolicyAnswer,
        Kind::Offer,
        Kind::SiteSettings,
    ];

    fn from_wire(number: u16) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u16 == number)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The next message of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// A message that can be used.
    Message(Message),
    /// A message of a known kind that cannot be used.
    Malformed {
        /// The kind.
        kind: Kind,
        /// What is wrong with it.
        error: FieldError,
    },
}

/// The stream cannot be read any further: the session ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    /// Longer than [`MAX_FRAME`].
    #[error("frame of {0} bytes is longer than {MAX_FRAME}")]
    TooLong(u32),
    /// Too short to hold a kind.
    #[error("frame of {0} bytes is too short")]
    TooShort(u32),
}

/// Reads a control stream. It holds at most one incomplete frame and the bytes that were pushed
/// last.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    read: usize,
}

impl Decoder {
    /// Takes the next bytes of the stream. To be called again only after [`Decoder::next`] has
    /// returned `None`.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.read);
        self.read = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` until it is complete. Unknown kinds are skipped.
    #[expect(
        clippy::should_implement_trait,
        reason = "an error ends the stream, so that it is no iterator"
    )]
    pub fn next(&mut self) -> Result<Option<Incoming>, FramingError> {
        loop {
            let rest = &self.buffer[self.read..];
            let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else {
                return Ok(None);
            };

            // Checked before the frame is complete, so that the buffer stays bounded.
            let length = u32::from_be_bytes(*length);
            if length as usize > MAX_FRAME {
                return Err(FramingError::TooLong(length));
            }
            if (length as usize) < KIND {
                return Err(FramingError::TooShort(length));
            }

            let Some(frame) = rest.get(..length as usize) else {
                return Ok(None);
            };
            self.read += LENGTH + frame.len();

            // A kind of a later version is skipped: it is for gateways that know it.
            let (kind, body) = frame.split_at(KIND);
            if let Some(kind) = Kind::from_wire(u16::from_be_bytes([kind[0], kind[1]])) {
                return Ok(Some(decode(kind, body)));
            }
        }
    }
}

fn decode(kind: Kind, body: &[u8]) -> Incoming {
    let message = match kind {
        Kind::Hello => hello::get(body).map(Message::Hello),
        Kind::Announce => {
            prefix::get(body).map(|(serial, prefixes)| Message::Announce { serial, prefixes })
        }
        Kind::Withdraw => {
            prefix::get(body).map(|(serial, prefixes)| Message::Withdraw { serial, prefixes })
        }
        Kind::Refuse => refuse::get(body).map(Message::Refuse),
        Kind::Records => records::get_message(body).map(|records| Message::Records { records }),
        Kind::ZoneOffer => zone::get_offer(body).map(Message::Zone),
        Kind::ZoneFetch => zone::get_fetch(body).map(Message::Zone),
        Kind::ZoneData => zone::get_data(body).map(Message::Zone),
        Kind::Bye => bye::get(body).map(|code| Message::Bye { code }),
        Kind::FragmentOffer => fragment::get_offer(body).map(from_fragment),
        Kind::FragmentFetch => fragment::get_fetch(body).map(from_fragment),
        Kind::FragmentData => fragment::get_data(body).map(from_fragment),
        Kind::FragmentVerdict => fragment::get_verdict(body).map(from_fragment),
        Kind::Rank => sibling::get_rank(body).map(Message::Rank),
        Kind::Sibling => sibling::get_sibling(body).map(Message::Sibling),
        Kind::Relay => sibling::get_relay(body).map(Message::Relay),
        Kind::Addresses => addresses::get(body).map(Message::Addresses),
        Kind::PolicyQuestion => policy::get_question(body).map(Message::Policy),
        Kind::PolicyAnswer => policy::get_answer(body).map(Message::Policy),
        Kind::Offer => offer::get(body).map(Message::Offer),
        Kind::SiteSettings => site_settings::get(body).map(Message::SiteSettings),
    };

    match message {
        Ok(message) => Incoming::Message(message),
        Err(error) => Incoming::Malformed { kind, error },
    }
}

fn from_fragment(message: fragment::FragmentMessage) -> Message {
    Message::Zone(ZoneMessage::Fragment(message))
}

pub(super) fn encode(message: &Message) -> Vec<u8> {
    // The length is known only after the fields are written.
    let mut frame = vec![0; LENGTH];
    frame.extend_from_slice(&(message.kind() as u16).to_be_bytes());

    let mut out = Writer(&mut frame);
    match message {
        Message::Hello(hello) => hello::put(hello, &mut out),
        Message::Announce { serial, prefixes } | Message::Withdraw { serial, prefixes } => {
            prefix::put(*serial, prefixes, &mut out);
        }
        Message::Refuse(refuse) => refuse::put(refuse, &mut out),
        Message::Records { records } => records::put_message(records, &mut out),
        Message::Rank(rank) => sibling::put_rank(*rank, &mut out),
        Message::Sibling(message) => sibling::put_sibling(message, &mut out),
        Message::Relay(relay) => sibling::put_relay(relay, &mut out),
        Message::Addresses(list) => addresses::put(list, &mut out),
        Message::Zone(message) => zone::put(message, &mut out),
        Message::Policy(message) => policy::put(message, &mut out),
        Message::Offer(offer) => offer::put(offer, &mut out),
        Message::SiteSettings(settings) => site_settings::put(settings, &mut out),
        Message::Bye { code } => bye::put(*code, &mut out),
    }

    let length = (frame.len() - LENGTH) as u32;
    debug_assert!(
        length as usize <= MAX_FRAME,
        "{} of {length} bytes",
        message.kind()
    );
    frame[..LENGTH].copy_from_slice(&length.to_be_bytes());
    frame
}
