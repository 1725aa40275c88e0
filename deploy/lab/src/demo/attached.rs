//! The demonstration's step about a host in a data centre, attached from behind NAT.

use anyhow::{Context as _, Result};

use super::rights::is_denied;
use super::server::Server;
use super::steps::fetch;
use crate::laboratory::Lab;
use crate::topology::Kind;

/// A host of another organization.
const OTHER: &str = "peer0.org1";

/// The gateways that may have judged packets to the data centre.
const GATEWAYS: [&str; 2] = ["gw.org0", "gw2.org0"];

/// The data centre's host and another organization's host reach each other by name, and the rules
/// of both ends apply.
pub(super) fn both_ways(lab: &mut Lab) -> Result<String> {
    let attached = lab.topology().of_kind(Kind::Attached).next();
    let host = attached.context("no attached host")?.name.clone();

    let answered = {
        let _server = Server::start(lab, OTHER)?;
        fetch(lab, &host, OTHER)?
    };
    println!("    {host} ({answered}) fetched from {OTHER}, by name");
    let asked = {
        let _server = Server::start(lab, &host)?;
        fetch(lab, OTHER, &host)?
    };
    println!("    {OTHER} ({asked}) fetched from {host}, by name");

    let denied = is_denied(lab, &host, OTHER, &["gw.org1"])?;
    is_denied(lab, OTHER, &host, &GATEWAYS)?;
    Ok(format!(
        "{host} ↔ {OTHER} by name; {denied} denied both ways"
    ))
}
