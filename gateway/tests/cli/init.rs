//! `ringway org init`.

use super::workspace::Workspace;

/// `openssl` commands that make a CA in the directory `own`, to the documented rules.
fn make_ca(workspace: &Workspace) {
    workspace.openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj \
         /O=acme/CN=own \
         -addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext \
         keyUsage=critical,keyCertSign,cRLSign \
         -keyout ca.key -out ca.crt",
    );
}

#[test]
fn makes_files_that_check_finds_in_order() {
    let workspace = Workspace::new();
    workspace.init(
        "acme",
        "--site east=10.211.0.0/16,fd00:211::/48 --endpoint gw.acme.example:4600",
    );
    let files = [
        "acme.member.toml",
        "ca/",
        "ca/ca.crt",
        "ca/ca.key",
        "gateway.crt",
        "gateway.key",
        "gateway.toml",
        "members/",
    ];
    assert_eq!(workspace.list("acme"), files);
    for secret in ["acme/ca/ca.key", "acme/gateway.key"] {
        assert_eq!(workspace.mode(secret), 0o600, "{secret}");
    }
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn says_what_it_made_and_what_comes_next() {
    let workspace = Workspace::new();
    let answer = workspace
        .ringway("org init acme --domain consortium.example --site east=10.211.0.0/16")
        .succeeds();
    let fingerprint = workspace.fingerprint("acme.member.toml");
    let expected = format!(
        "Organization acme of consortium.example, gateway gw
  CA           ca/ca.crt  ca/ca.key (move it away: the gateway does not need it)
  gateway      gateway.toml  gateway.crt  gateway.key
  record       acme.member.toml
  fingerprint  {fingerprint}
warning: nobody can dial this gateway, which has no --endpoint; it meets only gateways that have one
warning: no DNS is served to the hosts of east; name an address of this host with --dns-listen

Next:
  1. Give the record to the other organizations, and its fingerprint over a second channel.
  2. Add their records:      ringway member add <file> -c gateway.toml --fingerprint sha256:…
  3. Check everything:       ringway check -c gateway.toml
  4. Start the gateway:      ringway run -c gateway.toml
"
    );
    assert_eq!(answer.out, expected);
}

#[test]
fn writes_what_it_was_told() {
    let workspace = Workspace::new();
    workspace.init(
        "acme",
        "--gateway edge --site east=10.211.0.0/16 --site west=10.213.0.0/16 --endpoint \
         203.0.113.9:4700 \
         --endpoint [2001:db8::9]:4700 --listen [::]:4700 --dns-listen 10.211.0.1 --dns-listen \
         10.211.0.2:5353",
    );
    let shown = workspace
        .ringway("member show acme/acme.member.toml")
        .succeeds()
        .out;
    assert!(
        shown.contains("gateway edge  at east, dialled at 203.0.113.9:4700, [2001:db8::9]:4700\n"),
        "{shown}"
    );
    assert!(shown.contains("site west     10.213.0.0/16\n"), "{shown}");
    let config = workspace.read("acme/gateway.toml");
    for line in [
        "site = \"east\"",
        "listen = \"[::]:4700\"",
        "listen = [\"10.211.0.1\", \"10.211.0.2:5353\"]",
    ] {
        assert!(config.contains(&format!("\n{line}\n")), "{line}: {config}");
    }
    workspace.ringway("check -c acme/gateway.toml").succeeds();
}

#[test]
fn hosts_and_services_need_no_editor() {
    let workspace = Workspace::new();
    let out = workspace.ringway(
        "org init acme --dir acme --domain consortium.example --site east=10.211.0.0/16 --endpoint \
         203.0.113.9:4600 --dns-listen 10.211.0.1 --host peer0=10.211.0.11:7051 --host \
         ca=10.211.0.12,10.211.0.13:7054 --allow fabric-peer",
    );
    let out = out.succeeds().out;
    assert!(!out.contains("warning"), "{out}");
    let config = workspace.read("acme/gateway.toml");
    assert!(
        config.contains("\nservice = [\"fabric-peer\"]\n"),
        "{config}"
    );
    let query = "dns query _peer._tcp.peer0.acme.consortium.example SRV -c acme/gateway.toml";
    let answer = workspace.ringway(query).succeeds().out;
    assert!(
        answer.contains("7051 peer0.acme.consortium.example"),
        "{answer}"
    );
    let rules = workspace
        .ringway("policy show -c acme/gateway.toml")
        .succeeds()
        .out;
    assert!(rules.contains("7051") && !rules.contains("7050"), "{rules}");
}

#[test]
fn hosts_elsewhere_unknown_services_and_public_ranges_are_refused() {
    let workspace = Workspace::new();
    for (options, part) in [
        ("--host peer0=10.212.0.1", "10.212.0.1"),
        ("--allow fabric-per", "fabric-peer"),
        (
            "--site west=203.0.113.0/24",
            "203.0.113.0/24: not private address space",
        ),
    ] {
        let answer = workspace.ringway(&format!(
            "org init acme --domain consortium.example --site east=10.211.0.0/16 {options}"
        ));
        assert!(answer.code == 64 && answer.err.contains(part), "{answer:?}");
        assert_eq!(workspace.list("."), Vec::<String>::new());
    }
    workspace
        .ringway("org init acme --domain consortium.example --site a=203.0.113.0/24 --public")
        .succeeds();
}

#[test]
fn overwrites_nothing_and_says_what_is_in_the_way() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    let before: Vec<_> = ["ca/ca.key", "gateway.key", "gateway.toml"]
        .map(|name| workspace.read(&format!("acme/{name}")))
        .into();
    let again = workspace
        .ringway("org init acme --domain consortium.example --site east=10.211.0.0/16 --dir acme");
    again.refuses(&[
        "acme/acme.member.toml: is the record of acme already, and a new one would leave its \
         gateways out; add this one to it with ringway gateway add gw --record \
         acme/acme.member.toml",
    ]);
    workspace
        .ringway("org init beta --domain consortium.example --site west=10.212.0.0/16 --dir acme")
        .refuses(&[
            "acme/ca/ca.crt: is there already; nothing is overwritten, choose another --dir",
            "acme/ca/ca.key: is there already; nothing is overwritten, choose another --dir",
            "acme/gateway.crt: is there already; nothing is overwritten, choose another --dir",
            "acme/gateway.key: is there already; nothing is overwritten, choose another --dir",
            "acme/gateway.toml: is there already; nothing is overwritten, choose another --dir",
        ]);
    let after: Vec<_> = ["ca/ca.key", "gateway.key", "gateway.toml"]
        .map(|name| workspace.read(&format!("acme/{name}")))
        .into();
    assert_eq!(before, after);
}

