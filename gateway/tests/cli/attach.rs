//! The commands of an attached node, with an operator's mistakes.

use crate::workspace::Workspace;

/// beta, whose gateway can be dialled, and its node db1 at 10.212.9.9.
fn workspace() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace
        .ringway(
            "attach init db1 --record beta/beta.member.toml --address 10.212.9.9 --dir db1 \
             --ca beta/ca",
        )
        .succeeds();
    workspace
}

#[test]
fn a_certificate_that_is_not_the_nodes_is_named_with_what_to_do() {
    let workspace = workspace();
    workspace
        .ringway(
            "attach init db2 --record beta/beta.member.toml --address 10.212.9.8 --dir db2 \
             --ca beta/ca",
        )
        .succeeds();
    let check = || workspace.ringway("check -c db1/node.toml");

    workspace.copy("db2/node.crt", "db1/node.crt");
    workspace.copy("db2/node.key", "db1/node.key");
    check().refuses(&[
        "db1/node.crt: there is no [[node]] db2 here; have the CA sign one for node:db1.beta, or \
         correct node",
    ]);
    workspace.copy("beta/gateway.crt", "db1/node.crt");
    workspace.copy("beta/gateway.key", "db1/node.key");
    check().refuses(&["db1/node.crt: is the certificate of gw.beta; this node is node:db1.beta"]);

    std::fs::remove_file(workspace.path().join("db1/node.crt")).unwrap();
    check().refuses(&[
        "db1/node.crt: cannot be read (No such file or directory (os error 2)); ringway attach \
         init makes it, or a request that ringway cert sign answers, or set [identity] certificate",
    ]);
}

#[test]
fn the_file_of_a_gateway_is_no_nodes() {
    let workspace = workspace();
    let refused = workspace.offline("$ringway attach run -c beta/gateway.toml");
    refused.refuses(&[
        "beta/gateway.toml: is the file of a gateway; ringway run -c beta/gateway.toml runs it, \
         and ringway attach init makes the file of an attached node",
    ]);
}

#[test]
fn what_only_gateways_know_is_refused_at_a_node() {
    let workspace = workspace();
    for command in [
        "member list",
        "dns query gw.beta.consortium.example",
        "dns zones",
    ] {
        let answer = workspace.ringway(&format!("{command} -c db1/node.toml"));
        assert_eq!(answer.code, 64, "{command}: {}", answer.out);
        for part in ["the file of an attached node", "at one of its gateways"] {
            assert!(answer.err.contains(part), "{command}: {}", answer.err);
        }
    }
}

#[test]
fn doctor_says_first_that_no_daemon_answers() {
    let workspace = workspace();
    let answer = workspace.ringway("doctor -c db1/node.toml");
    assert!(
        answer.out.starts_with("No daemon answers"),
        "{}",
        answer.out
    );
    assert!(
        answer.out.contains("ringway attach run -c "),
        "{}",
        answer.out
    );
}

#[test]
fn a_node_cannot_be_revoked_as_a_gateway() {
    let workspace = workspace();
    workspace
        .ringway("node add db1 --prefix 10.212.9.9/32 -c beta/gateway.toml")
        .succeeds();

    let answer = workspace.ringway("revoke gateway db1 -c beta/gateway.toml");
    assert_eq!(answer.code, 64);
    for part in ["ringway node remove db1", "ringway revoke key sha256:"] {
        assert!(answer.err.contains(part), "{}", answer.err);
    }
}

#[test]
fn a_resolver_that_cannot_be_configured_is_reported_before_the_start() {
    let workspace = workspace();
    let file = workspace.path().join("resolv.conf");
    let dns = format!("\n[dns]\nresolver = \"{}\"\n", file.display());
    workspace.write("db1/node.toml", &(workspace.read("db1/node.toml") + &dns));
    let check = || workspace.ringway("check -c db1/node.toml");

    let answer = check();
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("cannot read "), "{}", answer.out);
    std::os::unix::fs::symlink("stub", &file).unwrap();
    assert!(check().out.contains("is a link"), "{}", check().out);
    std::fs::remove_file(&file).unwrap();
    workspace.write("resolv.conf", "nameserver 192.0.2.53\n");
    assert!(!check().out.contains("resolver"), "{}", check().out);
}

#[test]
fn purge_takes_out_the_servers_that_a_killed_daemon_has_left() {
    let workspace = workspace();
    let file = workspace.path().join("resolv.conf");
    let dns = format!("\n[dns]\nresolver = \"{}\"\n", file.display());
    workspace.write("db1/node.toml", &(workspace.read("db1/node.toml") + &dns));
    workspace.write(
        "resolv.conf",
        "# ringway: the next lines are those of the consortium's gateways\n\
         nameserver 10.212.0.2\n# ringway: end\nnameserver 192.0.2.53\n",
    );

    let answer = workspace.offline("$ringway purge -c db1/node.toml");
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(answer.out.contains("resolv.conf"), "{}", answer.out);
    assert_eq!(workspace.read("resolv.conf"), "nameserver 192.0.2.53\n");
}
