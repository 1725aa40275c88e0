//! `ringway recipe ipsec`: both ends have the same values, the networks are filled in, and no key
//! is printed.

use super::workspace::Workspace;

const PEERS: &str = "--peer 198.51.100.20 --peer 198.51.100.21";

const VENDORS: [&str; 5] = ["huawei", "h3c", "cisco", "fortinet", "strongswan"];

/// Acme with the data centre idc, and beta as a member.
fn acme() -> Workspace {
    let workspace = Workspace::new();
    workspace.init(
        "acme",
        "--site east=10.211.16.0/22,fd00:211::/48 --endpoint 203.0.113.9:4600",
    );
    workspace.init("beta", "--site west=10.212.0.0/16,fd00:212::/48");
    workspace.add("beta/beta.member.toml").succeeds();
    let add = "site add idc=10.213.0.0/16 --via east -c acme/gateway.toml";
    workspace.ringway(add).succeeds();
    workspace
}

fn ipsec(workspace: &Workspace, options: &str) -> String {
    let command = format!("recipe ipsec {options} -c acme/gateway.toml");
    workspace.ringway(&command).succeeds().out
}

#[test]
fn the_hosts_files_have_two_tunnels_to_the_data_centre() {
    let workspace = acme();
    let text = ipsec(&workspace, PEERS);
    for part in [
        "# file: /etc/swanctl/conf.d/idc.conf, mode 0644\n",
        "    idc-1 {\n        version = 2\n        remote_addrs = 198.51.100.20\n",
        "    idc-2 {\n        version = 2\n        remote_addrs = 198.51.100.21\n",
        "            id = 203.0.113.9\n",
        "local_ts = 0.0.0.0/0\n",
        "idc-1) interface=ipsec1 id=46001 metric=101 ;;\n",
        "for prefix in 10.213.0.0/16; do\n",
        "# [[announce]]\n# site = \"idc\"\n# watch = \"kernel\"\n",
        "secret = \"<key 2>\"",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // The data centre has IPv4 alone.
    assert!(!text.contains("::/0"), "{text}");
    let selectors = ipsec(&workspace, "--policy-based");
    assert!(
        selectors.contains("local_ts = 10.211.16.0/22, 10.212.0.0/16\n"),
        "{selectors}"
    );
    assert!(selectors.contains("remote_ts = 10.213.0.0/16\n"));
    assert!(selectors.contains("remote_addrs = <address 2>\n"));
    let one = ipsec(&workspace, "--peer 198.51.100.20 --certificate");
    assert!(!one.contains("idc-2") && !one.contains("secret"), "{one}");
    assert!(one.contains("auth = pubkey\n            certs = idc.crt\n"));
}

#[test]
fn a_form_has_every_value_in_either_language_and_the_devices_commands() {
    let workspace = acme();
    for vendor in VENDORS {
        for (language, words) in [("en", "Dead peer detection"), ("zh", "对等体存活检测")] {
            let text = ipsec(
                &workspace,
                &format!("{PEERS} --form {vendor} --language {language}"),
            );
            for part in [
                words,
                "203.0.113.9",
                "198.51.100.21",
                "AES-256-CBC",
                "14 (2048-bit MODP)",
                "86400",
                "3600",
                "1400, 1360",
                "    10.212.0.0/16                     beta west\n",
                "    10.211.16.0/22                    acme east\n",
            ] {
                assert!(text.contains(part), "{vendor} {language}: {part}: {text}");
            }
            assert!(!text.contains("fd00:"), "{text}");
            let of_keys = text.lines().filter(|line| {
                line.contains("pre-shared-key")
                    || line.contains("psksecret")
                    || line.contains("secret =")
            });
            assert!(of_keys.clone().all(|line| line.contains("<key ")), "{text}");
            assert!(of_keys.count() >= 2, "{text}");
        }
    }

    let cisco = ipsec(&workspace, &format!("{PEERS} --form cisco"));
    assert!(
        cisco.contains("ip route 10.211.16.0 255.255.252.0 Tunnel2 2\n"),
        "{cisco}"
    );
    let huawei = ipsec(&workspace, &format!("{PEERS} --form huawei"));
    let route = "ip route-static 10.212.0.0 16 Tunnel1 preference 60\n";
    assert!(huawei.contains(route), "{huawei}");
}

#[test]
fn the_clouds_vpn_needs_prefixes_and_routes() {
    let workspace = acme();
    let text = ipsec(&workspace, "--cloud");
    assert!(text.contains("#      10.213.0.0/16\n"), "{text}");
    assert!(
        text.contains("#      10.212.0.0/16\n#      fd00:212::/48\n"),
        "{text}"
    );
    assert!(!text.contains("site add"), "{text}");

    workspace
        .ringway("site remove idc -c acme/gateway.toml")
        .succeeds();
    let text = ipsec(&workspace, "--cloud");
    assert!(
        text.contains("ringway site add idc=<prefix of the data centre> --via east"),
        "{text}"
    );
}

#[test]
fn what_is_not_clear_is_refused() {
    let workspace = acme();
    let run = |options: &str| {
        let command = format!("recipe ipsec {options} -c acme/gateway.toml");
        workspace.ringway(&command)
    };
    let twice = "--peer 198.51.100.20 --peer 198.51.100.20";
    run(twice).refuses(&[
        "error: two tunnels need two addresses of the other end, and --peer names one twice",
    ]);
    run(&format!("{PEERS} --peer 198.51.100.22"))
        .refuses(&["error: at most two tunnels: --peer twice"]);
    run("--site dc").refuses(&[
        "error: no such site is served via east: add it first with ringway site add dc=… \
         --via east",
    ]);

    let second = "site add mill=10.214.0.0/16 --via east -c acme/gateway.toml";
    workspace.ringway(second).succeeds();
    run("").refuses(&["error: several sites are served here: name one with --site"]);
    let text = ipsec(&workspace, "--site acme/mill");
    assert!(
        text.contains("mill-1) interface=ipsec3 id=46003 metric=101 ;;\n"),
        "{text}"
    );
}
