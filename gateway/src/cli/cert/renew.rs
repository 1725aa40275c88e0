//! `ringway cert renew`: installs a new certificate for this gateway.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use ringway_config::disk;
use ringway_config::{Config, Digest, Identity as Files};
use ringway_identity::certificate::date;
use ringway_identity::key::GatewayKey;
use ringway_identity::{Identity, Trust};
use rustls_pki_types::UnixTime;
use time::OffsetDateTime;

use super::Renew;
use super::pair::{Pair, read_key};
use super::show::{bytes, read};
use crate::cli::own_record::fault;
use crate::cli::{Failure, answer};

/// Maximum size of a chain that peers accept, as PEM with comments.
const MOST_BYTES: usize = 64 * 1024;

/// Runs `ringway cert renew`.
pub(super) fn run(args: &Renew) -> Result<ExitCode, Failure> {
    let config = Config::load(&args.config.path)?;
    refuse_revoked(&config)?;
    match &args.certificate {
        Some(file) => put(&config, file),
        None => renew(&config, args),
    }
}

fn refuse_revoked(config: &Config) -> Result<(), Failure> {
    if config.own.revoked.gateways.contains(&config.id.name) {
        return Err(Failure::Usage(format!(
            "gateway {} is revoked in {}, for good: nobody would accept a certificate for it",
            config.id.name, config.own.place
        )));
    }
    Ok(())
}

/// Signs a certificate with the CA on this host.
fn renew(config: &Config, args: &Renew) -> Result<ExitCode, Failure> {
    let dir = config.own.place.file.parent().unwrap_or(Path::new(""));
    let Some(authority) = args.ca.open(dir, &config.own)? else {
        return Err(Failure::Usage(
            "the CA is not here: name its directory with --ca, or make a request with ringway cert \
             request and have it signed where the CA is"
                .into(),
        ));
    };

    let pair = Pair::of(config);
    let earlier = read_key(pair.key_file())?;
    let is_new = args.new_key || earlier.is_none();
    let key = match earlier {
        Some(key) if !args.new_key => key,
        _ => GatewayKey::generate().map_err(anyhow::Error::from)?,
    };
    refuse_key(config, key.digest())?;
    let certificate = authority
        .certify(
            &config.id,
            &config.own.domain,
            &key,
            OffsetDateTime::now_utc(),
        )
        .map_err(|error| fault(&args.ca.directory(dir), error.to_string()))?;

    let kept = if is_new {
        pair.put(&certificate, &key.pem())?
    } else {
        pair.put_certificate(&certificate)?;
        None
    };
    answer(done(config, kept.as_ref())?)
}

fn refuse_key(config: &Config, key: Digest) -> Result<(), Failure> {
    if config.own.revoked.keys.contains(&key) {
        return Err(Failure::Usage(format!(
            "key {key} is revoked in {}; make a new one with --new-key",
            config.own.place
        )));
    }
    Ok(())
}

/// Installs a certificate that was signed elsewhere, with the key that waits for it.
fn put(config: &Config, file: &Path) -> Result<ExitCode, Failure> {
    let pair = Pair::of(config);
    let pem = bytes(file, MOST_BYTES)?;
    let certificate = String::from_utf8(pem).map_err(|_| fault(file, "is not PEM"))?;
    let wanted = read(file)?.first().map(|leaf| leaf.key);

    let next = pair.next_key_file();
    let waiting = read_key(&next)?.filter(|key| Some(key.digest()) == wanted);
    let key = if waiting.is_some() {
        next.as_path()
    } else {
        pair.key_file()
    };
    judge(config, file, key)?;

    let kept = match waiting {
        Some(waiting) => {
            let kept = pair.put(&certificate, &waiting.pem())?;
            disk::remove(&next).with_context(|| format!("cannot remove {}", next.display()))?;
            kept
        }
        None => {
            // It may be the same file, if it was copied to its place before.
            if !is_same(file, &config.identity.certificate) {
                pair.put_certificate(&certificate)?;
            }
            None
        }
    };
    answer(done(config, kept.as_ref())?)
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = fs::canonicalize(one);
    real.is_ok_and(|one| fs::canonicalize(other).is_ok_and(|other| one == other))
}

/// Fails if peers would refuse the certificate with this key.
fn judge(config: &Config, certificate: &Path, key: &Path) -> Result<(), Failure> {
    let files = Files {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
    };
    let trust = Trust::build(config)?;
    Identity::load(&files, &config.id, &trust, UnixTime::now())?;
    Ok(())
}

fn done(config: &Config, kept: Option<&(Digest, std::path::PathBuf)>) -> Result<String, Failure> {
    let described = read(&config.identity.certificate)?;
    let Some(leaf) = described.first() else {
        return Ok(String::new());
    };
    let until = leaf.validity.map_or(String::new(), |(_, end)| date(end));

    let mut text = format!(
        "{} is the certificate of {}, until {until}.\n  key {}\nA running gateway uses it within \
         seconds; its tunnels stay.\n",
        config.identity.certificate.display(),
        config.id,
        leaf.key
    );
    if let Some((digest, file)) = kept {
        text.push_str(&format!(
            "The earlier key is in {}. If it may be in wrong hands{}\n",
            file.display(),
            how_to_revoke(config, digest)
        ));
    }
    Ok(text)
}

/// The command that revokes a key. The record of a node's organization is at its gateways.
fn how_to_revoke(config: &Config, digest: &Digest) -> String {
    match &config.attach {
        Some(attach) => format!(
            ", at each gateway of {}/{}:\n  ringway revoke key {digest} -c gateway.toml\n  ringway \
             reload -c gateway.toml",
            config.id.org, attach.site
        ),
        None => format!(
            ":\n  ringway revoke key {digest} -c {}",
            config.path.display()
        ),
    }
}