#[test]
fn makes_nothing_beside_a_file_that_is_there() {
    let workspace = Workspace::new();
    workspace.write("gateway.key", "precious");
    let answer =
        workspace.ringway("org init acme --domain consortium.example --site east=10.211.0.0/16");
    answer
        .refuses(&["gateway.key: is there already; nothing is overwritten, choose another --dir"]);
    assert_eq!(workspace.list("."), ["gateway.key"]);
    assert_eq!(workspace.read("gateway.key"), "precious");
}

#[test]
fn removes_everything_when_the_result_has_faults() {
    let workspace = Workspace::new();
    let sites = "--site a=10.216.0.0/16 --site b=10.216.4.0/24";
    let answer = workspace.ringway(&format!(
        "org init acme --domain consortium.example {sites} --dir new/acme"
    ));
    answer.refuses(&[
        "new/acme/acme.member.toml (new line: prefixes = [\"10.216.4.0/24\"]): 10.216.4.0/24 (org \
         acme, site b) overlaps 10.216.0.0/16 (org acme, site a, new/acme/acme.member.toml (new \
         line: prefixes = [\"10.216.0.0/16\"]))",
    ]);
    assert_eq!(workspace.list("."), Vec::<String>::new());
}

#[test]
fn signs_with_a_ca_made_by_openssl() {
    let workspace = Workspace::new();
    make_ca(&workspace);
    let answer = workspace.ringway(
        "org init acme --domain consortium.example --site east=10.211.0.0/16 --ca . --dir gw",
    );
    assert!(
        answer
            .succeeds()
            .out
            .contains("\n  CA           . (unchanged)\n")
    );
    assert!(!workspace.exists("gw/ca"));
    workspace.openssl("verify -x509_strict -CAfile ca.crt gw/gateway.crt");
    let checked = workspace.ringway("check -c gw/gateway.toml").succeeds().out;
    assert!(checked.contains("\nO=acme, CN=own  20"), "{checked}");
}

#[test]
fn refuses_a_ca_whose_key_is_another() {
    let workspace = Workspace::new();
    make_ca(&workspace);
    workspace.openssl("ecparam -name prime256v1 -genkey -noout -out ca.key");
    let init =
        "org init acme --domain consortium.example --site east=10.211.0.0/16 --ca . --dir gw";
    workspace
        .ringway(init)
        .refuses(&[".: the CA key is not the key of the CA certificate"]);
    assert!(!workspace.exists("gw"));
}

#[test]
fn refuses_to_sign_with_what_is_no_ca() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    workspace.copy("acme/gateway.crt", "ca.crt");
    workspace.copy("acme/gateway.key", "ca.key");
    let init =
        "org init acme --domain consortium.example --site east=10.211.0.0/16 --ca . --dir gw";
    workspace.ringway(init).refuses(&[
        ".: the CA certificate cannot be used: it needs basicConstraints CA:TRUE and keyUsage \
         keyCertSign",
    ]);
}

#[test]
fn a_ca_that_is_not_there_is_a_failure() {
    let workspace = Workspace::new();
    let answer = workspace.ringway(
        "org init acme --domain consortium.example --site east=10.211.0.0/16 --ca vault --dir gw",
    );
    assert_eq!(
        answer.err,
        "error: cannot read vault/ca.crt: No such file or directory (os error 2)\n"
    );
    assert_eq!(answer.code, 1);
}
