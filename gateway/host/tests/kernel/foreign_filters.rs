//! Filters and IPsec policies of other programs that stop tunnel traffic.

use std::fs;

use crate::foreign::findings;
use crate::namespace::Namespace;
use crate::watch::gateway;

/// Each ruleset drops packets of members, and the finding that names it.
const DROPPING: [(&str, &str); 14] = [
    (
        "table inet o { chain o { type filter hook output priority 0;
            udp sport 4600 drop; }
        }",
        "foreign filter inet o o",
    ),
    (
        "table inet a { chain f { type filter hook forward priority 0; policy drop;
            ct state vmap { established : accept, invalid : drop }; }
        }",
        "foreign filter inet a f",
    ),
    (
        "table ip b { chain f { type filter hook forward priority 0;
            ip daddr 10.2.0.0/16 counter drop; }
        }",
        "foreign filter ip b f",
    ),
    (
        "table inet c { chain i { type filter hook input priority 0; policy drop;
            ct state established,related accept; iifname { lo, eth9 } accept; }
        }",
        "foreign filter inet c i",
    ),
    (
        "table inet d { chain i { type filter hook input priority 0; policy drop;
            iifname eth0 accept; }
        }",
        "foreign filter inet d i",
    ),
    (
        "table inet e { set bogons { type ipv4_addr; flags interval;
            elements = { 10.0.0.0/8, 172.16.0.0/12 }; }
          chain f { type filter hook forward priority 0; ip daddr @bogons drop; }
        }",
        "foreign filter inet e f",
    ),
    (
        "table ip f { chain p { type filter hook prerouting priority raw; policy drop;
            iifname lo accept; }
        }",
        "foreign filter ip f p",
    ),
    (
        "table inet g { chain o { type filter hook output priority 0; policy drop;
            oifname lo accept; udp dport 123 accept; }
        }",
        "foreign filter inet g o",
    ),
    (
        "table ip h { chain p { type filter hook postrouting priority 0;
            oifname != { eth7, lo } drop; }
        }",
        "foreign filter ip h p",
    ),
    (
        "table ip i { set known { type ipv4_addr; elements = { 192.0.2.1 }; }
          chain f { type filter hook forward priority 0; ip saddr != @known drop; }
        }",
        "foreign filter ip i f",
    ),
    (
        "table netdev j { chain i { type filter hook ingress device eth0 priority 0;
            ip saddr 10.1.0.0/16 drop; }
        }",
        "foreign filter netdev j i",
    ),
    // A packet has no mark unless a rule sets one.
    (
        "table ip m { chain f { type filter hook forward priority 0; policy drop;
            meta mark & 0x4000 == 0x4000 accept; ip daddr 10.9.0.1 meta mark set 0x4000; }
        }",
        "foreign filter ip m f",
    ),
    (
        "table netdev k { chain e { type filter hook egress devices = { lo, eth0 } priority 0;
            policy drop; ip protocol icmp accept; }
        }",
        "foreign filter netdev k e",
    ),
    (
        "table inet l { chain i { type filter hook ingress device eth0 priority 0;
            policy drop; }
        }",
        "foreign filter inet l i",
    ),
];

#[test]
fn chains_that_drop_are_found_and_the_remedies_open_them() {
    let namespace = gateway();
    for (ruleset, name) in DROPPING {
        nft(&namespace, ruleset);
        let found = findings(&namespace, false);
        assert_eq!(found.len(), 1, "{ruleset}: {found:?}");
        assert_eq!(found[0].name, name);

        // Each remedy may show the next packet that is dropped.
        for _ in 0..3 {
            for finding in findings(&namespace, false) {
                nft(
                    &namespace,
                    &finding
                        .remedy
                        .to_string()
                        .replace("nft ", "")
                        .replace(" && ", "\n"),
                );
            }
        }
        assert_eq!(findings(&namespace, false), [], "{ruleset}");
        nft(&namespace, "flush ruleset");
    }
}

