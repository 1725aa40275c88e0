//! `whole`: detects truncated DER, so that the error can say so. `unread`: explains why a PEM file
//! cannot be read.

use rustls_pki_types::pem::Error;

/// A DER value is truncated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is cut short: {have} of {want} bytes are there")]
pub struct Short {
    /// Bytes present.
    pub have: usize,
    /// Length of the value.
    pub want: usize,
}

/// Fails if the DER value in `der` is longer than `der` (X.690, section 8.1.3).
pub(crate) fn whole(der: &[u8]) -> Result<(), Short> {
    match length(der) {
        Some(want) if want > der.len() => Err(Short {
            have: der.len(),
            want,
        }),
        _ => Ok(()),
    }
}

/// The length of the value, including tag and length octets; `None` if it is not encoded.
fn length(der: &[u8]) -> Option<usize> {
    let first = usize::from(*der.get(1)?);
    if first < 0x80 {
        return Some(2 + first);
    }

    // At most as many octets as a usize has; the indefinite form (0x80) is not DER.
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

/// Why a file is not PEM. Follows the file's name.
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
        // Input that is not DER is left to the parser.
        assert_eq!(whole(&[0x30, 0x80]), Ok(()));
        assert_eq!(whole(&[]), Ok(()));
    }
}
