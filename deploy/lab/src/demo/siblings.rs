//! The demonstration's step about two gateways at one site.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::server::{Sent, Server, this_program};
use crate::laboratory::Lab;
use crate::{status, wait};

/// The gateways of one site.
const SIBLINGS: [&str; 2] = ["gw.org0", "gw2.org0"];

/// Time limit for the sibling to become active, and for the killed gateway to be back.
const LIMIT: Duration = Duration::from_secs(10);

/// Kills the active gateway of org0's site, as a power cut would, while a host there receives.
pub(super) fn killed_active(lab: &mut Lab) -> Result<String> {
    let [from, to] = ["peer0.org1", "orderer0.org0"];
    let killed = active(lab)?;
    let _server = Server::start(lab, to)?;
    let mut client = this_program(lab, from)?
        .args(["send", to, "--seconds", "4"])
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = client.stdout.take().context("the client has a stdout")?;
    let mut printed = BufReader::new(stdout);

    let mut half = String::new();
    printed.read_line(&mut half)?;
    // The client has reported the reason and ended.
    ensure!(half.trim() == "half", "{from} cannot send to {to}");
    lab.kill(killed)?;
    println!("    {killed} was killed in the middle");

    let mut rest = String::new();
    printed.read_to_string(&mut rest)?;
    ensure!(client.wait()?.success(), "the transfer broke");
    let sent = Sent::parse(&rest).with_context(|| format!("no rate: {rest}"))?;
    let successor = wait::until("the other to be active", LIMIT, || active(lab).map(Some))?;

    lab.start(killed)?;
    status::wait_for_tunnels(lab, killed, LIMIT)?;
    Ok(format!(
        "{from} → {to} went on through {successor} after {:.2} s, {:.1} Gbit/s over all",
        sent.pause.as_secs_f64(),
        sent.gigabits
    ))
}

/// The active one of the site's gateways.
fn active(lab: &Lab) -> Result<&'static str> {
    let mut found = SIBLINGS.into_iter().filter(|name| {
        // A killed one does not answer.
        status::ask(lab, name).is_ok_and(|status| status["role"]["role"] == "active")
    });
    found.next().context("no gateway of org0 is active")
}
