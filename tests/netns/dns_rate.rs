//! A member's network that asks more than the DNS server of another site answers it: it is limited,
//! through the tunnel, and nobody else waits for it.

use nix::sys::signal::Signal;
use ringway_tests::scene::{append, eventually};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const SERVER: &str = "10.10.1.1";
const NAME: &str = "peer0.org1.consortium.example";
const ADDRESS: &str = "10.10.1.11";

/// The flood comes from here, and another host of its network asks, too.
const FLOODING: &str = "orderer0.org0";
const NEIGHBOUR: &str = "orderer1.org0";

/// Members may ask; at most so many responses a second to one of their networks.
const RATE: u32 = 50;
const FILES: &str = r#"
[[policy.allow]]
from = "all"
to = "10.10.1.1"
proto = "udp"
ports = 53

[[policy.allow]]
from = "all"
to = "10.10.1.1"
proto = "tcp"
ports = 53
"#;

/// Asks as fast as it can until SIGTERM, then prints what was sent, answered and truncated, and the
/// seconds that it took. UDP and DNS header: RFC 1035, section 4.1.1.
const FLOOD: &str = r#"
import signal, socket, sys, time
server, name = sys.argv[1:]
question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0\0\1\0\1"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((server, 53)); s.setblocking(False)
end = []
signal.signal(signal.SIGTERM, lambda *_: end.append(1))
sent = answered = cut = 0
began = time.monotonic()
while not end:
    for _ in range(20):
        s.send(sent.to_bytes(4, "big")[2:] + b"\1\0\0\1\0\0\0\0\0\0" + question); sent += 1
    time.sleep(0.005)
    try:
        while True:
            reply = s.recv(4096)
            if reply[2] & 2: cut += 1
            else: answered += 1
    except BlockingIOError: pass
print(sent, answered, cut, time.monotonic() - began, flush=True)
"#;

#[test]
fn a_members_network_beyond_its_rate_is_limited_and_starves_nobody() {
    let scene = Scene::new("dns-rate", RINGWAY);
    let config = scene.config(GATEWAY);
    let listen = std::fs::read_to_string(&config).expect("a file of the laboratory");
    let limited = listen.replace(
        "[dns]\n",
        &format!("[dns]\nrate-limit = {{ site = 10000, members = {RATE} }}\n"),
    );
    assert_ne!(limited, listen);
    std::fs::write(&config, limited).expect("a file of the laboratory");
    append(&config, FILES);
    scene.reload(GATEWAY);
    eventually("an answer through the tunnel", 20, || {
        asked(&scene, FLOODING, &[]) == ADDRESS
    });

    let arguments = ["-c", FLOOD, SERVER, NAME];
    let flood = Background::start(&scene, FLOODING, "flood", "python3", &arguments);
    eventually("the flood to be limited", 20, || dropped(&scene) > 500);

    // The site's hosts, another member's, and the flooding one's own gateway answer each time.
    for _ in 0..20 {
        assert_eq!(asked(&scene, "peer0.org1", &[]), ADDRESS, "our own host");
        assert_eq!(asked(&scene, "peer0.org2", &[]), ADDRESS, "another member");
    }
    let own = ["+short", "+tries=1", "+timeout=2", "@10.10.0.1", NAME];
    assert_eq!(scene.output(NEIGHBOUR, "dig", &own).trim(), ADDRESS);
    // One network has one rate; what it needs, it gets over TCP, or by its retries.
    assert_eq!(asked(&scene, NEIGHBOUR, &["+tcp"]), ADDRESS);

    let printed = flood.stop(Signal::SIGTERM);
    let counts: Vec<f64> = printed
        .split_whitespace()
        .map(|number| number.parse().expect("a number"))
        .collect();
    let [sent, answered, cut, seconds] = counts[..] else {
        panic!("{printed}");
    };
    // A full bucket, and what it earned; a second more for what was asked before the flood.
    let most = f64::from(RATE) * (seconds + 2.0);
    assert!(sent > 2.0 * most, "too few were sent: {printed}");
    assert!(answered > 0.0 && answered <= most, "{printed}");
    assert!(
        cut > 0.0,
        "a genuine client would not learn of TCP: {printed}"
    );

    eventually("answers when it is over", 10, || {
        asked(&scene, FLOODING, &[]) == ADDRESS
    });
    scene.close();
}

/// What the server in org1 answers at `host`.
fn asked(scene: &Scene, host: &str, options: &[&str]) -> String {
    let server = format!("@{SERVER}");
    let mut dig = vec!["+short", "+tries=1", "+timeout=2", &server, NAME];
    dig.extend(options);

    let printed = scene.output_of_any_exit(host, "dig", &dig);
    printed.trim().to_owned()
}

/// Queries above the rate that were dropped, by the gateway's metrics.
fn dropped(scene: &Scene) -> u64 {
    let config = config(scene);
    let printed = scene.output(GATEWAY, RINGWAY, &["metrics", "-c", &config]);
    let line = printed
        .lines()
        .find_map(|line| line.strip_prefix("ringway_dns_limited_total{what=\"dropped\"} "));

    line.expect("it is counted").parse().expect("a number")
}

fn config(scene: &Scene) -> String {
    scene.config(GATEWAY).display().to_string()
}
