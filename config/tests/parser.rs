//! Any text yields a configuration or faults, each at a place that exists; nothing panics. The laws
//! are those of the fuzz targets, in `tests/fuzz`.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

#[expect(unreachable_pub, reason = "the fuzzer's crate exports them")]
#[path = "../../tests/fuzz/src/config.rs"]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringway_config::Member;

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_member_record_or_has_faults(text in variants("acme.member.toml")) {
        targets::record(text.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_gateway_file_or_has_faults(text in variants("gateway.toml")) {
        targets::gateway(text.as_bytes());
    }
}

#[test]
fn the_fuzzers_seeds_are_sound_files() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    for (name, target) in [
        ("record", targets::record as fn(&[u8]) -> bool),
        ("gateway", targets::gateway),
    ] {
        let mut count = 0;
        for seed in fs::read_dir(corpus.join(name)).unwrap() {
            let path = seed.unwrap().path();
            if !path.to_string_lossy().contains("/seed-") {
                continue;
            }
            assert!(target(&fs::read(&path).unwrap()), "{}", path.display());
            count += 1;
        }
        assert!(count >= 5, "the seeds of {name} are missing");
    }
}

/// A part of a record must not pass for the whole: the revocations stand at its end.
#[test]
fn a_record_that_is_cut_anywhere_or_continued_is_none() {
    let file = Path::new("acme.member.toml");
    for name in ["acme.member.toml", "members/beta.member.toml"] {
        let text = fs::read_to_string(example(name)).unwrap();
        assert!(Member::parse(&text, file).is_ok());
        for (at, _) in text.char_indices() {
            assert!(Member::parse(&text[..at], file).is_err(), "{}", &text[..at]);
        }

        for more in [
            "\n",
            " ",
            "#",
            "# more\n",
            "x = 1\n",
            "[end]\n",
            "[revoked]\n",
            "\0",
        ] {
            let text = format!("{text}{more}");
            assert!(Member::parse(&text, file).is_err(), "{more:?}");
        }
    }
}

#[test]
fn a_record_ends_with_an_empty_table_that_stands_alone_on_the_last_line() {
    let file = Path::new("acme.member.toml");
    let text = fs::read_to_string(example("acme.member.toml")).unwrap();
    assert!(Member::parse(&text.replace('\n', "\r\n"), file).is_ok());
    for end in [
        " [end]\n",
        "[end] \n",
        "[ end ]\n",
        "[end] # x\n",
        "[\"end\"]\n",
        "[[end]]\n",
        "end = {}\n",
        "[end.x]\n[end]\n",
        "x = \"\"\"\n[end]\n",
        "# [end]\n",
        "[end]\r",
    ] {
        let text = text.replace("\n[end]\n", &format!("\n{end}"));
        assert!(Member::parse(&text, file).is_err(), "{end:?}");
    }
}

#[test]
fn a_record_whose_last_line_has_no_end_says_so() {
    let file = Path::new("acme.member.toml");
    let text = fs::read_to_string(example("acme.member.toml")).unwrap();
    for (end, wrong) in [
        ("[end]", "last byte must be a newline"),
        ("[end]\r", "carriage return must be followed by newline"),
    ] {
        let text = text.replace("\n[end]\n", &format!("\n{end}"));
        let faults = Member::parse(&text, file).unwrap_err().to_string();
        assert!(faults.contains(wrong), "{faults}");
    }

    let faults = Member::parse(&format!("{text}\n"), file).unwrap_err();
    assert!(
        faults.to_string().contains("nothing may follow"),
        "{faults}"
    );
}

#[test]
fn a_serial_is_a_number_from_1_and_version_1_has_none() {
    let file = Path::new("acme.member.toml");
    let text = fs::read_to_string(example("acme.member.toml")).unwrap();
    let with = |serial: &str| Member::parse(&text.replace("serial = 3", serial), file);
    for (serial, number) in [
        ("serial = 1", 1),
        ("serial = 9223372036854775807", i64::MAX as u64),
    ] {
        assert_eq!(with(serial).unwrap().serial, number);
    }
    for serial in [
        "serial = 0",
        "serial = -1",
        "serial = 9223372036854775808",
        "serial = \"3\"",
        "",
    ] {
        assert!(with(serial).is_err(), "{serial}");
    }

    let old = text.replace("version = 2", "version = 1");
    assert!(
        Member::parse(&old, file).is_err(),
        "version 1 has no serial and no end"
    );
    let old = old.replace("serial = 3\n", "").replace("\n[end]\n", "\n");
    assert!(Member::parse(&old, file).is_err(), "nor a consent");
    let old = old.replace("[[transit]]\nfor = \"beta/plant\"\n", "");
    assert_eq!(Member::parse(&old, file).unwrap().serial, 0);
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
        "version = 2\n{}",
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
    let long = format!("version = 2\norg = {:?}\n", "x".repeat(100_000));
    assert!(
        Member::parse(&long, Path::new("long"))
            .unwrap_err()
            .to_string()
            .len()
            < 10_000
    );
}
