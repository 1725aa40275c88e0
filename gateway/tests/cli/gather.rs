//! `ringway gather`: all that helps, and nothing that opens.

use super::workspace::Workspace;

#[test]
fn what_is_gathered_helps_and_has_no_secret() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    let mut file = workspace.read("acme/gateway.toml");
    file += "\n# pkcs11:token=ca;pin-value=hunter2\n[ha]\n\
             on-active = [\"/usr/bin/aws\", \"hunter2\"]\n";
    file += &format!(
        "# {}",
        workspace.read("acme/gateway.key").replace('\n', "\n# ")
    );
    workspace.write("acme/gateway.toml", &file);

    let gathered = workspace
        .ringway("gather -c acme/gateway.toml")
        .succeeds()
        .out;
    for part in [
        "read it before you hand it out",
        "===== ringway version\n",
        "===== ringway check -c acme/gateway.toml\n",
        "===== ringway status --all -c acme/gateway.toml\n",
        "===== ringway policy show -c acme/gateway.toml\n",
        "===== acme/gateway.toml\n",
        "===== nft list ruleset\n",
        "\"on-active\": [\n      \"/usr/bin/aws\",\n      \"(removed)\"\n    ]",
        "beta",
        "10.212.0.0/16",
        "no running gateway answers",
    ] {
        assert!(gathered.contains(part), "{part}: {gathered}");
    }

    assert!(!gathered.contains("hunter2"), "{gathered}");
    assert!(!gathered.contains("PRIVATE KEY"), "{gathered}");
    for key in [
        "acme/gateway.key",
        "acme/ca/ca.key",
        "beta/gateway.key",
        "beta/ca/ca.key",
    ] {
        let pem = workspace.read(key);
        for line in pem.lines().filter(|line| !line.starts_with('-')) {
            assert!(!gathered.contains(line), "a line of {key}: {gathered}");
        }
    }
}

/// Planted where an operator may leave them: settings that there are not, whose names and values
/// the faults quote, and the parts of URIs.
#[test]
fn no_secret_leaves_from_a_setting_that_is_wrong() {
    let workspace = Workspace::with_acme_and_beta();
    let file = workspace.read("acme/gateway.toml");
    for planted in [
        "psk = \"hunter2hunter2\"",
        "wireguard-private-key = \"hunter2hunter2=\"",
        "[proxy]\nurl = \"https://acme:hunter2hunter2@proxy.example/\"",
        "[cloud]\nlogin = { user = \"acme\", credentials = [\"hunter2hunter2\"] }",
        "[http]\nlisten = \"https://acme:hunter2hunter2@10.1.0.1:9460\"",
        "[ha]\non-active = \"/usr/bin/aws --key=hunter2hunter2\"",
    ] {
        let (head, rest) = file.split_once("[identity]").unwrap();
        let changed = format!("{head}{planted}\n[identity]{rest}");
        workspace.write("acme/gateway.toml", &changed);
        let gather = workspace.ringway("gather -c acme/gateway.toml");
        let gathered = gather.succeeds().out;
        assert!(!gathered.contains("hunter2"), "{planted}: {gathered}");
    }

    let key = "key = \"pkcs11:token=a;object=gateway;pin-value=hunter2 hunter2\"";
    let pin = file.replace("key = \"gateway.key\"", key);
    assert_ne!(pin, file);
    workspace.write("acme/gateway.toml", &pin);
    let gather = workspace.ringway("gather -c acme/gateway.toml");
    let gathered = gather.succeeds().out;
    assert!(!gathered.contains("hunter2"), "{gathered}");
    assert!(gathered.contains("pin-value=(removed)"), "{gathered}");
}

#[test]
fn a_file_that_is_wrong_is_gathered_around() {
    let workspace = Workspace::with_acme_and_beta();
    workspace.write("acme/gateway.toml", "version = 1 hunter2\n");

    let gathered = workspace
        .ringway("gather -c acme/gateway.toml")
        .succeeds()
        .out;
    assert!(gathered.contains("(it is no TOML)"), "{gathered}");
    assert!(gathered.contains("===== ip address\n"), "{gathered}");
}
