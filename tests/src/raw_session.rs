//! Shared by test programs that speak the protocol without a daemon: their `Hello`, and reading a
//! control stream.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use anyhow::{Result, bail};
use quinn::RecvStream;
use ringway_core::message::VERSIONS;
use ringway_core::{Aead, BootId, Decoder, Hello, Incoming, Lane, Message, SessionIndex};

/// The lane that our `Hello` offers.
pub const LANE: Lane = Lane {
    index: SessionIndex(7),
    aead: Aead::Aes128Gcm,
};

/// The `Hello` of a program that has just started, with these features.
pub fn hello(features: u64) -> Result<Hello> {
    Ok(Hello {
        versions: (*VERSIONS.start(), *VERSIONS.end()),
        features,
        boot: BootId(UNIX_EPOCH.elapsed()?.as_nanos().to_be_bytes()),
        replaces: 0,
        lanes: vec![LANE],
        records: BTreeMap::new(),
    })
}

/// The next message of the stream that is understood.
pub async fn next_message(decoder: &mut Decoder, receive: &mut RecvStream) -> Result<Message> {
    loop {
        match decoder.next()? {
            Some(Incoming::Message(message)) => return Ok(message),
            Some(Incoming::Malformed { .. }) => {}
            None => match receive.read_chunk(64 * 1024, true).await? {
                Some(chunk) => decoder.push(&chunk.bytes),
                None => bail!("the peer has finished its stream"),
            },
        }
    }
}
