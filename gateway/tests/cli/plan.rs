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
