//! [`Token`]: a CA's key in a PKCS#11 token, such as an HSM or a smart card, which signs without
//! releasing the key.
//!
//! It uses openssl with its PKCS#11 engine (Debian: libengine-pkcs11-openssl), because vendors test
//! with that. The engine loads the module in `PKCS11_MODULE_PATH`, and asks for the PIN at the
//! terminal unless the URI names a source (RFC 7512: `pin-source=file:…`).

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

use rcgen::{
    Error, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, PublicKeyData,
    SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo,
};
use ringway_config::Escaped;

/// Maximum length of openssl's message in errors.
const MOST: usize = 400;

/// The location of a key: a PKCS#11 URI (RFC 7512).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token(String);

/// The key of a CA in a token.
pub struct TokenKey {
    uri: String,
    public: SubjectPublicKeyInfo,
    /// openssl's option for the hash of the algorithm.
    hash: &'static str,
    /// The cause, which rcgen's error cannot carry.
    last_error: Mutex<Option<TokenError>>,
}

/// Why signing with the token failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The text is not a PKCS#11 URI.
    #[error("{0:?} is no PKCS#11 URI such as pkcs11:token=ca;object=acme;type=private")]
    Uri(String),
    /// The algorithm of the CA's key is not supported.
    #[error("a CA's key in a token must be ECDSA P-256, ECDSA P-384 or RSA")]
    Algorithm,
    /// openssl cannot be started.
    #[error("cannot run openssl: {0}; install it, with its PKCS#11 engine")]
    Run(#[from] io::Error),
    /// openssl has failed.
    #[error(
        "the token did not sign: {0}; is libengine-pkcs11-openssl installed, and does \
         PKCS11_MODULE_PATH name the token's module?"
    )]
    Failed(String),
    /// The token does not accept the PIN.
    #[error("the token refuses the PIN: it is wrong{hint}")]
    Pin {
        /// A possible cause.
        hint: String,
    },
}

impl Token {
    /// Parses a PKCS#11 URI, which must be one line.
    pub fn new(uri: &str) -> Result<Token, TokenError> {
        let is_plain = uri.chars().all(|c| c.is_ascii_graphic());
        if !uri.starts_with("pkcs11:") || !is_plain {
            return Err(TokenError::Uri(Escaped(uri).to_string()));
        }

        Ok(Token(uri.to_owned()))
    }

    /// The key in the token with the public key `public`.
    pub(super) fn key(self, public: SubjectPublicKeyInfo) -> Result<TokenKey, TokenError> {
        let algorithm = public.algorithm();
        // openssl takes the hash as an option; it must be the one of the CA's algorithm.
        let hash = if *algorithm == PKCS_ECDSA_P256_SHA256 || *algorithm == PKCS_RSA_SHA256 {
            "-sha256"
        } else if *algorithm == PKCS_ECDSA_P384_SHA384 {
            "-sha384"
        } else {
            return Err(TokenError::Algorithm);
        };

        Ok(TokenKey {
            uri: self.0,
            public,
            hash,
            last_error: Mutex::default(),
        })
    }
}

impl TokenKey {
    /// Why the last signing failed.
    pub(super) fn last_error(&self) -> Option<TokenError> {
        let mut last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        last.take()
    }

    fn ask(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let output = self.run(message)?;
        if output.status.success() && !output.stdout.is_empty() {
            return Ok(output.stdout);
        }

        let said = String::from_utf8_lossy(&output.stderr);
        let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let said: String = lines.collect::<Vec<_>>().join("; ");
        if is_wrong_pin(&said) {
            let hint = pin_hint(&self.uri);
            return Err(TokenError::Pin { hint });
        }
        let said: String = said.chars().take(MOST).collect();
        Err(TokenError::Failed(Escaped(&said).to_string()))
    }

    fn run(&self, message: &[u8]) -> io::Result<Output> {
        let mut openssl = Command::new("openssl")
            .args(["dgst", self.hash, "-engine", "pkcs11", "-keyform", "engine"])
            .arg("-sign")
            .arg(&self.uri)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;

        // A certificate fits into the pipe, so this does not block.
        let written = openssl
            .stdin
            .take()
            .map_or(Ok(()), |mut stdin| stdin.write_all(message));
        let output = openssl.wait_with_output()?;
        // If openssl has ended early, its own message says why.
        match written {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(output),
        }
    }
}

/// True if openssl's output says so, in the words of its engine (libp11) or with the code of
/// PKCS#11 2.40.
fn is_wrong_pin(said: &str) -> bool {
    let said = said.to_ascii_lowercase();

    [
        "pin incorrect",
        "incorrect pin",
        "ckr_pin_incorrect",
        "pin invalid",
        "wrong pin",
    ]
    .iter()
    .any(|words| said.contains(words))
}

/// A newline at the end of the PIN's file is part of the PIN, and easily overlooked.
fn pin_hint(uri: &str) -> String {
    let Some(file) = pin_file(uri) else {
        return String::new();
    };
    let has_newline = File::open(file).is_ok_and(|file| {
        let mut pin = Vec::new();
        // No PIN is longer.
        file.take(1024).read_to_end(&mut pin).is_ok() && pin.ends_with(b"\n")
    });

    if has_newline {
        format!("; {file} ends with a newline, which counts as a part of it: write it with printf")
    } else {
        format!("; it is read from {file}")
    }
}

/// RFC 7512, 2.4: the file with the PIN.
fn pin_file(uri: &str) -> Option<&str> {
    let attributes = uri.split(['?', '&', ';']);
    let source = attributes
        .into_iter()
        .find_map(|attribute| attribute.strip_prefix("pin-source="))?;

    Some(source.strip_prefix("file:").unwrap_or(source))
}

impl PublicKeyData for TokenKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl SigningKey for TokenKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.ask(message).map_err(|error| {
            *self
                .last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(error);
            Error::RemoteKeyError
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newline_in_the_file_of_the_pin_is_named() {
        assert!(is_wrong_pin("error:82000A0:PKCS#11 module::PIN incorrect"));
        assert!(!is_wrong_pin("no such token"));

        let file = std::env::temp_dir().join(format!("ringway-pin-{}", std::process::id()));
        let path = file.to_str().unwrap();
        let uri = format!("pkcs11:token=ca;object=acme?pin-source=file:{path}");
        std::fs::write(&file, "1234\n").unwrap();
        assert!(pin_hint(&uri).contains("ends with a newline"));
        std::fs::write(&file, "1234").unwrap();
        assert_eq!(pin_hint(&uri), format!("; it is read from {path}"));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(pin_hint("pkcs11:token=ca"), "");
    }

    #[test]
    fn only_a_pkcs11_uri_in_one_line_is_passed_on() {
        assert!(Token::new("pkcs11:token=ca;object=acme?pin-source=file:/root/pin").is_ok());
        for bad in [
            "",
            "ca.key",
            "pkcs11:a b",
            "pkcs11:a\n-x",
            "-engine",
            "pkcs11:\u{202e}",
        ] {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }
}
