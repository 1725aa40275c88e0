//! `ringway recipe`: everything is filled in, and the real programs accept it.

use std::path::Path;

use super::workspace::Workspace;

/// Acme with beta as a member, and a DNS server.
fn acme() -> Workspace {
    let workspace = Workspace::new();
    workspace.init(
        "acme",
        "--site east=10.211.16.0/22,fd00:211::/48 --dns-listen 10.211.16.1 --endpoint \
         203.0.113.9:4600",
    );
    workspace.init("beta", "--site west=10.212.0.0/16");
    workspace.add("beta/beta.member.toml").succeeds();
    workspace
}

fn recipe(workspace: &Workspace, resolver: &str) -> String {
    let command = format!("recipe {resolver} --server 10.211.16.2 -c acme/gateway.toml");
    workspace.ringway(&command).succeeds().out
}

#[test]
fn every_recipe_has_the_domain_the_reverse_zones_and_all_gateways() {
    let workspace = acme();
    let all = "unbound bind dnsmasq coredns resolved route53 azure clouddns privatezone";
    for resolver in all.split(' ') {
        let text = recipe(&workspace, resolver);
        let reverse = if resolver == "dnsmasq" {
            ["10.212.0.0/16", "10.211.16.0/22", "fd00:211::/48"]
        } else {
            [
                "212.10.in-addr.arpa",
                "19.211.10.in-addr.arpa",
                "1.1.2.0.0.0.d.f.ip6.arpa",
            ]
        };
        let servers = ["consortium.example", "10.211.16.1", "10.211.16.2"];
        for part in servers.iter().chain(&reverse) {
            assert!(text.contains(part), "{resolver}: {part}: {text}");
        }
    }
    assert_eq!(
        recipe(&workspace, "bind")
            .matches("forwarders { };")
            .count(),
        7
    );
}

#[test]
fn the_programs_accept_their_recipes() {
    let workspace = acme();
    workspace.write("unbound.conf", &recipe(&workspace, "unbound"));
    workspace.write("named.conf", &recipe(&workspace, "bind"));
    workspace.write("dnsmasq.conf", &recipe(&workspace, "dnsmasq"));
    let path = std::env::var("PATH").unwrap_or_default();
    for command in [
        "unbound-checkconf unbound.conf",
        "named-checkconf named.conf",
        "dnsmasq --test --conf-file=dnsmasq.conf",
    ] {
        let script = format!("PATH={path}:/usr/sbin:/sbin {command} 2>&1");
        workspace.write("check", &script);
        let answer = workspace.run(Path::new("sh"), "check");
        assert_eq!(answer.code, 0, "{command}: {answer:?}");
    }
}

#[test]
fn bird_gets_the_numbers_of_the_file() {
    let workspace = acme();
    workspace.edit("acme/gateway.toml", "protocol = 146", "protocol = 99");

    let bird = recipe(&workspace, "bird");
    for part in ["kernel table 4600;", "krt_source = 99 ", "bfd on;"] {
        assert!(bird.contains(part), "{part}: {bird}");
    }
}

#[test]
fn frr_takes_no_prefix_of_its_own_site_from_a_gateway_and_gives_none() {
    let workspace = acme();
    let frr = recipe(&workspace, "frr");

    for part in [
        "neighbor <gateway> bfd profile ringway",
        "neighbor <gateway> prefix-list ringway4 in",
        "neighbor <gateway> prefix-list ringway6 in",
        "neighbor <gateway> route-map ringway-nothing out",
    ] {
        assert!(frr.contains(part), "{part}: {frr}");
    }
    assert!(!frr.contains("permit 10.211.16."), "{frr}");
}

#[test]
fn keepalived_gets_the_virtual_addresses_and_asks_this_program() {
    let workspace = acme();
    let empty = recipe(&workspace, "keepalived");
    assert!(empty.contains("interface <interface>"), "{empty}");

    let file = workspace.read("acme/gateway.toml");
    let ha = "\n[ha]\naddresses = [\"10.211.16.250/22\", \"fd00:211::250/64\"]\n\
              interface = \"lan0\"\npreference = 254\n";
    workspace.write("acme/gateway.toml", &(file + ha));
    let text = recipe(&workspace, "keepalived");
    for part in [
        "interface lan0\n",
        "virtual_ipaddress {\n        10.211.16.250/22\n",
        "virtual_ipaddress_excluded {\n        fd00:211::250/64\n",
        "priority 84\n",
        " role --quiet -c /",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn without_a_server_there_is_nothing_to_ask() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    workspace.ringway("recipe bind -c acme/gateway.toml").refuses(&[
        "error: no gateway is known that answers at port 53: set [dns] listen, or name one with \
         --server",
    ]);
}
