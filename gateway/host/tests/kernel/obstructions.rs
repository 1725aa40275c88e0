//! Rules of other programs, as nft and iptables write them, that stop one connection, may stop it,
//! or let it pass.

use ringway_config::{Asked, Opening};
use ringway_host::tun::open_tun;
use ringway_host::watch::{Connection, Obstructions, obstructions};

use crate::foreign::findings;
use crate::namespace::Namespace;
use crate::tun_name;
use crate::watch::{NUMBERS, gateway};

/// A host of the site.
const HOST: &str = "10.1.0.2";
/// A member's host.
const MEMBER: &str = "10.2.0.1";

/// Whether the host opens the connection, or the member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Out,
    In,
}
use Direction::{In, Out};

/// What a rule does to TCP to port 8080.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Stops,
    MayStop,
    None,
}
use Effect::{MayStop, None, Stops};

/// Accepting rules of hosts with containers and other firewalls, none of which is for our packets.
const OTHERS: [&str; 5] = [
    "-m multiport -p tcp --dports 22,443",
    "-m mark --mark 0x4000/0x4000",
    "-m physdev --physdev-is-bridged",
    "-i docker0",
    "-d 10.9.0.0/16 -p tcp --dport 80",
];

/// With iptables, for both of its variants.
const IPTABLES: [(&str, Direction, Effect); 15] = [
    ("-I FORWARD -p tcp --syn -j DROP", Out, Stops),
    ("-I FORWARD -p tcp --syn -j DROP", In, Stops),
    ("-I FORWARD -p tcp ! --syn -j DROP", Out, Stops),
    ("-I FORWARD -p tcp --tcp-flags RST RST -j DROP", Out, None),
    (
        "-I FORWARD -p tcp -m multiport --dports 80,8080 -j DROP",
        Out,
        Stops,
    ),
    (
        "-I FORWARD -p tcp -m multiport --dports 80,8000:8090 -j DROP",
        In,
        Stops,
    ),
    (
        "-I FORWARD -p tcp -m multiport --dports 80,443 -j DROP",
        Out,
        None,
    ),
    (
        "-I FORWARD -p tcp -m multiport ! --dports 80,443 -j DROP",
        Out,
        Stops,
    ),
    ("-I FORWARD -p tcp --dport 8000:8100 -j DROP", Out, Stops),
    ("-I FORWARD -p tcp --dport 9000:9100 -j DROP", Out, None),
    ("-I FORWARD -p tcp --sport 8080 -j DROP", Out, Stops),
    ("-I FORWARD -p tcp -m mark ! --mark 5 -j DROP", Out, Stops),
    ("-I FORWARD -p tcp -m mark --mark 5 -j DROP", Out, None),
    (
        "-I FORWARD -m physdev --physdev-is-bridged -j DROP",
        Out,
        None,
    ),
    ("-I FORWARD -m limit --limit 5/second -j DROP", Out, MayStop),
];

const NAT: [(&str, Direction, Effect); 6] = [
    (
        "-A POSTROUTING -o ringway0 -j SNAT --to-source 203.0.113.6",
        Out,
        Stops,
    ),
    ("-A POSTROUTING -j MASQUERADE", Out, Stops),
    ("-A POSTROUTING -j MASQUERADE", In, None),
    ("-A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE", Out, None),
    (
        "-A PREROUTING -i ringway0 -p tcp --dport 8080 -j DNAT --to 10.1.0.9:9",
        In,
        Stops,
    ),
    (
        "-A PREROUTING -p tcp --dport 80 -j DNAT --to 10.1.0.9:9",
        In,
        None,
    ),
];

