//! The operator's handbook: the commands of its pages, as they stand there, at a gateway that runs.
//! A block that is not run begins with `# Not tried`.
//!
//! The laboratory's names and addresses take the place of the pages': acme is org0, whose site has
//! two gateways, beta is org1, gamma is org2. `sha256:…` is the last one that a command has
//! printed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringway_lab::program;
use ringway_tests::Scene;

use crate::RINGWAY;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy");
const GATEWAY: &str = "gw.org0";

/// What is run, in this order: what follows can depend on what a page leaves. Nothing runs beside
/// the host on which a page installs a gateway.
const ORDER: [(&str, &str); 8] = [
    ("upgrade.md", GATEWAY),
    ("troubleshooting.md", GATEWAY),
    ("fabric.md", GATEWAY),
    ("backup.md", GATEWAY),
    ("rotate.md", GATEWAY),
    ("availability.md", GATEWAY),
    ("organizations.md", GATEWAY),
    ("install.md", "peer1.org2"),
];

/// Tried by `ipsec.rs` and `announce.rs`.
const ELSEWHERE: &str = "data-centres.md";

/// Their exit code is a part of the answer: 1 is no failure.
const ANSWERS: [&str; 6] = [
    "ringway role",
    "ringway doctor",
    "ringway explain",
    "ringway policy test",
    // It says so of a file that changes meanwhile.
    "tar -czf",
    "tar -tzf",
];

#[test]
fn the_commands_of_the_handbook_work_as_they_stand_there() {
    let scene = Scene::with_siblings("handbook", RINGWAY);
    let here = scene.beside(GATEWAY, "");
    let gamma = "org2.member.toml";
    fs::copy(here.join("members").join(gamma), here.join(gamma)).expect("it is a member");
    let elsewhere = scene.topology().dir().join("elsewhere");
    fs::create_dir(&elsewhere).expect("it is new");

    for (page, node) in ORDER {
        let dir = if node == GATEWAY { &here } else { &elsewhere };
        let text = fs::read_to_string(Path::new(PAGES).join(page)).expect("the page is there");
        // For one page after the other.
        let log = scene.topology().dir().join(format!("{page}.log"));
        let tried = blocks(&text).into_iter().filter(|block| !is_untried(block));
        for block in tried {
            follow(&scene, node, dir, &log, &block);
        }
    }
    scene.close();
}

#[test]
fn no_page_of_the_handbook_is_left_out() {
    let run: BTreeSet<PathBuf> = ORDER.iter().map(|(page, _)| page.into()).collect();
    let pages = fs::read_dir(PAGES).expect("it is there");
    let names = pages.map(|entry| PathBuf::from(entry.expect("it can be read").file_name()));

    for name in names.filter(|name| name.extension().is_some_and(|end| end == "md")) {
        let text = fs::read_to_string(Path::new(PAGES).join(&name)).expect("it is there");
        let is_tried = blocks(&text).iter().any(|block| !is_untried(block));
        assert_eq!(
            is_tried && name != Path::new(ELSEWHERE),
            run.contains(&name),
            "{}",
            name.display()
        );
    }
}

/// Whatever is a command is in a block that says so. A page of a directory below, which the tests
/// named there follow, says what was tried.
#[test]
fn no_block_of_commands_hides_behind_another_name() {
    for planted in ["```bash\nringway run\n```\n", "```\nringway run\n```\n"] {
        assert_eq!(unknown_blocks(planted).len(), 1, "{planted}");
    }
    assert_eq!(unknown_blocks("```sh\nls\n```\n\n```toml\n```\n"), [""; 0]);

    for page in pages_below(Path::new(PAGES)) {
        let text = fs::read_to_string(&page).expect("it is there");
        assert_eq!(unknown_blocks(&text), [""; 0], "{}", page.display());
        let is_of_handbook = page.parent() == Some(Path::new(PAGES));
        let says_so = text.contains("tried") || text.contains("tests/");
        assert!(
            is_of_handbook || blocks(&text).is_empty() || says_so,
            "{}",
            page.display()
        );
    }
}

fn pages_below(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("it is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());

    paths
        .flat_map(|path| {
            let is_page = path.extension().is_some_and(|end| end == "md");
            if path.is_dir() {
                pages_below(&path)
            } else {
                Vec::from_iter(is_page.then_some(path))
            }
        })
        .collect()
}

/// The first lines of blocks that are neither commands nor in the language of a file.
fn unknown_blocks(text: &str) -> Vec<&str> {
    let fences = text.lines().filter(|line| line.starts_with("```"));
    let begins = fences.step_by(2);

    begins
        .filter(|fence| !["```sh", "```text", "```toml", "```ini", "```yaml"].contains(fence))
        .collect()
}

/// Runs a block in `dir`; each command of it must succeed.
fn follow(scene: &Scene, node: &str, dir: &Path, log: &Path, block: &str) {
    let printed = "$(grep -E 'fingerprint|revoke key' \"$LOG\" | grep -oE 'sha256:[0-9a-f]{64}' \
                   | tail -1)";
    let mut script = format!(
        "set -euo pipefail; cd {}; LOG={}\nringway() {{ {RINGWAY} \"$@\" | tee -a \"$LOG\"; }}\n",
        dir.display(),
        log.display()
    );
    for line in translated(block).replace("\\\n", " ").lines() {
        let line = line.replace("sha256:…", printed);
        let is_answer = ANSWERS.iter().any(|answer| line.starts_with(answer));
        script += &line;
        script += if is_answer {
            " || [ $? -eq 1 ]\n"
        } else {
            "\n"
        };
    }

    let mut bash: Command = scene
        .command(node, "bash")
        .expect("a machine of the laboratory");
    bash.args(["-c", &script]);
    program::output(&mut bash).unwrap_or_else(|error| panic!("{block}\n{error:#}"));
}

/// The blocks of commands of a page.
fn blocks(text: &str) -> Vec<String> {
    let parts = text.split("```sh\n").skip(1);
    let blocks = parts.filter_map(|part| part.split("```").next());
    blocks.map(str::to_owned).collect()
}

fn is_untried(block: &str) -> bool {
    block.starts_with("# Not tried")
}

/// With the laboratory's names and addresses.
fn translated(block: &str) -> String {
    [
        ("acme", "org0"),
        ("beta", "org1"),
        ("gamma", "org2"),
        (" peer0 ", " orderer0 "),
        ("10.1.0.", "10.10.0."),
        ("10.2.0.", "10.10.1."),
    ]
    .iter()
    .fold(block.to_owned(), |text, (page, laboratory)| {
        text.replace(page, laboratory)
    })
}
