//! The effect of a dead tunnel on hosts: real TCP connections through gateways of which one is
//! killed.
//!
//! ```text
//!   peer0.org1 ── gw.org1 ── wan ── gw.org2 (killed, started again) ── peer0.org2
//!    client                                                             server
//! ```

use std::time::{Duration, Instant};

use ringway_lab::ping::{Family, Outcome};
use ringway_tests::scene::append;
use ringway_tests::{Background, Capture, Scene};

use crate::{PRIVATE, RINGWAY};

/// Sends a byte every 200 ms to each client, and reads nothing.
const PUSH: &str = "
import socket, threading, time
listener = socket.create_server(('', 5201))
def push(to):
    while True:
        to.sendall(b'x')
        time.sleep(0.2)
while True:
    threading.Thread(target=push, args=[listener.accept()[0]], daemon=True).start()
";

/// Receives and never sends; prints how that ended, and how long after the last byte.
const LISTEN: &str = "
import socket, time
stream = socket.create_connection(('peer0.org2.consortium.example', 5201))
last = time.monotonic()
print('receiving', flush=True)
try:
    while stream.recv(100):
        last = time.monotonic()
    print('closed', flush=True)
except OSError as error:
    print(type(error).__name__, round(time.monotonic() - last, 1), flush=True)
";

/// Connects once; prints how that ended and after how many seconds.
const CONNECT: &str = "
import socket, time
start = time.monotonic()
print('connecting', flush=True)
try:
    socket.create_connection(('10.10.2.11', 5201), timeout=60)
    print('connected', time.monotonic() - start, flush=True)
except OSError as error:
    print(type(error).__name__, time.monotonic() - start, flush=True)
";

fn python(scene: &Scene, node: &str, label: &str, script: &str) -> Background {
    Background::start(scene, node, label, "python3", &["-c", script])
}

fn server(scene: &Scene) -> Background {
    Background::server(scene, "peer0.org2", 5201, "python3", &["-c", PUSH])
}

/// The word and the seconds that a script printed last.
fn outcome(printed: &str) -> (String, f64) {
    let line = printed.lines().last().expect("it prints a line");
    let (word, seconds) = line.split_once(' ').expect("a word and a number");
    (word.to_owned(), seconds.parse().expect("a number"))
}

/// Kills gw.org2, and waits until gw.org1 answers in its place.
fn kill_until_unreachable(scene: &Scene) {
    scene.kill("gw.org2").expect("gw.org2 runs");
    scene.ping_until(
        "peer0.org1",
        "10.10.2.11",
        Family::V4,
        &Outcome::Unreachable,
        Duration::from_secs(3),
    );
}

#[test]
fn while_a_peer_is_away_silent_streams_are_reset_and_new_connections_refused() {
    let scene = Scene::without_wan_filter("outage", RINGWAY);
    let outside = Capture::headers(&scene, "wan", "any");
    let _server = server(&scene);
    let stream = python(&scene, "peer0.org1", "stream", LISTEN);
    stream.wait_for("receiving");

    let killed = Instant::now();
    kill_until_unreachable(&scene);

    // Two seconds after the tunnel died it is no short outage any more.
    let refused = python(&scene, "peer0.org1", "refused", CONNECT);
    let (word, seconds) = outcome(&refused.finish(Duration::from_secs(30)).printed);
    assert_eq!(word, "ConnectionRefusedError");
    assert!(seconds < 4.0, "refused after {seconds} s");

    // A host that is only sent to would wait for its keep-alives.
    let (word, seconds) = outcome(&stream.finish(Duration::from_secs(30)).printed);
    println!(
        "{word} {seconds} s after the last byte, {:?} after the kill",
        killed.elapsed()
    );
    assert_eq!(word, "ConnectionResetError");
    assert!((5.0..12.0).contains(&seconds), "reset after {seconds} s");

    assert_eq!(outside.stop().matching(PRIVATE), [""; 0]);
    scene.close();
}

#[test]
fn a_connection_that_was_asked_for_in_an_outage_is_opened_when_it_ends() {
    let mut scene = Scene::new("held", RINGWAY);
    // From the first moment on, as in a long outage.
    append(&scene.config("gw.org1"), "\n[tunnel]\nfail-fast = 0\n");
    scene.reload("gw.org1");
    let _server = server(&scene);
    scene.ping_until(
        "peer0.org1",
        "10.10.2.11",
        Family::V4,
        &Outcome::Reply,
        Duration::from_secs(5),
    );

    kill_until_unreachable(&scene);
    let client = python(&scene, "peer0.org1", "held", CONNECT);
    client.wait_for("connecting");

    // The host repeats its SYN after 1, 3, 7 and 15 s, and then after 31 s only.
    std::thread::sleep(Duration::from_secs(17));
    scene.start("gw.org2").expect("gw.org2 starts");
    let (word, seconds) = outcome(&client.finish(Duration::from_secs(60)).printed);
    println!("{word} after {seconds} s");
    assert_eq!(word, "connected");
    assert!(
        (17.0..29.0).contains(&seconds),
        "connected after {seconds} s"
    );
    scene.close();
}
