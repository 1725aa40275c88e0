//! [`CaArgs`]: selects the organization's CA: a directory, with the key in a file or in a PKCS#11
//! token.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringway_config::{Member, reading};
use ringway_identity::create::Authority;
use ringway_identity::token::Token;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::Failure;
use super::own_record::fault;

/// Selects the CA.
#[derive(Debug, clap::Args)]
pub struct CaArgs {
    /// The CA: a directory with ca.crt and ca.key; ca/ beside the record if it has them
    #[arg(long, value_name = "DIRECTORY")]
    pub ca: Option<PathBuf>,
    /// The CA's key, if it is in a token instead (openssl's PKCS#11 engine)
    #[arg(long, value_name = "pkcs11:URI", requires = "ca")]
    pub ca_key: Option<String>,
}

impl CaArgs {
    /// Opens the CA, which must be in `record`. `None` if it is not on this host. `dir` is the
    /// record's directory.
    pub(super) fn open(&self, dir: &Path, record: &Member) -> Result<Option<Authority>, Failure> {
        let ca = self.directory(dir);
        if self.ca.is_none() && !ca.join("ca.key").is_file() {
            return Ok(None);
        }

        let authority = self.read(&ca)?;
        let is_known = record.roots.iter().any(|root| {
            CertificateDer::from_pem_slice(root.pem.as_bytes())
                .is_ok_and(|der| der.as_ref() == authority.der())
        });
        if is_known {
            Ok(Some(authority))
        } else {
            Err(fault(
                &ca.join("ca.crt"),
                format!(
                    "is not among the CA certificates of {}; nobody would accept what it signs",
                    record.place
                ),
            ))
        }
    }

    /// The directory of the CA, whether it exists or not. `dir` is the record's directory.
    pub(super) fn directory(&self, dir: &Path) -> PathBuf {
        match &self.ca {
            Some(ca) => ca.clone(),
            None => dir.join("ca"),
        }
    }

    /// The CA in the directory `ca`.
    pub(super) fn read(&self, ca: &Path) -> Result<Authority, Failure> {
        let certificate = read(&ca.join("ca.crt"))?;
        let authority = match &self.ca_key {
            Some(uri) => {
                let token = Token::new(uri).map_err(|error| Failure::Usage(error.to_string()))?;
                Authority::in_token(&certificate, token)
            }
            None => Authority::read(&certificate, &read(&ca.join("ca.key"))?),
        };
        authority.map_err(|error| fault(ca, error.to_string()))
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))
}
