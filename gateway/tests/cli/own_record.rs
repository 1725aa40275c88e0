//! `ringway gateway`, `site`, `revoke` and `record edit | take`: every change of our own record.

mod contents;
mod copies;
mod gateways;

use super::workspace::{Answer, Workspace};

const RECORD: &str = "acme/acme.member.toml";
const HERE: &str = "-c acme/gateway.toml";

/// Acme with beta as a member.
fn with_a_member() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
}

fn serial(workspace: &Workspace) -> u64 {
    let text = workspace.read(RECORD);
    let line = text.lines().find(|line| line.starts_with("serial = "));
    let number = line.unwrap().split(' ').nth(2).unwrap();
    number.parse().unwrap()
}

/// The change succeeds, raises the serial by one, leaves a sound record, and says what to do.
#[track_caller]
fn changes(workspace: &Workspace, command: &str, lines: &[&str]) -> String {
    let before = serial(workspace);
    let out = workspace.ringway(command).succeeds().out;
    assert_eq!(serial(workspace), before + 1, "{command}");
    for line in lines {
        assert!(out.contains(&format!("\n  {line}\n")), "{line}: {out}");
    }

    let fingerprint = workspace.fingerprint(RECORD);
    for part in [
        &format!("fingerprint {fingerprint}\n"),
        "Hand acme/acme.member.toml to every member (beta)",
        &format!("ringway member add acme.member.toml --fingerprint {fingerprint}"),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    workspace
        .ringway(&format!("member show {RECORD}"))
        .succeeds();
    out
}

#[track_caller]
fn refuses(workspace: &Workspace, command: &str, part: &str) -> Answer {
    let before = workspace.read(RECORD);
    let answer = workspace.ringway(command);
    assert_eq!(answer.code, 64, "{command}: {answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
    assert_eq!(workspace.read(RECORD), before, "{command}");
    answer
}
