//! `ringway node rekey`: replaces the key of a WireGuard client in its `[[node]]`.

use std::process::ExitCode;

use toml_edit::Item;

use super::Rekey;
use super::add::{NODE, change, gateway};
use super::wireguard::{NewClient, no_client};
use crate::cli::Failure;
use crate::cli::edit::{Blocks, set};

/// Runs `ringway node rekey`.
pub(super) fn run(args: &Rekey) -> Result<ExitCode, Failure> {
    let path = &args.config.path;
    let config = gateway(path)?;
    let mut nodes = config.nodes.list.iter();
    match nodes.find(|node| node.name == args.name) {
        Some(node) if node.wireguard.is_some() => {}
        Some(_) => return Err(no_client(&args.name, path)),
        None => {
            return Err(Failure::Usage(format!(
                "there is no node {} in {}",
                args.name,
                path.display()
            )));
        }
    }

    let client = NewClient::new(&config, args.key, args.endpoint.as_ref())?;
    let changed = change(path, |document| {
        let block = Blocks::at(document, NODE).find("name", args.name.as_str());
        let wireguard = block.and_then(|block| block.get_mut("wireguard"));
        let wireguard = wireguard.and_then(Item::as_table_like_mut);
        let Some(wireguard) = wireguard else {
            return Err(no_client(&args.name, path));
        };
        set(wireguard, "public-key", client.public().to_string());
        Ok(())
    })?;
    client.print(&changed, &args.name)
}
