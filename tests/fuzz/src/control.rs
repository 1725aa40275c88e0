//! The control stream: any bytes of a peer through the [`Decoder`].

use ringway_core::message::MAX_FRAME;
use ringway_core::{Decoder, FramingError, Incoming};

/// Bytes of a control stream. Every message that is read is written and read again as the same, and
/// the pieces in which the stream arrives make no difference. True if a message was read.
pub fn control(data: &[u8]) -> bool {
    let (found, error) = read(data, data.len().max(1));
    assert_eq!(
        read(data, 7),
        (found.clone(), error),
        "in pieces of 7 bytes: {data:02x?}"
    );

    let mut messages = 0;
    for incoming in found {
        let Incoming::Message(message) = incoming else {
            continue;
        };
        messages += 1;

        let frame = message.encode();
        assert!(frame.len() <= 4 + MAX_FRAME, "{message:?}");
        assert_eq!(
            read(&frame, frame.len()),
            (vec![Incoming::Message(message)], None)
        );
    }
    messages > 0
}

/// Everything that `stream` holds, in pieces of `size` bytes, and what ended it.
fn read(stream: &[u8], size: usize) -> (Vec<Incoming>, Option<FramingError>) {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();

    for piece in stream.chunks(size) {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(incoming)) => found.push(incoming),
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
    }
    (found, None)
}
