//! Any text at all yields a configuration or faults, each at a place that exists; nothing panics.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringway_config::{Config, Faults, Member};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../deploy/examples")
        .join(name)
}

/// A change of a text: the characters from one place to another give way to something else.
fn any_change() -> impl Strategy<Value = (Index, usize, String)> {
    let tokens = vec![
        "", "\"", "'", "\"\"\"", "[", "]", "[[", "{", "}", "=", ".", ",", "\n", "#", "-", "0x",
        "\0", "ä",
    ];
    let values = vec![
        "0",
        "-1",
        "1e9",
        "true",
        "\"all\"",
        "[]",
        "{}",
        "99999999999999999999",
        "2026-01-01",
        "\u{feff}",
    ];
    let inserted = prop_oneof![
        select(tokens).prop_map(str::to_owned),
        select(values).prop_map(str::to_owned),
        any::<String>()
    ];
    (any::<Index>(), 0..40usize, inserted)
}

/// `text` without its comments, so that changes meet what is parsed, and with some changes.
fn changed(text: &str) -> impl Strategy<Value = String> + use<> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let text: Vec<char> = lines.flat_map(|line| line.chars().chain(['\n'])).collect();
    vec(any_change(), 1..4).prop_map(move |changes| {
        let mut text = text.clone();
        for (at, len, inserted) in changes {
            let at = at.index(text.len() + 1);
            let end = text.len().min(at + len);
            text.splice(at..end, inserted.chars());
        }
        text.into_iter().collect()
    })
}

/// Whole lines in another order: tables lose their keys and find others.
fn shuffled(text: &str) -> impl Strategy<Value = String> + use<> {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    Just(lines)
        .prop_shuffle()
        .prop_map(|lines| lines.join("\n"))
}

fn variants(name: &str) -> impl Strategy<Value = String> + use<> {
    let text = fs::read_to_string(example(name)).unwrap();
    prop_oneof![4 => changed(&text), 1 => shuffled(&text), 1 => any::<String>()]
}

/// There are faults, in order, and those in `file` are at a place that it has.
fn check_places(faults: &Faults, text: &str, file: &Path) -> Result<(), TestCaseError> {
    prop_assert!(!faults.is_empty());
    prop_assert!(faults.0.is_sorted());
    let lines: Vec<&str> = text.split('\n').collect();
    for fault in faults.0.iter().filter(|fault| **fault.place.file == *file) {
        let Some(position) = fault.place.position else {
            continue;
        };
        let line = lines.get(position.line as usize - 1);
        let columns = line.map_or(0, |line| line.chars().count() + 1);
        prop_assert!(
            (1..=columns).contains(&(position.column as usize)),
            "{fault}"
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_member_record_or_has_faults(text in variants("acme.member.toml")) {
        let file = Path::new("acme.member.toml");
        if let Err(faults) = Member::parse(&text, file) {
            check_places(&faults, &text, file)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_gateway_file_or_has_faults(text in variants("gateway.toml")) {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("any-gateway");
        fs::create_dir_all(dir.join("members")).unwrap();
        for record in ["acme.member.toml", "members/beta.member.toml"] {
            fs::copy(example(record), dir.join(record)).unwrap();
        }
        let file = dir.join("gateway.toml");
        fs::write(&file, &text).unwrap();
        if let Err(faults) = Config::load(&file) {
            check_places(&faults, &text, &file)?;
        }
    }
}

#[test]
fn a_deeply_nested_text_is_refused() {
    for nest in ["[", "a = [", "a = {a=", "a.", "[a."] {
        let text = nest.repeat(100_000);
        assert!(Member::parse(&text, Path::new("deep")).is_err(), "{nest}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("latin1.member.toml");
    fs::write(&file, b"version = 1\norg = \"a\xe9\"\n").unwrap();
    let faults = Member::load(&file).unwrap_err().to_string();
    assert_eq!(
        faults,
        format!(
            "{}:2:9: the byte here is not UTF-8; save the file as UTF-8 text",
            file.display()
        )
    );
}

#[test]
fn a_huge_file_is_refused_unread() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("huge.member.toml");
    fs::write(&file, "#".repeat((1 << 20) + 1)).unwrap();
    assert!(
        Member::load(&file)
            .unwrap_err()
            .to_string()
            .contains("larger than 1 MiB")
    );
}

#[test]
fn a_flood_of_faults_is_cut_short() {
    let text = format!(
        "version = 1\n{}",
        (0..50_000)
            .map(|n| format!("x{n} = 0\n"))
            .collect::<String>()
    );
    let faults = Member::parse(&text, Path::new("flood")).unwrap_err();
    assert!(
        faults.0.len() < 1100 && faults.0[0].message.contains("more than 1000 faults"),
        "{}",
        faults.0[0]
    );
    let long = format!("version = 1\norg = {:?}\n", "x".repeat(100_000));
    assert!(
        Member::parse(&long, Path::new("long"))
            .unwrap_err()
            .to_string()
            .len()
            < 10_000
    );
}
