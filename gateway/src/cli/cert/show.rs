//! `ringway cert show`: shows the contents of a certificate or a request.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::{Config, limits, reading};
use ringway_identity::certificate::{date, rfc3339};
use ringway_identity::description::Description;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer};
use serde::Serialize;

use super::Show;
use crate::cli::own_record::fault;
use crate::cli::table::Table;
use crate::cli::{Failure, answer, answer_json};

/// Maximum number of certificates shown of a file.
const MOST: usize = 16;

/// Runs `ringway cert show`.
pub(super) fn run(args: &Show) -> Result<ExitCode, Failure> {
    let described = match &args.file {
        Some(file) => read(file)?,
        None => read(&Config::load(&args.config.path)?.identity.certificate)?,
    };

    if args.json {
        let reports = described.iter().map(Report::of).collect();
        let report = Reports {
            certificates: reports,
        };
        return answer_json(&report);
    }
    let tables: Vec<String> = described.iter().map(table).collect();
    answer(tables.join("\n"))
}

/// Every certificate in a PEM file, or its first request.
pub(super) fn read(file: &Path) -> Result<Vec<Description>, Failure> {
    let pem = bytes(file, limits::FILE_BYTES)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).take(MOST).collect();
    let certificates = certificates.map_err(|error| fault(file, format!("is not PEM: {error}")))?;

    let described = if certificates.is_empty() {
        let request = CertificateSigningRequestDer::from_pem_slice(&pem).map_err(|_| {
            fault(
                file,
                "holds neither a certificate nor a request, which are PEM",
            )
        })?;
        Description::of_request(&request).map(|request| vec![request])
    } else {
        let described = certificates.iter();
        described
            .map(|der| Description::of_certificate(der))
            .collect()
    };
    described.map_err(|error| fault(file, error.to_string()))
}

/// Reads a file of at most `most` bytes.
pub(super) fn bytes(file: &Path, most: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    reading::open(file)
        .and_then(|open| open.take(most as u64 + 1).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", file.display()))?;

    if bytes.len() > most {
        return Err(fault(file, format!("is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// A certificate or request as a table, which escapes every cell.
pub(super) fn table(described: &Description) -> String {
    let mut table = Table::plain();
    table.row(["subject".into(), described.subject.clone()]);
    match &described.issuer {
        Some(issuer) => table.row(["issuer".into(), issuer.clone()]),
        None => table.row(["request".into(), "for a certificate".into()]),
    }
    if let Some(serial) = &described.serial {
        table.row(["serial".into(), serial.clone()]);
    }
    if let Some((begin, end)) = described.validity {
        table.row(["valid".into(), format!("{} to {}", date(begin), date(end))]);
    }

    let mut label = "names";
    for name in &described.names {
        table.row([label.into(), name.clone()]);
        label = "";
    }
    if described.is_ca {
        table.row(["CA".into(), "yes".into()]);
    }
    table.row(["key".into(), described.key.to_string()]);
    table.row(["fingerprint".into(), described.fingerprint.to_string()]);
    table.to_string()
}

/// The output of `cert show --json`.
#[derive(Serialize)]
struct Reports<'a> {
    certificates: Vec<Report<'a>>,
}

#[derive(Serialize)]
struct Report<'a> {
    subject: &'a str,
    issuer: Option<&'a str>,
    serial: Option<&'a str>,
    not_before: Option<String>,
    not_after: Option<String>,
    names: &'a [String],
    is_ca: bool,
    key: String,
    fingerprint: String,
}

impl Report<'_> {
    fn of(described: &Description) -> Report<'_> {
        Report {
            subject: &described.subject,
            issuer: described.issuer.as_deref(),
            serial: described.serial.as_deref(),
            not_before: described.validity.map(|(begin, _)| rfc3339(begin)),
            not_after: described.validity.map(|(_, end)| rfc3339(end)),
            names: &described.names,
            is_ca: described.is_ca,
            key: described.key.to_string(),
            fingerprint: described.fingerprint.to_string(),
        }
    }
}
