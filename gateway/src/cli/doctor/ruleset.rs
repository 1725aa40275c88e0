//! The host's nftables ruleset, including the rules of iptables-nft.

use std::process::{Command, Stdio};

use serde_json::Value;

/// The output of `nft -j list ruleset`. Empty without the rights or the program.
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

/// The elements of `ruleset` of this kind, such as `rule`.
pub(super) fn each<'a>(ruleset: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let objects = ruleset["nftables"].as_array();

    objects
        .into_iter()
        .flatten()
        .map(move |object| &object[kind])
        .filter(|object| object.is_object())
}
