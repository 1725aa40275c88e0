//! [`Pair`]: the files of a gateway's certificate and key. A key is never overwritten.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{Config, Digest, reading};
use ringway_identity::key::GatewayKey;

use crate::cli::Failure;
use crate::cli::own_record::fault;

/// Digits of a key's digest in the name of the file that keeps it.
const DIGITS: usize = 12;

/// The paths of both files.
pub(super) struct Pair<'a> {
    certificate: &'a Path,
    key: &'a Path,
}

impl<'a> Pair<'a> {
    pub(super) fn of(config: &'a Config) -> Pair<'a> {
        Pair {
            certificate: &config.identity.certificate,
            key: &config.identity.key,
        }
    }

    /// The file of the key.
    pub(super) fn key_file(&self) -> &Path {
        self.key
    }

    /// The file of a new key that waits for its certificate.
    pub(super) fn next_key_file(&self) -> PathBuf {
        beside(self.key, ".next")
    }

    /// Writes a certificate for the existing key.
    pub(super) fn put_certificate(&self, certificate: &str) -> Result<(), Failure> {
        disk::replace(self.certificate, certificate.as_bytes(), Access::Everybody)
            .with_context(|| format!("cannot write {}", self.certificate.display()))?;
        Ok(())
    }

    /// Writes both. An existing key is kept in another file; returns its digest and that file.
    pub(super) fn put(
        &self,
        certificate: &str,
        key: &str,
    ) -> Result<Option<(Digest, PathBuf)>, Failure> {
        let kept = self.keep()?;
        disk::replace(self.key, key.as_bytes(), Access::Owner)
            .with_context(|| format!("cannot write {}", self.key.display()))?;

        let put = self.put_certificate(certificate);
        if put.is_err()
            && let Some((_, file)) = &kept
        {
            // Restore the former pair. If that fails, the key is still in the other file.
            _ = fs::rename(file, self.key);
        }
        put?;
        Ok(kept)
    }

    fn keep(&self) -> Result<Option<(Digest, PathBuf)>, Failure> {
        let Some(earlier) = read_key(self.key)? else {
            return Ok(None);
        };
        let digest = earlier.digest();
        let name = digest.to_string();
        let short = &name["sha256:".len()..][..DIGITS];
        let file = beside(self.key, &format!(".{short}"));

        // A second name for the same file, so that the key always exists.
        match fs::hard_link(self.key, &file) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                let message = "is in the way: an earlier key is kept there; move it away";
                Err(fault(&file, message))
            }
            Err(error) => Err(anyhow::Error::from(error)
                .context(format!("cannot keep the earlier key as {}", file.display()))
                .into()),
            Ok(()) => Ok(Some((digest, file))),
        }
    }
}

/// The key in `path`; `None` if there is no such file.
pub(super) fn read_key(path: &Path) -> Result<Option<GatewayKey>, Failure> {
    match reading::read_text(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(anyhow::Error::from(error)
            .context(format!("cannot read {}", path.display()))
            .into()),
        Ok(pem) => match GatewayKey::read(&pem) {
            Ok(key) => Ok(Some(key)),
            Err(error) => Err(fault(path, format!("holds no private key ({error})"))),
        },
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}
