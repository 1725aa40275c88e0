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

/// Planted where nobody expects them, each with what only one check finds: in settings, and in
/// what a program of the host prints.
const FILE: &str = r#"
# it said hunter2-comment
[proxy]
login = "hunter2-setting"
code = "h2-pw"
number = 24681357
inner = { key = "hunter2-inner", list = ["hunter2-array"] }
[http]
listen = "https://acme:hunter2-login@10.1.0.1:9460"
[ha]
on-active = ["/usr/bin/aws", "hunter2-argument", "h2-ar"]
on-standby = "h2-st"
[[dns.record]]
name = "key"
type = "TXT"
data = "-----BEGIN EC PRIVATE KEY-----\nhunter2-inline\n-----END EC PRIVATE KEY-----\n"
"#;

/// What stands alone here is known from the file or the environment.
const PRINTED: &str = r#"
kept: 10.1.0.1:4600 at 12:30:00, fd00::1
said: hunter2-setting hunter2-inner hunter2-array hunter2-login hunter2-argument
said: hunter2 pin, hunter2-variable, hunter2"quoted hunter2\"quoted prefix-hunter2-tail
x pkcs11:token=kept-label;pin-value=hunter2-pin1;object=kept
x pkcs11:object=kept token=hunter2-o
x 'pkcs11:a?pin-value=hunter2-pin2'&pin-value=hunter2-pin3&kept
x "pkcs11:a?pin-value=hunter2-pin4" pin-value=hunter2-pin5 kept
https://acme:hunter2-url@registry.example/kept https://hunter2-user@registry.example/kept
password = hunter2-a; my-passwd: hunter2-b
"passphrase": "hunter2-c", AWS_SECRET_KEY='hunter2-d' session_token=hunter2-e
psk=hunter2-f preshared-key=hunter2-g PrivateKey = hunter2-h api-key:hunter2-i
access_key=hunter2-j comment "credentials=hunter2-k" comment \"credential=hunter2-l\"
Authorization: Bearer hunter2-m
Authorization: Basic hunter2-n
  -----BEGIN RSA PRIVATE KEY-----
hunter2-pem
-----END RSA PRIVATE KEY-----
kept at the end
"#;

#[test]
fn no_secret_leaves_whatever_the_file_says_and_a_program_prints() {
    let workspace = Workspace::with_acme_and_beta();
    let file = workspace.read("acme/gateway.toml");
    let (head, rest) = file.split_once("[identity]").unwrap();
    let key = "key = \"pkcs11:token=kept;object=gateway;pin-value=hunter2 pin\"";
    let rest = rest.replace("key = \"gateway.key\"", key);
    assert!(rest.contains(key), "{rest}");
    workspace.write(
        "acme/gateway.toml",
        &format!("{head}[identity]{rest}{FILE}"),
    );
    workspace.write("printed", PRINTED);
    workspace.write("nft", "#!/bin/sh\ncat printed\n");

    let gathered = workspace.offline(
        "install -D nft bin/nft; PATH=$PWD/bin:$PATH RINGWAY_PIN=hunter2-variable \
         A_TOKEN='hunter2\"quoted' B_TOKEN=prefix C_TOKEN=prefix-hunter2-tail \
         \"$ringway\" gather -c acme/gateway.toml",
    );
    let gathered = gathered.succeeds().out;
    assert!(!gathered.contains("hunter2"), "{gathered}");

    // Too short to be looked for elsewhere.
    let settings = gathered.split("\n===== ");
    let settings = settings.filter(|part| part.starts_with("acme/gateway.toml"));
    let settings: String = settings.collect();
    for secret in ["h2-pw", "24681357", "h2-ar", "h2-st"] {
        assert!(!settings.contains(secret), "{secret}: {settings}");
    }
    assert_eq!(settings.matches("token=kept").count(), 1, "{settings}");
    let printed = gathered.split("\n===== nft list ruleset\n").nth(1).unwrap();
    assert_eq!(printed.matches("kept").count(), 9, "{printed}");
}
