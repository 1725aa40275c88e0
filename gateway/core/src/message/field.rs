//! Fields of a message: `tag u16 | length u32 | value`. `wire` encodes the values.

use std::collections::BTreeMap;

use super::hello::VersionMismatch;
use super::wire::{Cursor, Wire};

/// Set in a tag: a receiver that does not know the field cannot use the message.
pub(super) const REQUIRED: u16 = 0x8000;

/// Most fields of a message, unknown ones included.
const MAX_FIELDS: usize = 64;

/// Why a message's body cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// A field header or value runs past the end of the message.
    #[error("truncated field")]
    Truncated,
    /// More than 64 fields.
    #[error("too many fields")]
    TooManyFields,
    /// A field that the sender marked as required is unknown here.
    #[error("unknown required field {0}")]
    Unknown(u16),
    /// A field that the message needs is not there.
    #[error("field {0} is missing")]
    Missing(u16),
    /// A field occurs twice.
    #[error("field {0} occurs twice")]
    Doubled(u16),
    /// A value does not have the form of its field.
    #[error("field {0} has a bad value")]
    Value(u16),
    /// A list or byte string is longer than its cap.
    #[error("field {0} is too long")]
    TooLong(u16),
    /// A `Hello` without a protocol version that we speak.
    #[error(transparent)]
    Version(#[from] VersionMismatch),
}

/// Writes the fields of one message.
pub(super) struct Writer<'a>(pub(super) &'a mut Vec<u8>);

impl Writer<'_> {
    /// A field that the receiver must know.
    pub(super) fn required(&mut self, tag: u16, value: &impl Wire) {
        self.field(tag | REQUIRED, |out| value.put(out));
    }

    /// A field that the receiver may skip.
    pub(super) fn optional(&mut self, tag: u16, value: &impl Wire) {
        self.field(tag, |out| value.put(out));
    }

    /// A required field of values one after the other.
    pub(super) fn list<T: Wire>(&mut self, tag: u16, values: impl IntoIterator<Item = T>) {
        self.field(tag | REQUIRED, |out| {
            for value in values {
                value.put(out);
            }
        });
    }

    /// Like [`Writer::list`], for a field that the receiver may skip.
    pub(super) fn optional_list<T: Wire>(&mut self, tag: u16, values: impl IntoIterator<Item = T>) {
        self.field(tag, |out| {
            for value in values {
                value.put(out);
            }
        });
    }

    /// A required field of raw bytes.
    pub(super) fn bytes(&mut self, tag: u16, bytes: &[u8]) {
        self.field(tag | REQUIRED, |out| out.extend_from_slice(bytes));
    }

    /// A field of raw bytes that the receiver may skip.
    pub(super) fn optional_bytes(&mut self, tag: u16, bytes: &[u8]) {
        self.field(tag, |out| out.extend_from_slice(bytes));
    }

    fn field(&mut self, tag: u16, value: impl FnOnce(&mut Vec<u8>)) {
        self.0.extend_from_slice(&tag.to_be_bytes());

        // The length is known only after the value is written.
        let length_at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        value(self.0);

        let length = (self.0.len() - length_at - 4) as u32;
        self.0[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
}

/// The fields of one received message, by tag without its top bit.
pub(super) struct Fields<'a>(BTreeMap<u16, &'a [u8]>);

impl<'a> Fields<'a> {
    /// Splits `body` into fields; `known` are the tags that this version understands.
    pub(super) fn split(body: &'a [u8], known: &[u16]) -> Result<Self, FieldError> {
        let mut fields = BTreeMap::new();
        let mut cursor = Cursor(body);
        let mut count = 0;

        while !cursor.0.is_empty() {
            // Unknown fields cost nothing but time; this bounds it.
            count += 1;
            if count > MAX_FIELDS {
                return Err(FieldError::TooManyFields);
            }

            let field = next_field(&mut cursor).ok_or(FieldError::Truncated)?;
            let name = field.tag & !REQUIRED;
            if known.contains(&name) {
                if fields.insert(name, field.value).is_some() {
                    return Err(FieldError::Doubled(name));
                }
            } else if field.tag & REQUIRED != 0 {
                return Err(FieldError::Unknown(name));
            }
        }
        Ok(Self(fields))
    }

