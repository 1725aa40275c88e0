//! The shape of CA certificates in PEM (RFC 7468). Their contents are decoded by the gateway.

/// Why a PEM block is not a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PemError {
    /// The text has no block.
    #[error("no -----BEGIN CERTIFICATE----- line")]
    Missing,
    /// A private key, in a file that is handed to every other organization.
    #[error(
        "a private key has no place in a member record; remove it and replace the key, for it may \
         be known"
    )]
    PrivateKey,
    /// A block of another kind.
    #[error("-----BEGIN {0}----- is not a certificate")]
    Label(String),
    /// The block does not end.
    #[error("the certificate has no -----END CERTIFICATE----- line of its own")]
    Unclosed,
    /// The block's body is not base64.
    #[error("the certificate is not base64 between its BEGIN and END lines")]
    Base64,
}

/// The beginning of every block.
pub(crate) const BEGIN: &str = "-----BEGIN ";

/// The blocks of `text` in order, each with line ends as `\n`. Text between blocks is commentary
/// (RFC 7468, section 5.2).
pub(crate) fn certificates(text: &str) -> Vec<Result<String, PemError>> {
    // Lines of a multi-line string in TOML may be indented.
    let mut lines = text.lines().map(str::trim).peekable();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN) else {
            continue;
        };

        let mut body = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with("-----")) {
            body.push(line);
        }

        // The next BEGIN line is not consumed: an unclosed block must not hide the one after it.
        let end = lines.next_if(|line| !line.starts_with(BEGIN));
        blocks.push(certificate(label.trim_end_matches('-'), &body, end));
    }
    if blocks.is_empty() {
        blocks.push(Err(PemError::Missing));
    }
    blocks
}

fn certificate(label: &str, body: &[&str], end: Option<&str>) -> Result<String, PemError> {
    // Has a message of its own, because records are handed to the other organizations.
    if label.contains("PRIVATE KEY") {
        return Err(PemError::PrivateKey);
    }
    if label != "CERTIFICATE" {
        return Err(PemError::Label(label.into()));
    }
    if end != Some("-----END CERTIFICATE-----") {
        return Err(PemError::Unclosed);
    }
    if !is_base64(&body.concat()) {
        return Err(PemError::Base64);
    }
    Ok(format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        body.join("\n")
    ))
}

/// RFC 4648, section 4, padded.
fn is_base64(text: &str) -> bool {
    // RFC 4648, section 4: groups of four digits, of which the last has up to two for padding.
    let digits = text.trim_end_matches('=');

    !digits.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "-----BEGIN CERTIFICATE-----\nMIIB\nAAA=\n-----END CERTIFICATE-----\n";

    #[test]
    fn finds_every_block_between_commentary() {
        let text = format!(
            "Subject: CN = a\n{GOOD}\nSubject: CN = b\r\n{}",
            GOOD.replace('\n', "\r\n")
        );
        assert_eq!(
            certificates(&text),
            [Ok(GOOD.to_owned()), Ok(GOOD.to_owned())]
        );
    }

    #[test]
    fn names_what_is_wrong_with_a_block() {
        let only = |text: &str| certificates(text).remove(0).unwrap_err();
        assert_eq!(only(""), PemError::Missing);
        assert_eq!(
            only(&GOOD.replace("CERTIFICATE", "EC PRIVATE KEY")),
            PemError::PrivateKey
        );
        assert_eq!(
            only(&GOOD.replace("CERTIFICATE", "PUBLIC KEY")),
            PemError::Label("PUBLIC KEY".into())
        );
        assert_eq!(
            only("-----BEGIN CERTIFICATE-----\nMIIB\n"),
            PemError::Unclosed
        );
        for body in ["M!IB", "MII", "", "====", "Proc-Type: 4,ENCRYPTED"] {
            assert_eq!(
                only(&GOOD.replace("MIIB\nAAA=", body)),
                PemError::Base64,
                "{body:?}"
            );
        }
    }
}