#[test]
fn chains_that_may_accept_are_no_finding() {
    let namespace = gateway();
    for rules in [
        "policy drop; iifname \"eth*\" accept; oifname \"eth*\" accept;",
        "policy drop; iif eth0 accept; ct state established accept;",
        "policy drop; meta mark set 5; meta mark 5 accept;",
        "policy drop; ip saddr @known accept;",
        "policy accept; iifname \"docker0\" drop;",
        "policy accept; limit rate 5/second drop;",
        "policy accept; ip saddr != { 10.0.0.0/8, 192.0.2.1 } drop;",
    ] {
        let set = "set known { type ipv4_addr; flags interval; }";
        let chain = format!("chain f {{ type filter hook forward priority 0; {rules} }}");
        nft(&namespace, &format!("table inet a {{\n{set}\n{chain}\n}}"));
        assert_eq!(findings(&namespace, false), [], "{rules}");
        nft(&namespace, "flush ruleset");
    }
}

fn nft(namespace: &Namespace, commands: &str) {
    let path = std::env::temp_dir().join(namespace.name());
    fs::write(&path, commands).unwrap();

    let (code, text) = namespace.run(&format!("nft -f {}", path.display()));
    let _ = fs::remove_file(&path);
    assert_eq!(code, 0, "{commands}: {text}");
}

#[test]
fn ipsec_policies_for_packets_of_members_are_reported_with_a_remedy_that_works() {
    let namespace = gateway();
    let there = "src 10.1.0.0/16 dst 10.0.0.0/8 dir out";
    let back = "src 10.0.0.0/8 dst 10.1.0.0/16 dir fwd";
    let esp = "tmpl src 192.0.2.1 dst 192.0.2.9 proto esp mode tunnel";
    // About others, and what lets pass.
    namespace.ip(&format!(
        "xfrm policy add src 10.1.0.0/16 dst 10.9.0.0/16 dir out priority 5 {esp}"
    ));
    namespace.ip("xfrm policy add src 10.1.0.0/16 dst 10.2.0.0/16 dir in priority 5 action block");
    namespace.ip("xfrm policy add src 10.1.0.0/24 dst 10.2.0.0/16 dir out priority 9");
    assert_eq!(findings(&namespace, true), []);

    for policy in [
        format!("{there} priority 7 {esp}"),
        format!("{there} priority 7 action block"),
        format!("{back} priority 7 {esp}"),
    ] {
        namespace.ip(&format!("xfrm policy add {policy}"));
        let found = findings(&namespace, true);
        assert_eq!(found.len(), 1, "{policy}: {found:?}");
        assert_eq!(found[0].name, "foreign filter ipsec");
        for remedy in found[0].remedy.to_string().split(" && ") {
            namespace.ip(remedy.strip_prefix("ip ").unwrap());
        }
        assert_eq!(findings(&namespace, true), [], "{policy}");

        namespace.ip("xfrm policy flush");
    }
}

#[test]
fn drops_in_other_tables_of_iptables_are_found_and_the_remedies_open_them() {
    let namespace = gateway();
    for (command, name) in [
        (
            "iptables-legacy -t raw -A PREROUTING -i eth0 -j DROP",
            "iptables-legacy raw PREROUTING",
        ),
        (
            "iptables-legacy -t mangle -P FORWARD DROP",
            "iptables-legacy mangle FORWARD",
        ),
        (
            "iptables-legacy -t mangle -A POSTROUTING -o eth0 -j DROP",
            "iptables-legacy mangle POSTROUTING",
        ),
        (
            "iptables-nft -t mangle -A FORWARD -d 10.2.0.0/16 -j DROP",
            "ip mangle FORWARD",
        ),
        (
            "iptables-nft -t mangle -A INPUT -p udp --dport 4600 -j DROP",
            "ip mangle INPUT",
        ),
        (
            "iptables-nft -A OUTPUT -p udp --sport 4600 -j DROP",
            "ip filter OUTPUT",
        ),
        (
            "iptables-legacy -A OUTPUT -p udp --sport 4600 -j DROP",
            "iptables-legacy OUTPUT",
        ),
    ] {
        assert_eq!(findings(&namespace, false), [], "before {command}");
        assert_eq!(namespace.run(command).0, 0, "{command}");
        let found = findings(&namespace, false);
        assert_eq!(found.len(), 1, "{command}: {found:?}");
        assert_eq!(found[0].name, format!("foreign filter {name}"));

        // Each remedy may show the next packet that is dropped.
        for _ in 0..3 {
            for finding in findings(&namespace, false) {
                for remedy in finding.remedy.to_string().split(" && ") {
                    assert_eq!(namespace.run(remedy).0, 0, "{remedy}");
                }
            }
        }
        assert_eq!(findings(&namespace, false), [], "{command}");
    }
}
