//! Files in the state directory that others may use are the owner's alone after a start, whatever
//! an earlier version or a restored backup has left.

use std::fs;
use std::os::unix::fs::symlink;

use ringway_tests::Scene;
use ringway_tests::scene::{append, eventually};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// A check, so that there are failed addresses to remember.
const SERVICE: &str = r#"
[[dns.host]]
name = "service"
addresses = ["10.10.1.11", "10.10.1.12"]
check = "tcp:7051"
"#;

#[test]
fn a_start_closes_every_file_of_its_state_directory_to_others() {
    let mut scene = Scene::new("private-state", RINGWAY);
    let state = scene.beside(GATEWAY, "state");
    append(&scene.config(GATEWAY), SERVICE);
    scene.reload(GATEWAY);
    for file in ["failed-addresses", "zones/gw.org0.fragment", "heard"] {
        eventually(file, 30, || state.join(file).exists());
    }
    scene.stop(GATEWAY);
    let keys = fs::read(state.join("endpoint-keys")).expect("it has run");

    let outside = scene.beside(GATEWAY, "outside");
    let notes = state.join("notes.txt");
    for file in [&outside, &notes] {
        fs::write(file, "").expect("a writable directory");
    }
    symlink(&outside, state.join("policy.json.new")).expect("a link");
    let dir = state.display();
    scene.sh(
        GATEWAY,
        &format!("chmod -R a+rX {dir} {}", outside.display()),
    );
    let check = scene.output(GATEWAY, RINGWAY, &["check", "-c", &config(&scene)]);
    assert!(check.contains("others may use this"), "{check}");

    scene.start(GATEWAY).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    let open = format!("find {dir} ! -type l -perm /077");
    assert_eq!(scene.sh(GATEWAY, &open).trim(), notes.display().to_string());
    let found = scene.sh(GATEWAY, &format!("stat -c %a {}", outside.display()));
    assert_eq!(found.trim(), "644", "a link was followed");
    let after = fs::read(state.join("endpoint-keys")).expect("they were made again");
    assert_ne!(after, keys, "others may have copied them");
    let check = scene.output(GATEWAY, RINGWAY, &["check", "-c", &config(&scene)]);
    assert!(!check.contains("others may use"), "{check}");
    scene.close();
}

fn config(scene: &Scene) -> String {
    scene.config(GATEWAY).display().to_string()
}