    /// The first field of `body` with this tag, even if the rest of the message is malformed.
    pub(super) fn first<T: Wire>(body: &[u8], tag: u16) -> Option<T> {
        let mut cursor = Cursor(body);

        for _ in 0..MAX_FIELDS {
            let field = next_field(&mut cursor)?;
            if field.tag & !REQUIRED == tag {
                return T::get(&mut Cursor(field.value));
            }
        }
        None
    }

    /// One value, or `None` without the field.
    pub(super) fn optional<T: Wire>(&self, tag: u16) -> Result<Option<T>, FieldError> {
        let Some(value) = self.0.get(&tag) else {
            return Ok(None);
        };

        // Nothing may follow the value.
        let mut cursor = Cursor(value);
        match (T::get(&mut cursor), cursor.0) {
            (Some(value), []) => Ok(Some(value)),
            _ => Err(FieldError::Value(tag)),
        }
    }

    /// One value.
    pub(super) fn required<T: Wire>(&self, tag: u16) -> Result<T, FieldError> {
        self.optional(tag)?.ok_or(FieldError::Missing(tag))
    }

    /// At most `cap` values, one after the other; none without the field.
    pub(super) fn list<T: Wire>(&self, tag: u16, cap: usize) -> Result<Vec<T>, FieldError> {
        let mut cursor = Cursor(self.0.get(&tag).copied().unwrap_or_default());
        let mut values = Vec::new();

        while !cursor.0.is_empty() {
            // Before the next value is read, so that memory stays bounded.
            if values.len() == cap {
                return Err(FieldError::TooLong(tag));
            }
            values.push(T::get(&mut cursor).ok_or(FieldError::Value(tag))?);
        }
        Ok(values)
    }

    /// The raw bytes of a field, at most `cap`.
    pub(super) fn bytes(&self, tag: u16, cap: usize) -> Result<&'a [u8], FieldError> {
        let bytes = *self.0.get(&tag).ok_or(FieldError::Missing(tag))?;
        if bytes.len() > cap {
            return Err(FieldError::TooLong(tag));
        }
        Ok(bytes)
    }
}

/// One field as it is on the wire.
struct Field<'a> {
    tag: u16,
    value: &'a [u8],
}

/// Reads one field; `None` if it runs past the end of the message.
fn next_field<'a>(cursor: &mut Cursor<'a>) -> Option<Field<'a>> {
    let tag = u16::get(cursor)?;
    let length = u32::get(cursor)?;
    let value = cursor.take(length as usize)?;
    Some(Field { tag, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(tag: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Writer(&mut out).field(tag, |out| out.extend_from_slice(value));
        out
    }

    #[test]
    fn skips_unknown_fields_unless_they_are_required() {
        let optional = [field(1, &[0, 9]), field(77, b"later")].concat();
        assert_eq!(
            Fields::split(&optional, &[1]).unwrap().required::<u16>(1),
            Ok(9)
        );
        let required = [field(1, &[0, 9]), field(77 | REQUIRED, b"later")].concat();
        assert_eq!(
            Fields::split(&required, &[1]).err(),
            Some(FieldError::Unknown(77))
        );
    }

    #[test]
    fn refuses_doubled_missing_long_and_truncated_fields() {
        let twice = [field(1, &[0, 9]), field(1 | REQUIRED, &[0, 9])].concat();
        assert_eq!(
            Fields::split(&twice, &[1]).err(),
            Some(FieldError::Doubled(1))
        );
        let one = field(1, &[0, 9, 9]);
        let fields = Fields::split(&one, &[1]).unwrap();
        assert_eq!(fields.required::<u16>(1), Err(FieldError::Value(1)));
        assert_eq!(fields.required::<u16>(2), Err(FieldError::Missing(2)));
        assert_eq!(fields.bytes(1, 2), Err(FieldError::TooLong(1)));
        assert_eq!(
            Fields::split(&one[..one.len() - 1], &[1]).err(),
            Some(FieldError::Truncated)
        );
        let many: Vec<u8> = (100..165).flat_map(|tag| field(tag, &[])).collect();
        assert_eq!(
            Fields::split(&many, &[1]).err(),
            Some(FieldError::TooManyFields)
        );
    }
}
