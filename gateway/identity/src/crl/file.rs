//! The file of an organization's revocation lists, beside its record.

use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use ringway_config::{Fault, Member, Place, reading};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateRevocationListDer, UnixTime};

use super::Crl;
use crate::trust::TrustedRoot;
use crate::whole::unread;

/// Maximum size of a file: about 25,000 revoked certificates.
const MOST_BYTES: u64 = 1 << 20;

/// Maximum number of lists in a file.
const MOST_LISTS: usize = 16;

/// The suffix of a record's file name.
const RECORD: &str = ".member.toml";

/// The file of revocation lists for the record in the file `record`.
pub fn path_beside(record: &Path) -> PathBuf {
    let name = record.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(RECORD).unwrap_or(&name);

    record.with_file_name(format!("{stem}.crl"))
}

/// The lists of `member`, whose CA certificates are `roots`; empty without a file. Fails with all
/// faults at once.
pub(crate) fn read(
    member: &Member,
    roots: &[TrustedRoot],
    now: UnixTime,
) -> Result<Vec<Crl>, Vec<Fault>> {
    let path = path_beside(&member.place.file);
    let mut faults = Vec::new();
    let mut lists = Vec::new();
    let Some(results) = read_each(&path, member, roots) else {
        return Ok(lists);
    };

    for result in results {
        match result {
            Ok(list) => lists.push(list),
            Err(message) => faults.push(fault(&path, message)),
        }
    }
    // A list that could not be read may be the missing one.
    if faults.is_empty() {
        faults.extend(doubled(&path, &lists));
        faults.extend(uncovered(&path, &lists, roots, now));
    }

    if faults.is_empty() {
        Ok(lists)
    } else {
        Err(faults)
    }
}

/// The valid lists only.
pub(crate) fn read_valid(member: &Member, roots: &[TrustedRoot]) -> Vec<Crl> {
    let path = path_beside(&member.place.file);
    let results = read_each(&path, member, roots).unwrap_or_default();

    results.into_iter().filter_map(Result::ok).collect()
}

/// Each list in the file at `path`, or its fault; `None` if there is no file.
fn read_each(
    path: &Path,
    member: &Member,
    roots: &[TrustedRoot],
) -> Option<Vec<Result<Crl, String>>> {
    let bytes = match read_bytes(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return Some(vec![Err(format!("cannot be read ({error})"))]),
        Ok(bytes) => bytes,
    };
    if bytes.len() as u64 > MOST_BYTES {
        let message = format!("is larger than {MOST_BYTES} bytes; take expired entries out");
        return Some(vec![Err(message)]);
    }

    let ders = split(&bytes);
    if ders.len() > MOST_LISTS {
        let message = format!("holds more than {MOST_LISTS} lists; remove those of old CAs");
        return Some(vec![Err(message)]);
    }
    let read = ders
        .into_iter()
        .map(|der| read_one(der, path, member, roots));
    Some(read.collect())
}

fn read_one(
    der: Result<Vec<u8>, String>,
    path: &Path,
    member: &Member,
    roots: &[TrustedRoot],
) -> Result<Crl, String> {
    let read = Crl::read(&der?, member.org.as_str(), roots, Place::whole(path));

    read.map_err(|error| error.to_string())
}

fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reading::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The DER of each list in a PEM file, or the whole file.
fn split(bytes: &[u8]) -> Vec<Result<Vec<u8>, String>> {
    if bytes.is_empty() {
        let message = "is empty; take the list again from the organization";
        return vec![Err(message.to_owned())];
    }
    // A DER list begins with a SEQUENCE, a PEM file with text.
    if bytes.first() == Some(&0x30) {
        return vec![Ok(bytes.to_owned())];
    }

    let lists: Vec<Result<Vec<u8>, String>> = CertificateRevocationListDer::pem_slice_iter(bytes)
        .map(|der| match der {
            Ok(der) => Ok(der.to_vec()),
            Err(error) => Err(format!(
                "{}; take the whole list again from the organization",
                unread(&error)
            )),
        })
        .collect();
    if lists.is_empty() {
        let message = "holds no certificate revocation list, PEM or DER; take it again from the \
                       organization";
        return vec![Err(message.to_owned())];
    }
    lists
}

/// Two lists of one CA are a fault: using the older one could undo revocations.
fn doubled(path: &Path, lists: &[Crl]) -> Option<Fault> {
    let second = lists.iter().enumerate().find(|(at, list)| {
        let before = &lists[..*at];
        before
            .iter()
            .any(|earlier| earlier.issuer_key == list.issuer_key)
    });
    let (_, list) = second?;

    let message = format!("holds two lists of {}; leave the newer one", list.issuer);
    Some(fault(path, message))
}

/// Certificates of a CA without a list could not be revoked.
fn uncovered(path: &Path, lists: &[Crl], roots: &[TrustedRoot], now: UnixTime) -> Option<Fault> {
    let missing = roots.iter().find(|root| {
        let key = root.certificate.key;
        root.is_valid_at(now) && lists.iter().all(|list| list.issuer_key != key)
    })?;

    let message = format!(
        "has no list of the CA {}; each CA of the record needs one, be it empty",
        missing.certificate.subject
    );
    Some(fault(path, message))
}

fn fault(path: &Path, message: String) -> Fault {
    Fault {
        place: Place::whole(path),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_lie_beside_the_record() {
        let beside = |record: &str| path_beside(Path::new(record)).display().to_string();
        assert_eq!(beside("members/beta.member.toml"), "members/beta.crl");
        assert_eq!(
            beside("/etc/ringway/acme.toml"),
            "/etc/ringway/acme.toml.crl"
        );
    }
}
