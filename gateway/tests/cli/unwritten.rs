//! Commands that would write files but are refused: they quote the line, which no file has, and
//! name only lines that the reader can look up.

use super::workspace::Workspace;

/// Every `file:line:column` that a text names.
fn places(text: &str) -> Vec<(String, usize)> {
    let words = text.split([' ', '(', ')', ',', ';', '\n']);
    let places = words.filter_map(|word| {
        let mut parts = word.trim_end_matches(':').split(':');
        let file = parts.next()?.to_owned();
        let line = parts.next()?.parse().ok()?;
        file.ends_with(".toml").then_some((file, line))
    });
    places.collect()
}

/// acme with a host, a rule and beta among its members.
fn acme() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
        .ringway("dns add peer0=10.211.0.11:7051 -c acme/gateway.toml")
        .succeeds();
    workspace
}

/// What a command says that is refused.
#[track_caller]
fn refused(workspace: &Workspace, command: &str) -> String {
    let answer = workspace.ringway(command);
    assert_eq!(answer.code, 64, "{command}: {answer:?}");
    answer.err
}

#[test]
fn a_refused_edit_quotes_the_line_that_it_would_have_written() {
    let workspace = acme();
    let before = workspace.list(".");
    let texts = || {
        let files = ["acme/gateway.toml", "acme/acme.member.toml"];
        files.map(|file| workspace.read(file))
    };
    let written = texts();

    for (command, line) in [
        (
            "policy allow --from nosuch --to peer0 --service fabric-peer",
            "from = \"nosuch\"",
        ),
        (
            "policy allow --from beta --to nosuch --service fabric-peer",
            "[[policy.allow]]",
        ),
        (
            "policy allow --from beta --to peer0 --service nosuch",
            "service = \"nosuch\"",
        ),
        ("dns add a..b=10.211.0.12", "name = \"a..b\""),
        (
            "dns add one=10.211.0.1 two=10.211.0.2 three=10.9.0.3",
            "addresses = [\"10.9.0.3\"]",
        ),
        (
            "dns add peer0=10.9.0.3",
            "addresses = [\"10.211.0.11\", \"10.9.0.3\"]",
        ),
        ("dns add two=10.211.0.2 --service x", "services = [\"x\"]"),
        (
            "site add more --prefix 10.212.0.0/16",
            "prefixes = [\"10.212.0.0/16\"]",
        ),
        (
            "site add more --prefix 10.213.0.0/16 --via nosuch",
            "via = \"nosuch\"",
        ),
        ("gateway set gw --site nosuch", "site = \"nosuch\""),
        (
            "gateway add gw2 --endpoint a.example:1 --endpoint a.example:1",
            "endpoints = [\"a.example:1\", \"a.example:1\"]",
        ),
        (
            "gateway add gw2 --dns-listen 10.211.0.1:53 --dns-listen 10.211.0.1:53",
            "listen = [\"10.211.0.1:53\", \"10.211.0.1:53\"]",
        ),
    ] {
        let error = refused(&workspace, &format!("{command} -c acme/gateway.toml"));
        assert!(
            error.contains(&format!("(new line: {line}): ")),
            "{command}: {error}"
        );
        for (file, number) in places(&error) {
            let lines = workspace.read(&file).lines().count();
            assert!(number <= lines, "{command}: {error}");
        }
        assert_eq!(workspace.list("."), before, "{command}");
        assert_eq!(texts(), written, "{command}");
    }
}

#[test]
fn lines_that_stay_are_named_where_they_are() {
    let workspace = acme();
    // The serial above it and the lines below change; what the fault names does not.
    let error = refused(
        &workspace,
        "site add more --prefix 10.211.4.0/24 -c acme/gateway.toml",
    );
    let known = workspace.place("acme/acme.member.toml", "10.211.0.0/16");
    assert!(error.contains(&known), "{known}: {error}");
}

#[test]
fn an_organization_that_is_not_created_quotes_its_third_host() {
    let workspace = Workspace::new();
    let hosts = "--host one=10.1.0.1 --host two=10.1.0.2 --host three=10.9.0.3";
    for (options, line) in [
        (hosts, "addresses = [\"10.9.0.3\"]"),
        ("--allow nosuch", "service = [\"nosuch\"]"),
        ("--host a..b=10.1.0.1", "name = \"a..b\""),
        ("--site east=10.2.0.0/16", "name = \"east\""),
    ] {
        let new = "org init acme --domain c.example --dir new --site east=10.1.0.0/16";
        let error = refused(&workspace, &format!("{new} {options}"));
        assert!(error.contains(&format!("(new line: {line}): ")), "{error}");
        assert_eq!(places(&error), [], "{error}");
        assert!(!workspace.exists("new"));
    }
}
