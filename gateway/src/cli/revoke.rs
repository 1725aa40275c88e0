//! `ringway revoke`: revokes gateways and keys of our organization.

use std::process::ExitCode;

use ringway_config::{Digest, GatewayName};

use super::own_record::{OwnRecord, RecordFile, hand_out};
use super::{Failure, answer};

/// The verbs of `ringway revoke`.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Revoke a gateway by its name, with every key that it has or will have
    #[command(
        after_help = "Example:\n  ringway revoke gateway gw2 -c gateway.toml\n\n\
        The name cannot be used again. Its names in the DNS go at once."
    )]
    Gateway {
        /// The gateway
        name: GatewayName,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
    /// Revoke a key by its digest, as `ringway cert show` prints it
    #[command(
        after_help = "Example:\n  ringway revoke key sha256:2f1c… -c gateway.toml\n\n\
        The gateway can go on with another key: ringway cert renew --new-key"
    )]
    Key {
        /// SHA-256 of the public key (SPKI)
        #[arg(value_name = "sha256:…")]
        digest: Digest,
        /// The record
        #[command(flatten)]
        record: RecordFile,
    },
}

/// Runs `ringway revoke`.
pub fn run(verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Gateway { name, record } => gateway(&name, &record),
        Verb::Key { digest, record } => key(&digest, &record),
    }
}

fn gateway(name: &GatewayName, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    let mut revoked = own.member.revoked.gateways.clone();
    if !revoked.insert(name.clone()) {
        return answer(format!("gateway {name} is revoked already\n"));
    }
    // A mistyped name would not revoke the gateway, and nobody would notice.
    if own.member.gateway(name).is_none() {
        if let Some(config) = own.config()
            && config
                .nodes
                .list
                .iter()
                .any(|node| node.name.as_str() == name.as_str())
        {
            return Err(Failure::Usage(of_node(name)));
        }
        let gateways = own.member.gateways.iter();
        let known: Vec<&str> = gateways.map(|gateway| gateway.name.as_str()).collect();
        return Err(Failure::Usage(format!(
            "nothing was revoked: there is no gateway {name} in {}, and so nobody accepts it; \
             known ones: {}",
            own.path.display(),
            known.join(", ")
        )));
    }

    let mut draft = own.draft()?;
    draft.revoke_gateways(&Vec::from_iter(revoked));
    let change = own.change(draft)?;
    change.write()?;
    let here = own.config().is_some_and(|config| config.id.name == *name);
    let mut text = hand_out(&change, &[], None)?;
    if here {
        text.push_str("It is the gateway here: stop it, since nobody accepts it any more.\n");
    }
    answer(text)
}

fn of_node(name: &GatewayName) -> String {
    format!(
        "nothing was revoked: {name} is an attached node, and no record has it; ringway node \
         remove {name} at each gateway of its site, then ringway reload, ends its session, and for \
         good if its key is revoked as well: ringway revoke key sha256:…, as ringway cert show \
         node.crt prints it"
    )
}

fn key(digest: &Digest, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    let mut revoked = own.member.revoked.keys.clone();
    if !revoked.insert(*digest) {
        return answer(format!("key {digest} is revoked already\n"));
    }

    let mut draft = own.draft()?;
    draft.revoke_keys(&Vec::from_iter(revoked));
    let change = own.change(draft)?;
    change.write()?;
    let mut text = hand_out(&change, &[], None)?;
    if own.config().and_then(super::cert::key_of) == Some(*digest) {
        text.push_str(&format!(
            "It is the key of the gateway here, which nobody accepts any more. Give it another \
             one:\n  ringway cert renew --new-key{}\n",
            own.option()
        ));
    }
    answer(text)
}
