//! The host's nftables ruleset, which also has the rules of iptables-nft.

use std::process::{Command, Stdio};

use serde_json::Value;

/// As `nft -j list ruleset` prints it. Without the rights or the program it has no rules.
pub(super) fn read() -> Value {
    let output = Command::new("nft")
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .output();

    match output {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_default(),
        Err(_) => Value::Null,
    }
}

/// The elements of `ruleset` that are a `kind`, such as `rule`.
pub(super) fn each<'a>(ruleset: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let objects = ruleset["nftables"].as_array();

    objects
        .into_iter()
        .flatten()
        .map(move |object| &object[kind])
        .filter(|object| object.is_object())
}