/// In a chain of nftables at a hook.
const NFTABLES: [(&str, &str, Direction, Effect); 12] = [
    ("forward", "tcp flags syn tcp dport 8080 drop", Out, Stops),
    ("forward", "tcp flags rst drop", Out, None),
    ("forward", "tcp dport 8000-8999 drop", Out, Stops),
    // The answers go to another port.
    ("forward", "tcp dport != 8000-8999 drop", Out, Stops),
    ("forward", "tcp dport > 1024 drop", In, Stops),
    ("forward", "tcp dport < 1024 drop", In, None),
    (
        "forward",
        "tcp sport != 1024-65535 tcp dport 8080 drop",
        In,
        None,
    ),
    ("forward", "icmp type echo-request drop", Out, None),
    ("forward", "ip length > 40 drop", Out, MayStop),
    ("forward", "limit rate over 5/second drop", Out, MayStop),
    ("postrouting", "tcp sport 8080 drop", Out, Stops),
    ("prerouting", "tcp sport 8080 drop", Out, Stops),
];

fn found(namespace: &Namespace, direction: Direction) -> Obstructions {
    let (source, destination) = match direction {
        Out => (HOST, MEMBER),
        In => (MEMBER, HOST),
    };
    let connection = Connection {
        opening: Opening {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            service: Asked::Tcp(8080),
        },
        is_inbound: direction == In,
        prefix: "10.2.0.0/16".parse().unwrap(),
        is_tunnelled: true,
    };

    namespace
        .wait(|| async move { obstructions(&tun_name(), NUMBERS, connection).await })
        .unwrap()
}

/// What the rule does, and that its remedy undoes it.
fn assert_effect(namespace: &Namespace, rule: &str, direction: Direction, expected: Effect) {
    let mut found_now = found(namespace, direction);
    let effect = match (found_now.certain.len(), found_now.possible.len()) {
        (0, 0) => None,
        (0, 1) => MayStop,
        _ => Stops,
    };
    assert_eq!(effect, expected, "{rule} {direction:?}: {found_now:?}");
    if expected == MayStop {
        run(namespace, &found_now.possible[0].remedy.to_string());
    }

    // A chain drops the answers, too, once the first packet passes.
    for _ in 0..2 {
        for finding in &found_now.certain {
            run(namespace, &finding.remedy.to_string());
        }
        found_now = found(namespace, direction);
    }
    assert_eq!(found_now.certain, [], "{rule} {direction:?}");
}

fn run(namespace: &Namespace, command: &str) {
    for command in command.split(" && ") {
        let (code, text) = namespace.run(command);
        assert_eq!(code, 0, "{command}: {text}");
    }
}

#[test]
fn rules_of_others_are_judged_for_one_connection() {
    let namespace = gateway();
    let _tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    namespace.ip("route add 10.2.0.0/16 dev ringway0");
    assert_eq!(found(&namespace, Out), Obstructions::default());

    for (hook, rule, direction, effect) in NFTABLES {
        let chain = format!("chain c {{ type filter hook {hook} priority 0; {rule}; }}");
        run(&namespace, &format!("nft table ip f {{ {chain}; }}"));
        assert_effect(&namespace, rule, direction, effect);
        run(&namespace, "nft flush ruleset");
    }
    for (rule, direction, effect) in NAT {
        run(&namespace, &format!("iptables-nft -t nat {rule}"));
        assert_effect(&namespace, rule, direction, effect);
        run(&namespace, "nft flush ruleset");
    }
    for program in ["iptables-nft", "iptables-legacy"] {
        for (rule, direction, effect) in IPTABLES {
            run(&namespace, &format!("{program} {rule}"));
            assert_effect(&namespace, rule, direction, effect);
            run(&namespace, &format!("{program} -F FORWARD"));
        }
    }
}

#[test]
fn a_policy_that_drops_is_found_behind_rules_that_accept_other_packets() {
    let namespace = gateway();
    let _tun = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    namespace.ip("route add 10.2.0.0/16 dev ringway0");

    for program in ["iptables-nft", "iptables-legacy"] {
        run(&namespace, &format!("{program} -P FORWARD DROP"));
        for rule in OTHERS {
            run(
                &namespace,
                &format!("{program} -A FORWARD {rule} -j ACCEPT"),
            );
        }
        for direction in [Out, In] {
            assert!(!found(&namespace, direction).certain.is_empty());
        }
        assert_eq!(findings(&namespace, true).len(), 1, "{program}");
        run(&namespace, &format!("{program} -F FORWARD"));
        run(&namespace, &format!("{program} -P FORWARD ACCEPT"));
    }
}
