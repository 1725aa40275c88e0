//! `ringway lab` runs the program `ringway-lab` beside it, and says how to build it if it is
//! missing.

use super::workspace::Workspace;

const STAND_IN: &str = "#!/bin/sh\necho \"$RINGWAY_PROGRAM\" \"$@\"\nexit 7\n";

#[test]
fn lab_passes_its_arguments_and_its_path_to_the_program_beside_it() {
    let workspace = Workspace::new();
    let ringway = workspace.install_ringway("bin");
    workspace.write("stand-in", STAND_IN);
    workspace.install("stand-in", "bin/ringway-lab");

    for arguments in [
        "--help",
        "",
        "exec peer0.org1 -- ping -c 1 x",
        "--name a up",
    ] {
        let answer = workspace.run(&ringway, &format!("lab {arguments}"));
        let expected = format!("{} {arguments}", ringway.display());
        assert_eq!(answer.out.trim_end(), expected.trim_end(), "{}", answer.err);
        assert_eq!(answer.code, 7, "the exit code is that of ringway-lab");
    }
}

#[test]
fn lab_without_its_program_names_the_command_that_builds_it() {
    let workspace = Workspace::new();
    let ringway = workspace.install_ringway("bin");

    let answer = workspace.run(&ringway, "lab up");
    assert_eq!((answer.code, answer.out.as_str()), (1, ""));
    assert!(
        answer.err.contains("cargo build --release -p ringway-lab"),
        "{}",
        answer.err
    );
}
