//! `ringway cert request`: makes a certificate request for this gateway. The key never leaves the
//! host.

use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::Config;
use ringway_config::disk::{self, Access};
use ringway_identity::key::GatewayKey;

use super::Request;
use super::pair::{Pair, read_key};
use crate::cli::own_record::fault;
use crate::cli::{Failure, answer};

/// Runs `ringway cert request`.
pub(super) fn run(args: &Request) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    let pair = Pair::of(&config);
    let file = if args.new_key {
        pair.next_key_file()
    } else {
        pair.key_file().to_owned()
    };

    let (key, is_new) = match read_key(&file)? {
        Some(key) => (key, false),
        None => (GatewayKey::generate().map_err(anyhow::Error::from)?, true),
    };
    if config.own.revoked.keys.contains(&key.digest()) {
        return Err(fault(
            &file,
            "is a revoked key; make another with --new-key",
        ));
    }
    let request = key
        .request(&config.id, &config.own.domain)
        .map_err(anyhow::Error::from)?;

    // Only now, so that a refused command leaves no key behind.
    if is_new {
        disk::create(&file, key.pem().as_bytes(), Access::Owner)
            .with_context(|| format!("cannot create {}", file.display()))?;
    }
    let out = match &args.out {
        Some(out) => out.clone(),
        None if config.attach.is_some() => config.path.with_file_name("node.csr"),
        None => config.path.with_file_name("gateway.csr"),
    };
    disk::replace(&out, request.as_bytes(), Access::Everybody)
        .with_context(|| format!("cannot write {}", out.display()))?;

    answer(format!(
        "{out} is the request for the certificate of {id}.\n  key {digest}, in {file}{new}\n\n\
         Next:\n  1. Where the CA is:\n     ringway cert sign {name}{node} --ca <directory> \
         --record {record} --key {digest}\n  2. Here, with the certificate:\n     \
         ringway cert renew --certificate <file> -c {config}\n",
        out = out.display(),
        id = config.id,
        digest = key.digest(),
        file = file.display(),
        new = if is_new { ", which is new" } else { "" },
        node = match &config.attach {
            Some(attach) => format!(" --node {}", attach.node),
            None => String::new(),
        },
        name = out.file_name().unwrap_or_default().to_string_lossy(),
        record = config
            .own
            .place
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy(),
        config = config.path.display(),
    ))
}
