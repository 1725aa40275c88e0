//! The documents for operators: every command line of ours in them is one that the program takes,
//! in blocks of commands and within sentences. `tests/netns/handbook.rs` runs the blocks of the
//! handbook.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser as _;
use clap::error::ErrorKind;
use ringway::cli::Cli;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn no_page_names_a_verb_or_an_option_that_does_not_exist() {
    let mut pages = vec![
        PathBuf::from(ROOT).join("README.md"),
        PathBuf::from(ROOT).join("OPERATING.md"),
    ];
    collect(&Path::new(ROOT).join("deploy"), &mut pages);
    let mut wrong = Vec::new();
    let mut count = 0;

    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        for command in in_blocks(&text) {
            count += 1;
            wrong.extend(refused(&command, false).map(|why| (page, why)));
        }
        for command in in_sentences(&text) {
            count += 1;
            wrong.extend(refused(&command, true).map(|why| (page, why)));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count > 150, "{count} commands in {} pages", pages.len());
}

/// The check notices what it is for.
#[test]
fn a_command_line_that_is_wrong_is_noticed() {
    for wrong in [
        "ringway members add x",
        "ringway status --everything",
        "ringway cert renew --ca",
        "ringway recipe powerdns",
        "ringway revoke key sha256:00",
    ] {
        assert!(refused(wrong, true).is_some(), "{wrong}");
    }
    assert!(refused("ringway member add", false).is_some());
    assert!(
        refused("ringway member add", true).is_none(),
        "a part of one"
    );
    assert!(refused("ringway member add x --fingerprint sha256:…", false).is_none());
}

/// Every page below `dir`.
fn collect(dir: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The commands of ours in the blocks of a page.
fn in_blocks(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1);
    let mut commands = Vec::new();

    for block in blocks {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.replace("\\\n", " ").lines() {
            let line = line.split(" #").next().unwrap_or_default();
            let line = line.split(" >").next().unwrap_or_default();
            let parts = line.split(" && ").flat_map(|part| part.split(" || "));
            let parts = parts.flat_map(|part| part.split(" -- ")).map(str::trim);
            commands.extend(
                parts
                    .filter(|part| part.starts_with("ringway "))
                    .map(str::to_owned),
            );
        }
    }
    commands
}

/// Those within its sentences, as `ringway …`.
fn in_sentences(text: &str) -> Vec<String> {
    let mut outside = String::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 0 {
            outside.push_str(part);
        }
    }

    let quoted = outside.split('`').skip(1).step_by(2);
    let commands = quoted.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
    commands
        .filter(|code| code.starts_with("ringway "))
        .collect()
}

/// Why the program does not take `command`. A `part` of a command may lack what must follow.
fn refused(command: &str, part: bool) -> Option<String> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let written = command.replace("sha256:…", &digest);
    let error = Cli::try_parse_from(words(&written)).err()?;

    let is_complete = !matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let is_answer = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    // What the reader has to put there is of no type.
    let has_gap = error.kind() == ErrorKind::ValueValidation && command.contains('…');
    let is_right = is_answer || has_gap || (part && !is_complete);
    (!is_right).then(|| format!("{command}: {error}"))
}

/// As a shell splits it; only single quotes occur.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;

    for character in command.chars() {
        match character {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
