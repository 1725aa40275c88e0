//! `ringway cert sign`: the CA's side of a request. The request is hostile input.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::disk::{self, Access};
use ringway_config::{GatewayId, Member};
use ringway_identity::request::{MOST_BYTES, Request};
use time::OffsetDateTime;

use super::Sign;
use super::show::{bytes, read, table};
use crate::cli::own_record::{OwnRecord, fault};
use crate::cli::{Failure, answer};

/// Runs `ringway cert sign`.
pub(super) fn run(args: &Sign) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(&args.record)?;
    let record = &own.member;
    let file = &args.request;
    let request =
        Request::read(&bytes(file, MOST_BYTES)?).map_err(|error| fault(file, error.to_string()))?;
    let id = judge(args, &request, record)?;

    let Some(authority) = args.ca.open(own.dir(), record)? else {
        return Err(Failure::Usage(
            "the CA is not here; name its directory with --ca".into(),
        ));
    };
    let out = out(args)?;
    let certificate = authority
        .certify(
            &id,
            &record.domain,
            request.key(),
            OffsetDateTime::now_utc(),
        )
        .map_err(|error| fault(&args.ca.directory(own.dir()), error.to_string()))?;
    disk::create(&out, certificate.as_bytes(), Access::Everybody)
        .with_context(|| format!("cannot create {}", out.display()))?;

    let signed: String = read(&out)?.iter().map(table).collect();
    let mut text = format!(
        "Asked for, by {}:\n{}",
        file.display(),
        table(&request.description)
    );
    if request.description.is_ca {
        text.push_str("It asks to be a CA, which no gateway becomes.\n");
    }
    text.push_str(&format!(
        "\nSigned, for {id}: {}\n{signed}\n\
         Hand it over only if its host has printed the same key. There:\n  ringway cert renew \
         --certificate {}\n",
        out.display(),
        out.file_name().unwrap_or_default().to_string_lossy()
    ));
    answer(text)
}

/// The gateway that the request is for: one of ours in the record, whose name and key are not
/// revoked.
fn judge(args: &Sign, request: &Request, record: &Member) -> Result<GatewayId, Failure> {
    let refuse = |message: String| fault(&args.request, message);
    if let Some(key) = args.key
        && key != request.digest()
    {
        return Err(refuse(format!(
            "is for key {}, not {key}; it was exchanged on its way",
            request.digest()
        )));
    }

    let gateway = args.gateway.as_ref().map(|name| GatewayId {
        org: record.org.clone(),
        name: name.clone(),
    });
    let node = args.node.as_ref();
    let meant = gateway.or_else(|| node.map(|node| GatewayId::of_node(node, &record.org)));
    let id = request
        .gateway(&record.domain, meant.as_ref())
        .map_err(|error| refuse(error.to_string()))?;
    if id.org != record.org {
        return Err(refuse(format!(
            "is for {id}, which is no gateway of {}",
            record.org
        )));
    }
    // Records have no nodes: the gateways' files list the valid ones.
    if id.is_node() && meant.is_none() {
        let node = id.name.node().unwrap_or_default();
        return Err(refuse(format!(
            "is for an attached node, {node}; say that it is meant with --node {node}"
        )));
    }
    if !id.is_node() && record.gateway(&id.name).is_none() {
        return Err(refuse(format!(
            "is for {id}, which is not in {}; add it with ringway gateway add {}",
            record.place, id.name
        )));
    }
    if record.revoked.gateways.contains(&id.name) {
        return Err(refuse(format!("is for {id}, which is revoked")));
    }
    if record.revoked.keys.contains(&request.digest()) {
        return Err(refuse(format!(
            "is for the key {}, which is revoked",
            request.digest()
        )));
    }
    Ok(id)
}

/// The file of the certificate. It must not exist.
fn out(args: &Sign) -> Result<PathBuf, Failure> {
    let out = match &args.out {
        Some(out) => out.clone(),
        None => args.request.with_extension("crt"),
    };
    if out.symlink_metadata().is_ok() {
        return Err(fault(
            &out,
            "is there already; nothing is overwritten, choose another file with --out",
        ));
    }
    Ok(out)
}
