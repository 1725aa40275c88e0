//! [`Capped`]: the body of a response, in which nothing is endless: no list as a whole, and no
//! event of a watch.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};

/// Bytes of a page of a list, and of one event. An object has at most some 3 MiB.
const MOST: usize = 32 << 20;

/// Why a body is not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection broke.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
    /// It is too long.
    #[error("the API server sends more than {MOST} bytes at once")]
    Long,
}

/// A body with an end.
#[derive(Debug)]
pub(crate) struct Capped<B = Incoming> {
    body: B,
    /// Bytes of this piece so far.
    piece: usize,
    /// Each line is a piece; otherwise the whole body is.
    is_watch: bool,
}

impl<B> Capped<B> {
    pub(crate) fn new(body: B, is_watch: bool) -> Capped<B> {
        Capped {
            body,
            piece: 0,
            is_watch,
        }
    }

    fn count(&mut self, data: &[u8]) -> Result<(), BodyError> {
        let mut lengths = vec![data.len()];
        if self.is_watch {
            lengths = data.split(|byte| *byte == b'\n').map(<[u8]>::len).collect();
        }

        for (number, length) in lengths.into_iter().enumerate() {
            // Every length but the first begins a line.
            self.piece = if number == 0 {
                self.piece + length
            } else {
                length
            };
            if self.piece > MOST {
                return Err(BodyError::Long);
            }
        }
        Ok(())
    }
}

impl<B> Body for Capped<B>
where
    B: Body<Data = Bytes> + Unpin,
    BodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else {
            return Poll::Ready(None);
        };

        let counted = frame.data_ref().map_or(Ok(()), |data| self.count(data));
        Poll::Ready(Some(counted.map(|()| frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_an_end_and_so_has_each_event_of_a_watch() {
        let half = vec![b'x'; MOST / 2];
        let mut list = Capped::new((), false);
        assert!(list.count(&half).is_ok());
        assert!(list.count(b"\n").is_ok());
        assert!(list.count(&half).is_err());

        let mut watch = Capped::new((), true);
        for _ in 0..4 {
            assert!(watch.count(&half).is_ok());
            assert!(watch.count(b"x\nx").is_ok());
        }
        assert!(watch.count(&half).is_ok());
        assert!(watch.count(&half).is_err());
    }
}
