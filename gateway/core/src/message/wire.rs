//! The encoding of single values: integers big-endian, texts as `length u8 | bytes`.

use ringway_config::{Digest, GatewayName, OrgId, ZoneName};

/// A value with one encoding.
pub(super) trait Wire: Sized {
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one value; `None` if the bytes do not start with one.
    fn get(cursor: &mut Cursor<'_>) -> Option<Self>;
}

/// The bytes that are left to read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Wire for $int {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
                cursor.array().map(<$int>::from_be_bytes)
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self).put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        match u8::get(cursor)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.array()
    }
}

impl Wire for Digest {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        cursor.array().map(Digest)
    }
}

// Names have at most 253 bytes (RFC 1035, section 2.3.4), so that their length fits one byte.
macro_rules! names {
    ($($name:ty),*) => {$(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                out.push(self.as_str().len() as u8);
                out.extend_from_slice(self.as_str().as_bytes());
            }

            fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
                let length = u8::get(cursor)?;
                let text = std::str::from_utf8(cursor.take(length.into())?).ok()?;
                text.parse().ok()
            }
        }
    )*};
}
names!(OrgId, ZoneName, GatewayName);

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some((A::get(cursor)?, B::get(cursor)?))
    }
}
