//! [`Name`]: an absolute domain name in canonical form: wire encoding, uncompressed, lowercase
//! (RFC 4034, section 6.2), so that equality is equality of bytes.
//!
//! Names inside record data keep the case they were written in and stay plain wire bytes
//! ([`crate::rdata`]); they become a [`Name`] when a lookup follows them.

use std::fmt;
use std::hash::{Hash, Hasher};

use ringway_config::ZoneName;

/// Octets of the longest name, root label included (RFC 1035, section 2.3.4).
pub(crate) const MAX_LEN: usize = 255;
const MAX_LABELS: usize = 128;

/// An absolute, lowercase domain name. Lives on the stack; copying allocates nothing.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    wire: [u8; MAX_LEN],
}

/// Why bytes or a text are no domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label is empty or has more than 63 octets.
    #[error("a label must have 1 to 63 octets")]
    Label,
    /// The whole name has more than 255 octets.
    #[error("a name may have at most 255 octets")]
    Long,
    /// The bytes end inside the name.
    #[error("the name ends too early")]
    Short,
    /// A compression pointer or an extended label where none may stand.
    #[error("the name is compressed or has a label type that nobody uses")]
    Compressed,
    /// A backslash that starts neither `\DDD` nor `\X`.
    #[error("a backslash must be followed by three digits up to 255, or by one character")]
    Escape,
    /// A relative name, and no origin to complete it with.
    #[error("the name is relative and no origin is known")]
    Relative,
}

impl Name {
    /// The root.
    pub const ROOT: Name = Name {
        len: 1,
        wire: [0; MAX_LEN],
    };

    /// Reads the uncompressed name at the start of `bytes`; also gives its length there.
    pub fn from_wire(bytes: &[u8]) -> Result<(Name, usize), NameError> {
        let len = wire_len(bytes)?;
        let mut name = Name {
            len: len as u8,
            wire: [0; MAX_LEN],
        };
        name.wire[..len].copy_from_slice(&bytes[..len]);
        // Length octets are below 64, letters above: lowering the whole cannot touch a length.
        name.wire[..len].make_ascii_lowercase();
        Ok((name, len))
    }

    /// Reads master-file text (RFC 1035, section 5.1); a name without final dot is absolute here.
    pub fn from_text(text: &str) -> Result<Name, NameError> {
        let wire = wire_from_text(text, Some(&[0]))?;
        Ok(Name::from_wire(&wire)?.0)
    }

    /// The wire form, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire[..usize::from(self.len)]
    }

    /// Where its labels start.
    pub(crate) fn labels(&self) -> Labels<'_> {
        let mut labels = Labels {
            wire: self.as_wire(),
            starts: [0; MAX_LABELS],
            count: 0,
        };
        let mut at = 0;
        while labels.wire[at] != 0 {
            labels.starts[labels.count] = at as u8;
            labels.count += 1;
            at += 1 + usize::from(labels.wire[at]);
        }
        labels
    }

    /// True if the name is `suffix` or below it.
    pub fn is_within(&self, suffix: &Name) -> bool {
        let labels = self.labels();
        let Some(skip) = labels.count.checked_sub(suffix.labels().count) else {
            return false;
        };
        labels.suffix(skip) == suffix.as_wire()
    }

    /// `prefix`, whole labels without the root, before this name; `None` if that is too long.
    pub(crate) fn prefixed(&self, prefix: &[u8]) -> Option<Name> {
        let len = prefix.len() + usize::from(self.len);
        if len > MAX_LEN {
            return None;
        }
        let mut name = Name {
            len: len as u8,
            wire: [0; MAX_LEN],
        };
        name.wire[..prefix.len()].copy_from_slice(prefix);
        name.wire[..prefix.len()].make_ascii_lowercase();
        name.wire[prefix.len()..len].copy_from_slice(self.as_wire());
        Some(name)
    }
}

impl From<&ZoneName> for Name {
    fn from(zone: &ZoneName) -> Name {
        Name::from_text(zone.as_str())
            .expect("a ZoneName has checked labels and at most 253 characters")
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.as_wire() == other.as_wire()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_wire().hash(state);
    }
}

impl fmt::Display for Name {
    /// Master-file text without the final dot; the root is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = text_from_wire(self.as_wire());
        f.write_str(
            text.strip_suffix('.')
                .filter(|name| !name.is_empty())
                .unwrap_or("."),
        )
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name cut into labels, leftmost first.
pub(crate) struct Labels<'n> {
    wire: &'n [u8],
    starts: [u8; MAX_LABELS],
    count: usize,
}

impl<'n> Labels<'n> {
    /// Number of labels; the root has none.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Label `i`'s octets without its length.
    pub(crate) fn label(&self, i: usize) -> &'n [u8] {
        let start = usize::from(self.starts[i]);
        &self.wire[start + 1..start + 1 + usize::from(self.wire[start])]
    }

    /// The name from label `i` on; the root for `i` = count.
    pub(crate) fn suffix(&self, i: usize) -> &'n [u8] {
        &self.wire[self.offset(i)..]
    }

    /// The labels before label `i`, in wire form without the root.
    pub(crate) fn prefix(&self, i: usize) -> &'n [u8] {
        &self.wire[..self.offset(i)]
    }

    fn offset(&self, i: usize) -> usize {
        if i == self.count {
            self.wire.len() - 1
        } else {
            usize::from(self.starts[i])
        }
    }
}

