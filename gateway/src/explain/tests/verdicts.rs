//! Each verdict has a test.

use super::*;

/// Tests that name verdicts: by variant, or as JSON has them.
const TESTS: [&str; 14] = [
    include_str!("../tests.rs"),
    include_str!("answers.rs"),
    include_str!("beside.rs"),
    include_str!("host.rs"),
    include_str!("node.rs"),
    include_str!("prefix.rs"),
    include_str!("probe.rs"),
    include_str!("rules.rs"),
    include_str!("tunnel.rs"),
    include_str!("../../cli/explain.rs"),
    include_str!("../../cli/explain/naming/tests.rs"),
    include_str!("../../cli/explain/resolving.rs"),
    include_str!("../../../../tests/netns/explain.rs"),
    include_str!("../../../../tests/netns/explain/beside.rs"),
];

#[test]
fn each_verdict_has_a_test() {
    let tests = TESTS.map(|text| text.rsplit("#[cfg(test)]").next().unwrap());

    for verdict in Verdict::ALL {
        let variant = format!("{verdict:?}");
        let json = serde_json::to_string(verdict).unwrap();
        let names = [variant.as_str(), json.trim_matches('"')];

        let is_named = tests.iter().any(|text| {
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '-');
            words.any(|word| names.contains(&word))
        });
        assert!(is_named, "no test names {names:?}");
    }
}
