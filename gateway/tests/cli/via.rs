//! `ringway site add | set --via` and `ringway site transit`: a site that the gateways of another
//! one serve, and the consent of another organization.

use super::workspace::Workspace;

const RECORD: &str = "acme/acme.member.toml";
const HERE: &str = "-c acme/gateway.toml";

/// Acme and beta, each with the other as a member.
fn consortium() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
}

#[track_caller]
fn changes(workspace: &Workspace, command: &str, lines: &[&str]) -> String {
    let out = workspace.ringway(command).succeeds().out;
    for line in lines {
        assert!(out.contains(&format!("\n  {line}\n")), "{line}: {out}");
    }
    out
}

#[track_caller]
fn refuses(workspace: &Workspace, command: &str, part: &str) {
    let before = workspace.read(RECORD);
    let answer = workspace.ringway(command);
    assert_eq!(answer.code, 64, "{command}: {answer:?}");
    assert!(answer.err.contains(part), "{part}: {}", answer.err);
    assert_eq!(workspace.read(RECORD), before, "{command}");
}

#[test]
fn a_site_without_gateways_is_served_via_another_one_of_ours() {
    let workspace = consortium();
    let lines = [
        "+ site idc",
        "+ site idc via east",
        "+ prefix 10.217.0.0/16 of site idc",
    ];
    let add = format!("site add idc=10.217.0.0/16 --via east {HERE}");
    let out = changes(&workspace, &add, &lines);
    assert!(!out.contains("ringway gateway add"), "{out}");

    let shown = workspace
        .ringway(&format!("member show {RECORD}"))
        .succeeds();
    assert!(shown.out.contains("site idc via east"), "{}", shown.out);
    let checked = workspace.ringway(&format!("check {HERE}")).succeeds();
    assert!(checked.out.contains("idc via east"), "{}", checked.out);

    let set = format!("site set idc --no-via {HERE}");
    changes(&workspace, &set, &["- site idc via east"]);
    let again = workspace.ringway(&set).succeeds().out;
    assert!(again.contains("Nothing changes"), "{again}");
}

#[test]
fn what_cannot_serve_a_site_is_named() {
    let workspace = consortium();
    let add = format!("site add idc=10.217.0.0/16 --via east {HERE}");
    workspace.ringway(&add).succeeds();

    for (command, part) in [
        (
            "site add two=10.218.0.0/16 --via esat",
            "there is no site esat in this record",
        ),
        (
            "site add two=10.218.0.0/16 --via idc",
            "site idc is itself served via east",
        ),
        (
            "site add two=10.218.0.0/16 --via two",
            "cannot be served via itself",
        ),
        (
            "site add two=10.212.7.0/24 --via east",
            "overlaps 10.212.0.0/16",
        ),
        ("gateway add gw9 --site idc", "site idc is served via east"),
        ("site transit add acme/idc", "needs no consent"),
        (
            "site transit remove beta/idc",
            "there is no consent for beta/idc",
        ),
    ] {
        refuses(&workspace, &format!("{command} {HERE}"), part);
    }
    refuses(
        &workspace,
        &format!("gateway remove gw --record {RECORD}"),
        "site east has no gateway that could serve idc",
    );
}

#[test]
fn another_organizations_site_serves_ours_once_it_consents() {
    let workspace = consortium();
    let add = format!("site add idc=10.217.0.0/16 --via beta/west {HERE}");
    let out = changes(&workspace, &add, &["+ site idc via beta/west"]);
    assert!(out.contains("ringway site transit add acme/idc"), "{out}");
    let checked = workspace.ringway(&format!("check {HERE}"));
    assert_eq!(checked.code, 64);
    let reason = "the record of beta does not consent to it";
    assert!(
        checked.out.contains(&format!("refused: {reason}")),
        "{}",
        checked.out
    );
    assert!(
        checked.err.contains("site acme/idc is refused"),
        "{}",
        checked.err
    );

    let there = "-c beta/gateway.toml";
    let consent = format!("site transit add acme/idc {there}");
    let out = changes(&workspace, &consent, &["+ transit for acme/idc"]);
    assert!(
        out.contains("ringway site set idc --via beta/<site>"),
        "{out}"
    );
    let taken = workspace.add("beta/beta.member.toml").succeeds().out;
    assert!(taken.contains("+ transit for acme/idc"), "{taken}");
    workspace.ringway(&format!("check {HERE}")).succeeds();

    // The consent is withdrawn: taking the record shows what that means.
    let withdraw = format!("site transit remove acme/idc {there}");
    changes(&workspace, &withdraw, &["- transit for acme/idc"]);
    let taken = workspace.add("beta/beta.member.toml").succeeds().out;
    assert!(taken.contains("- transit for acme/idc"), "{taken}");
    assert!(
        taken.contains("warning: ") && taken.contains(reason),
        "{taken}"
    );
    assert_eq!(workspace.ringway(&format!("check {HERE}")).code, 64);
}
