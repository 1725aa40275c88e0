//! [`Name`]: an absolute domain name in canonical form: wire format, uncompressed, lowercase (RFC
//! 4034, section 6.2), so that equal names have equal octets.
//!
//! Names inside record data keep their case and remain plain octets ([`crate::rdata`]) until a
//! lookup follows them.

use std::fmt;
use std::hash::{Hash, Hasher};

use ringway_config::ZoneName;

/// Octets of the longest name, root label included (RFC 1035, section 2.3.4).
pub(crate) const MAX_LEN: usize = 255;
/// Labels of the longest name: one octet each, and its length.
const MAX_LABELS: usize = 128;
/// The first two bits of a compression pointer, whose other 14 are an offset (RFC 1035, section
/// 4.1.4).
pub(crate) const POINTER: u16 = 0xc000;

/// An absolute, lowercase domain name, stored in place: copying allocates nothing.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    wire: [u8; MAX_LEN],
}

/// Why octets or a text are not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label is empty or has more than 63 octets.
    #[error("a label must have 1 to 63 octets")]
    Label,
    /// The whole name has more than 255 octets.
    #[error("a name may have at most 255 octets")]
    Long,
    /// The octets end inside the name.
    #[error("the name ends too early")]
    Short,
    /// A compression pointer where none may be, or a label type other than RFC 1035's.
    #[error("the name is compressed or has an unknown label type")]
    Compressed,
    /// A backslash without three digits or another character after it.
    #[error("a backslash must be followed by three digits up to 255, or by one character")]
    Escape,
    /// A relative name in a place without an origin.
    #[error("the name is relative and no origin is known")]
    Relative,
}

impl Name {
    /// The root.
    pub const ROOT: Name = Name {
        len: 1,
        wire: [0; MAX_LEN],
    };

    /// Reads the uncompressed name at the start of `bytes`; also returns its length in octets.
    pub fn from_wire(bytes: &[u8]) -> Result<(Name, usize), NameError> {
        let len = wire_len(bytes)?;
        let mut name = Name {
            len: len as u8,
            wire: [0; MAX_LEN],
        };
        name.wire[..len].copy_from_slice(&bytes[..len]);

        // Length octets are below 64 and letters above, so lengths do not change.
        name.wire[..len].make_ascii_lowercase();

        Ok((name, len))
    }

    /// Parses the presentation format (RFC 1035, section 5.1). A name without a final dot is
    /// absolute, too.
    pub fn from_text(text: &str) -> Result<Name, NameError> {
        let wire = wire_from_text(text, Some(&[0]))?;
        Ok(Name::from_wire(&wire)?.0)
    }

    /// The wire format with the root label.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire[..usize::from(self.len)]
    }

    /// The name, divided into labels.
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

    /// True if the name is `suffix` or a subdomain of it.
    pub fn is_within(&self, suffix: &Name) -> bool {
        // A label may contain any octet, so only suffixes of whole labels are compared.
        let labels = self.labels();
        let Some(skip) = labels.count.checked_sub(suffix.labels().count) else {
            return false;
        };

        labels.suffix(skip) == suffix.as_wire()
    }

    /// The name that starts with `prefix`, whole labels without the root, and ends in this name;
    /// `None` if it would be too long.
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
        // The prefix may come from a peer, with capitals.
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
    /// The presentation format without the final dot; the root is `.`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = text_from_wire(self.as_wire());
        match text.strip_suffix('.') {
            None | Some("") => f.write_str("."),
            Some(name) => f.write_str(name),
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A name divided into labels, leftmost first.
pub(crate) struct Labels<'n> {
    wire: &'n [u8],
    /// The octet of `wire` at which each label starts.
    starts: [u8; MAX_LABELS],
    count: usize,
}

impl<'n> Labels<'n> {
    /// Number of labels without the root.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The octets of label `i`, without its length.
    pub(crate) fn label(&self, i: usize) -> &'n [u8] {
        let start = usize::from(self.starts[i]);
        &self.wire[start + 1..start + 1 + usize::from(self.wire[start])]
    }

    /// The name from label `i` on; the root for `i` = count.
    pub(crate) fn suffix(&self, i: usize) -> &'n [u8] {
        &self.wire[self.offset(i)..]
    }

    /// The labels before label `i`, in wire format without the root.
    pub(crate) fn prefix(&self, i: usize) -> &'n [u8] {
        &self.wire[..self.offset(i)]
    }

    fn offset(&self, i: usize) -> usize {
        // The root label, which `starts` does not have.
        if i == self.count {
            self.wire.len() - 1
        } else {
            usize::from(self.starts[i])
        }
    }
}