/// The length of the uncompressed name at the start of `bytes`, root label included.
pub(crate) fn wire_len(bytes: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        let label = usize::from(*bytes.get(at).ok_or(NameError::Short)?);
        if label > 63 {
            return Err(NameError::Compressed);
        }
        at += 1 + label;
        if at > MAX_LEN {
            return Err(NameError::Long);
        }
        if label == 0 {
            return Ok(at);
        }
    }
}

/// An uncompressed name as master-file text, case kept, with the final dot.
pub(crate) fn text_from_wire(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len() + 1);
    let mut rest = wire;
    while let Some((&len @ 1.., tail)) = rest.split_first() {
        let (label, tail) = tail.split_at(usize::from(len).min(tail.len()));
        for &byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                    text.extend(['\\', byte as char])
                }
                0x21..=0x7e => text.push(byte as char),
                _ => text.push_str(&format!("\\{byte:03}")),
            }
        }
        text.push('.');
        rest = tail;
    }
    if text.is_empty() {
        ".".to_owned()
    } else {
        text
    }
}

/// Master-file text to wire form, case kept; `origin` (wire) completes a name without final dot.
pub(crate) fn wire_from_text(text: &str, origin: Option<&[u8]>) -> Result<Vec<u8>, NameError> {
    let mut wire = Vec::with_capacity(text.len() + 2);
    if text == "." {
        return Ok(vec![0]);
    }
    let (mut start, mut ended) = (0, false);
    wire.push(0);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        ended = byte == b'.';
        if ended {
            close_label(&mut wire, start)?;
            start = wire.len();
            wire.push(0);
            continue;
        }
        let byte = if byte == b'\\' {
            escaped(&mut bytes)?
        } else {
            byte
        };
        wire.push(byte);
    }
    if !ended {
        close_label(&mut wire, start)?;
        wire.extend_from_slice(origin.ok_or(NameError::Relative)?);
    }
    if wire.len() > MAX_LEN {
        Err(NameError::Long)
    } else {
        Ok(wire)
    }
}

fn close_label(wire: &mut [u8], start: usize) -> Result<(), NameError> {
    match wire.len() - start - 1 {
        len @ 1..=63 => {
            wire[start] = len as u8;
            Ok(())
        }
        _ => Err(NameError::Label),
    }
}

/// What follows a backslash: `DDD` or one character that stands for itself.
pub(crate) fn escaped(bytes: &mut std::str::Bytes<'_>) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::Escape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let mut value = u16::from(first - b'0');
    for _ in 0..2 {
        let digit = bytes
            .next()
            .filter(u8::is_ascii_digit)
            .ok_or(NameError::Escape)?;
        value = value * 10 + u16::from(digit - b'0');
    }
    u8::try_from(value).map_err(|_| NameError::Escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_wire_say_the_same_name() {
        let name = Name::from_text("Peer0.Org1.example.").unwrap();
        assert_eq!(name.as_wire(), b"\x05peer0\x04org1\x07example\x00");
        assert_eq!(name.to_string(), "peer0.org1.example");
        assert_eq!(Name::from_text(&name.to_string()), Ok(name));
        assert_eq!(
            Name::from_text(r"a\.b\032\\.x").unwrap().to_string(),
            r"a\.b\032\\.x"
        );
        assert_eq!(Name::from_text("."), Ok(Name::ROOT));
    }

    #[test]
    fn refuses_labels_and_names_that_are_too_long_or_empty() {
        assert_eq!(Name::from_text(""), Err(NameError::Label));
        assert_eq!(Name::from_text("a..b"), Err(NameError::Label));
        assert_eq!(Name::from_text(&"a".repeat(64)), Err(NameError::Label));
        let longest = format!("{}{}", "a.".repeat(126), "b");
        assert_eq!(Name::from_text(&longest).unwrap().as_wire().len(), MAX_LEN);
        assert_eq!(
            Name::from_text(&format!("{longest}b")),
            Err(NameError::Long)
        );
        assert_eq!(Name::from_text(r"a\300"), Err(NameError::Escape));
    }

    #[test]
    fn refuses_compression_and_cut_off_names_on_the_wire() {
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::Compressed));
        assert_eq!(Name::from_wire(b"\x03ab"), Err(NameError::Short));
        assert_eq!(Name::from_wire(b""), Err(NameError::Short));
    }

    #[test]
    fn a_name_lies_within_its_suffixes_by_whole_labels() {
        let within = |a: &str, b: &str| {
            Name::from_text(a)
                .unwrap()
                .is_within(&Name::from_text(b).unwrap())
        };
        assert!(within("a.b.c", "b.c") && within("b.c", "b.c") && within("b.c", "."));
        assert!(!within("xb.c", "b.c") && !within("c", "b.c"));
    }
}
