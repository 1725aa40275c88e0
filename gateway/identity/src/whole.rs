//! `whole`: whether bytes are all of a DER value, so that a file that was cut short is called so.
//! `unread`: why a PEM file cannot be read, in words.

use rustls_pki_types::pem::Error;

/// The end of a DER value is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is cut short: {have} of {want} bytes are there")]
pub struct Short {
    /// Bytes that are there.
    pub have: usize,
    /// Bytes that the value has.
    pub want: usize,
}

/// Fails if `der` begins a value that is longer than `der` (X.690, section 8.1.3).
pub(crate) fn whole(der: &[u8]) -> Result<(), Short> {
    match length(der) {
        Some(want) if want > der.len() => Err(Short {
            have: der.len(),
            want,
        }),
        _ => Ok(()),
    }
}

/// The length of the value that begins here, with tag and length; `None` if it does not say.
fn length(der: &[u8]) -> Option<usize> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some(2 + first);
    }

    // As many octets as a usize can have; the indefinite form (0x80) is not DER.
    let count = first - 0x80;
    if !(1..=4).contains(&count) {
        return None;
    }
    let octets = der.get(2..2 + count)?;
    let value = octets
        .iter()
        .fold(0, |value, octet| (value << 8) | usize::from(*octet));
    Some(2 + count + value)
}

/// Why a file is no PEM. Reads after the file's name.
pub(crate) fn unread(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { end_marker } => format!(
            "is cut short: the line -----END {}----- is missing",
            String::from_utf8_lossy(end_marker)
        ),
        Error::Base64Decode(_) => {
            "is damaged: what stands between its BEGIN and END lines is not base64".to_owned()
        }
        error => format!("is not PEM ({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_cut_short_says_how_much_is_there() {
        assert_eq!(whole(&[0x30, 2, 5, 0]), Ok(()));
        assert_eq!(whole(&[0x30, 2, 5]), Err(Short { have: 3, want: 4 }));
        let long = [&[0x30, 0x82, 1, 0][..], &[0; 200]].concat();
        let short = Short {
            have: 204,
            want: 260,
        };
        assert_eq!(whole(&long), Err(short));
        // What is no DER at all is for the parser to judge.
        assert_eq!(whole(&[0x30, 0x80]), Ok(()));
        assert_eq!(whole(&[]), Ok(()));
    }
}