/// Octets of the uncompressed name at the start of `bytes`, with the root label.
pub(crate) fn wire_len(bytes: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        let label = usize::from(*bytes.get(at).ok_or(NameError::Short)?);
        // RFC 1035, section 2.3.4; a pointer has both upper bits set.
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

/// The presentation format of an uncompressed name, with the final dot. The case is kept.
pub(crate) fn text_from_wire(wire: &[u8]) -> String {
    let mut text = String::with_capacity(wire.len() + 1);
    let mut rest = wire;
    // Ends at the root label, whose length is 0.
    while let Some((&len @ 1.., tail)) = rest.split_first() {
        let (label, tail) = tail.split_at(usize::from(len).min(tail.len()));
        for &byte in label {
            push_escaped(&mut text, byte);
        }
        text.push('.');
        rest = tail;
    }

    if text.is_empty() {
        text.push('.');
    }
    text
}

/// RFC 1035, section 5.1: characters with a meaning in zone files are escaped.
fn push_escaped(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
            text.push('\\');
            text.push(byte.into());
        }
        0x21..=0x7e => text.push(byte.into()),
        _ => text.push_str(&format!("\\{byte:03}")),
    }
}

/// Presentation format to wire format. The case is kept; `origin`, in wire format, completes a name
/// without a final dot.
pub(crate) fn wire_from_text(text: &str, origin: Option<&[u8]>) -> Result<Vec<u8>, NameError> {
    if text == "." {
        return Ok(vec![0]);
    }

    let mut wire = Vec::with_capacity(text.len() + 2);
    // Each label starts with an octet that gets its length when the label ends.
    wire.push(0);
    let mut label_start = 0;
    let mut is_absolute = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        // An escaped dot is an octet of a label.
        is_absolute = byte == b'.';
        match byte {
            b'.' => {
                end_label(&mut wire, label_start)?;
                label_start = wire.len();
                wire.push(0);
            }
            b'\\' => wire.push(escaped(&mut bytes)?),
            _ => wire.push(byte),
        }
    }

    if !is_absolute {
        end_label(&mut wire, label_start)?;
        wire.extend_from_slice(origin.ok_or(NameError::Relative)?);
    }
    if wire.len() > MAX_LEN {
        return Err(NameError::Long);
    }

    Ok(wire)
}

/// Writes the length of the label that starts at `start` and ends `wire`.
fn end_label(wire: &mut [u8], start: usize) -> Result<(), NameError> {
    let len = wire.len() - start - 1;
    if !(1..=63).contains(&len) {
        return Err(NameError::Label);
    }

    wire[start] = len as u8;
    Ok(())
}

/// What a backslash stands for: `DDD` is an octet, any other character itself (RFC 1035, section
/// 5.1).
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
    fn a_name_reads_back_from_its_text_and_from_its_wire_format() {
        let name = Name::from_text("Peer0.Org1.example.").unwrap();
        assert_eq!(name.as_wire(), b"\x05peer0\x04org1\x07example\x00");
        assert_eq!(name.to_string(), "peer0.org1.example");
        assert_eq!(Name::from_text(&name.to_string()), Ok(name));
        let escaped = r"a\.b\032\\.x";
        assert_eq!(Name::from_text(escaped).unwrap().to_string(), escaped);
        assert_eq!(Name::from_text("."), Ok(Name::ROOT));
    }

    #[test]
    fn refuses_labels_and_names_that_are_too_long_or_empty() {
        assert_eq!(Name::from_text(""), Err(NameError::Label));
        assert_eq!(Name::from_text("a..b"), Err(NameError::Label));
        assert_eq!(Name::from_text(&"a".repeat(64)), Err(NameError::Label));
        let longest = format!("{}{}", "a.".repeat(126), "b");
        assert_eq!(Name::from_text(&longest).unwrap().as_wire().len(), MAX_LEN);
        let too_long = format!("{longest}b");
        assert_eq!(Name::from_text(&too_long), Err(NameError::Long));
        assert_eq!(Name::from_text(r"a\300"), Err(NameError::Escape));
    }

    #[test]
    fn refuses_compressed_and_truncated_wire_format() {
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::Compressed));
        assert_eq!(Name::from_wire(b"\x03ab"), Err(NameError::Short));
        assert_eq!(Name::from_wire(b""), Err(NameError::Short));
    }

    #[test]
    fn a_name_is_within_its_suffixes_of_whole_labels() {
        let within = |a: &str, b: &str| {
            Name::from_text(a)
                .unwrap()
                .is_within(&Name::from_text(b).unwrap())
        };
        assert!(within("a.b.c", "b.c") && within("b.c", "b.c") && within("b.c", "."));
        assert!(!within("xb.c", "b.c") && !within("c", "b.c"));
    }
}
