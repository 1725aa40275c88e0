//! Every verb has help, and a wrong command line has another exit code than a failure.

use super::workspace::Workspace;

#[test]
fn every_verb_has_help_with_an_example() {
    let workspace = Workspace::new();
    let verbs = "org init,member show,member list,member add,member remove,record upgrade,\
                 record diff,record edit,record take,gateway add,gateway set,gateway remove,\
                 site add,site set,site transit add,site transit remove,site remove,\
                 revoke gateway,revoke key,cert show,cert renew,cert request,cert sign,check,\
                 dns add,dns remove,dns query,dns zones,dns export,dns check,policy show,\
                 policy test,policy denied,policy allow,plan,recipe,recipe ipsec,\
                 recipe chaincode,chaincode isolate,doctor,run,reload,gather,status,metrics,\
                 version";
    for verb in verbs.split(',') {
        let help = workspace.ringway(&format!("{verb} --help")).succeeds().out;
        assert!(help.contains("\nExample"), "{verb}: {help}");
        assert!(
            help.contains(&format!("  ringway {verb}")),
            "{verb}: {help}"
        );
    }
}

#[test]
fn a_wrong_command_line_is_64_on_stderr() {
    let workspace = Workspace::new();
    let wrong = [
        "",
        "fly",
        "check --fast",
        "org init",
        "gateway",
        "gateway add GW",
        "gateway set gw",
        "site set east",
        "revoke key sha256:00",
        "revoke gateway gw -c gateway.toml --record acme.member.toml",
        "cert sign",
        "recipe",
        "recipe powerdns",
        "recipe ipsec --language zh",
        "recipe ipsec --cloud --form huawei",
        "chaincode",
        "chaincode isolate --bridge br-cc",
        "chaincode isolate --bridge br/cc --peer 10.1.0.11",
        "chaincode isolate --bridge br-cc --peer peer0",
        "chaincode isolate --bridge br-cc --peer 10.1.0.11 --remove",
        "plan --pool 10.0.0.1/8",
        "member",
        "member remove Beta",
        "dns",
        "dns query a..b",
        "dns query a WHAT",
        "dns query a -c gateway.toml --zone-file a.zone",
        "policy",
        "policy test beta peer0",
        "policy test beta peer0 --port 7051 --service fabric-peer",
        "policy test beta --port 7051",
        "policy allow --to peer0 --port 7051",
        "policy allow --from beta --to peer0",
        "check --log xml",
        "--log-level =",
    ];
    for arguments in wrong {
        let answer = workspace.ringway(arguments);
        assert_eq!(
            (answer.code, answer.out.as_str()),
            (64, ""),
            "{arguments:?}: {}",
            answer.err
        );
        assert!(!answer.err.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_version_is_an_answer() {
    let answer = Workspace::new().ringway("--version").succeeds();
    assert_eq!(
        answer.out,
        format!("ringway {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn an_option_that_makes_no_sense_says_what_would() {
    let workspace = Workspace::new();
    let init = |options: &str| {
        let answer = workspace.ringway(&format!(
            "org init acme --domain consortium.example {options}"
        ));
        assert_eq!(answer.code, 64);
        answer.err.lines().next().unwrap().to_owned()
    };
    assert_eq!(
        init("--site east=10.1.0.5/16"),
        "error: invalid value 'east=10.1.0.5/16' for '--site <NAME=PREFIX[,PREFIX…]>': \
         10.1.0.5/16 has host bits set; did you mean 10.1.0.0/16?"
    );
    assert_eq!(
        init("--site 10.1.0.0/16"),
        "error: invalid value '10.1.0.0/16' for '--site <NAME=PREFIX[,PREFIX…]>': \
         \"10.1.0.0/16\" is not name=prefix[,prefix…] such as east=10.1.0.0/16,fd00:1::/48"
    );
    assert_eq!(
        init("--site east=10.1.0.0/16 --dns-listen host"),
        "error: invalid value 'host' for '--dns-listen <ADDRESS[:PORT]>': \
         \"host\" is not an address such as 10.1.0.1 or [fd00::1]:53"
    );
}
