//! Metrics and health over HTTP, asked as a load balancer and Prometheus do.

use std::fs;
use std::process::Command;

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const PEERS: [&str; 2] = ["gw.org0", "gw.org2"];
const NEIGHBOUR: &str = "peer0.org1";
const STRANGER: &str = "peer0.org2";

/// The response code and the body; the code is 0 without a response.
fn get(scene: &Scene, from: &str, path: &str) -> (u16, String) {
    let url = format!("http://10.10.1.1:9460{path}");
    let curl = ["-s", "-m", "2", "-w", "\n%{http_code}", &url];
    let printed = scene.output_of_any_exit(from, "curl", &curl);

    let (body, code) = printed.rsplit_once('\n').expect("curl prints the code");
    (code.parse().expect("a code"), body.to_owned())
}

#[test]
fn a_gateway_tells_its_site_how_it_is() {
    let mut scene = Scene::beside_others("http", RINGWAY);
    scene.stop(GATEWAY);
    append(
        &scene.config(GATEWAY),
        "\n[http]\nlisten = \"10.10.1.1:9460\"\n",
    );
    assert_eq!(get(&scene, NEIGHBOUR, "/healthz").0, 0, "nobody listens");
    scene.start(GATEWAY).expect("gw.org1 starts");
    scene.wait_until_joined().expect("the tunnels come up");

    for path in ["/healthz", "/readyz", "/active"] {
        assert_eq!(get(&scene, NEIGHBOUR, path), (200, "ok\n".to_owned()));
    }
    let (code, metrics) = get(&scene, NEIGHBOUR, "/metrics");
    assert_eq!(code, 200);
    for line in [
        "ringway_tunnel_up{peer=\"gw.org0\",org=\"org0\"} 1",
        "ringway_prefix_reachable{prefix=\"10.10.2.0/24\",org=\"org2\"} 1",
        "ringway_attention{kind=\"tunnel-down\"} 0",
    ] {
        assert!(
            metrics.lines().any(|each| each == line),
            "{line}: {metrics}"
        );
    }
    assert_well_formed(&metrics);
    // Another organization's hosts need a rule, as for everything else of this host.
    assert_eq!(get(&scene, STRANGER, "/metrics").0, 0);

    for peer in PEERS {
        scene.stop(peer);
    }
    eventually("it not to be ready", 15, || {
        get(&scene, NEIGHBOUR, "/readyz") == (503, "no tunnel is up\n".to_owned())
    });
    assert_eq!(get(&scene, NEIGHBOUR, "/healthz").0, 200);
    // A tunnel that has just been lost is dialled again first.
    eventually("both tunnels to be named", 15, || {
        let (_, metrics) = get(&scene, NEIGHBOUR, "/metrics");
        metrics.contains("ringway_attention{kind=\"tunnel-down\"} 2\n")
    });
    scene.close();
}

/// Prometheus has a checker of its own; it knows the older of the two text formats alone.
fn assert_well_formed(metrics: &str) {
    let file = std::env::temp_dir().join(format!("ringway-metrics-{}", std::process::id()));
    let text = metrics.replace("# EOF\n", "");
    fs::write(&file, text).expect("the metrics can be stored");

    let stored = fs::File::open(&file).expect("they are there");
    let checked = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(stored)
        .output()
        .expect("promtool runs");
    fs::remove_file(&file).expect("they can be removed");
    // 3: the metrics are well formed, and the checker knows better names.
    let code = checked.status.code();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(code == Some(0) || code == Some(3), "{code:?} {said}");
}
