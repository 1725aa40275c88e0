//! `ringway plan`.

use super::workspace::Workspace;

#[test]
fn proposes_what_no_record_no_reserved_range_and_no_network_has() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace.edit(
        "acme/gateway.toml",
        "reserved = []",
        "reserved = [\"10.213.0.0/24\"]",
    );
    let plan = |options: &str| workspace.ringway(&format!("plan {options} -c acme/gateway.toml"));
    let out = plan("--pool 10.208.0.0/12 --size 15 --count 3")
        .succeeds()
        .out;
    // acme has 10.211, beta 10.212, and 10.213 is reserved in part.
    assert!(
        out.contains(":\n  10.208.0.0/15\n  10.214.0.0/15\n  10.216.0.0/15\n"),
        "{out}"
    );
    assert!(out.contains("--site <site>=10.208.0.0/15"), "{out}");
    let out = plan("--pool fd00:208::/29 --size 48 --count 1")
        .succeeds()
        .out;
    assert!(out.contains("  fd00:208::/48\n"), "{out}");

    plan("--pool 10.211.0.0/16 --size 24").refuses(&[
        "error: no /24 is free in 10.211.0.0/16; name another --pool, or a longer --size",
    ]);
    plan("--pool 10.211.0.0/16 --size 8")
        .refuses(&["error: --size 8 does not fit into 10.211.0.0/16; say 16 to 32"]);
}

#[test]
fn the_pools_of_the_file_count_unless_others_are_named() {
    let workspace = Workspace::with_acme_and_beta();
    let plan = |options: &str| workspace.ringway(&format!("plan {options} -c acme/gateway.toml"));
    let out = plan("--size 8 --count 1")
        .refuses(&["error: no /8 is free in 10.0.0.0/8; name another --pool, or a longer --size"]);
    assert_eq!(out.out, "", "the default");

    let gateway = workspace.read("acme/gateway.toml");
    let pools = |pools: &str| {
        let text = format!("{gateway}\n[plan]\npools = [{pools}]\n");
        workspace.write("acme/gateway.toml", &text);
    };
    pools("\"10.208.0.0/14\", \"fd00:208::/29\"");
    assert!(plan("--size 15").succeeds().out.starts_with(
        "Free in 10.208.0.0/14, by the records, reserved ranges and networks that are known \
             here:\n  10.208.0.0/15\nTo use one:\n"
    ));
    assert!(
        plan("--size 48")
            .succeeds()
            .out
            .contains("  fd00:208::/48\n")
    );
    assert!(
        plan("--pool 10.216.0.0/14")
            .succeeds()
            .out
            .contains("  10.216.0.0/16\n")
    );
    plan("--size 8").refuses(&["error: --size 8 does not fit into 10.208.0.0/14; say 14 to 32"]);

    pools("\"10.208.0.1/14\"");
    let place = workspace.place("acme/gateway.toml", "10.208.0.1/14");
    let answer = plan("");
    assert_eq!(answer.code, 64);
    assert!(
        answer.err.contains("did you mean 10.208.0.0/14?"),
        "{place}: {}",
        answer.err
    );
}
