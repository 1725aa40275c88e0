//! The file that a command uses, and an output that no program reads.

use std::path::Path;
use std::process::{Command, Stdio};

use super::workspace::Workspace;

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway");

#[test]
fn a_command_says_which_file_it_took_when_none_was_given() {
    let workspace = Workspace::with_acme_and_beta();
    let env = |arguments: &str| workspace.run(Path::new("env"), arguments);

    let answer = env(&format!("-u RINGWAY_CONFIG -C acme {RINGWAY} dns zones"));
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (0, "using gateway.toml\n")
    );
    assert!(
        answer.out.contains("acme.consortium.example"),
        "{}",
        answer.out
    );

    let answer = env(&format!(
        "RINGWAY_CONFIG=beta/gateway.toml {RINGWAY} dns zones"
    ));
    assert_eq!(
        (answer.code, answer.err.as_str()),
        (0, "using beta/gateway.toml (RINGWAY_CONFIG)\n")
    );
    assert!(
        answer.out.contains("beta.consortium.example"),
        "{}",
        answer.out
    );

    // What was given is not repeated, and counts for more than the environment.
    let answer = env(&format!(
        "RINGWAY_CONFIG=beta/gateway.toml {RINGWAY} dns zones -c acme/gateway.toml"
    ));
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
    assert!(
        answer.out.contains("acme.consortium.example"),
        "{}",
        answer.out
    );

    let answer = env(&format!("-u RINGWAY_CONFIG {RINGWAY} status"));
    assert_eq!(answer.code, 64);
    assert!(
        answer.err.contains("gateway.toml: cannot read the file"),
        "{}",
        answer.err
    );
}

#[test]
fn a_reader_that_has_gone_is_no_panic() {
    let workspace = Workspace::with_acme_and_beta();
    let verbs = [
        "check -c acme/gateway.toml",
        "member show acme/acme.member.toml",
        "policy show -c acme/gateway.toml",
        "status -c acme/gateway.toml --check",
        "status -c nowhere.toml",
        "--help",
    ];
    for verb in verbs {
        let mut child = Command::new(RINGWAY)
            .args(verb.split(' '))
            .current_dir(workspace.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        drop(child.stderr.take());

        // 101 is a panic; a signal has no code.
        let code = child.wait().unwrap().code();
        assert!(code.is_some_and(|code| code < 101), "{verb}: {code:?}");
    }
}

#[test]
fn the_help_fits_a_screen() {
    let answer = Workspace::new().ringway("--help").succeeds();
    let lines = answer.out.lines().count();
    assert!(lines <= 40, "{lines} lines\n{}", answer.out);
    let widest = answer.out.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(100), "{widest:?}\n{}", answer.out);
}
