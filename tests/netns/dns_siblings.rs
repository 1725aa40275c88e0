//! The names of a site with two gateways, as programs of its hosts look them up: through glibc and
//! musl, with both gateways in resolv.conf or with the virtual addresses alone.
//!
//! ```text
//!   orderer0.org0 ── vpc ──┬─ gw.org0    10.10.0.1 ─┐
//!                          │                        ├─ 10.10.0.3, the active one has it
//!                          └─ gw2.org0   10.10.0.2 ─┘
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ringway_lab::program;
use ringway_tests::Scene;
use ringway_tests::attention::attention;
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::siblings::{Fault, SIBLINGS, active, other, wait_until_it_holds};

use crate::RINGWAY;

const HOST: &str = "orderer0.org0";

/// A name of the site in both gateways' files, and its address.
const SHARED: [&str; 2] = ["orderer1.org0.consortium.example", "10.10.0.12"];
/// A name in the first gateway's files alone.
const ALONE: [&str; 2] = ["only.org0.consortium.example", "10.10.0.77"];
/// A name of another member.
const FAR: [&str; 2] = ["peer0.org1.consortium.example", "10.10.1.11"];

/// Prints the first IPv4 address of a name: one call of getaddrinfo, as any program makes it.
const STUB: &str = r#"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int main(int count, char **names) {
    struct addrinfo hints, *found;
    memset(&hints, 0, sizeof hints);
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    int error = count < 2 ? EAI_NONAME : getaddrinfo(names[1], NULL, &hints, &found);
    if (error) {
        fprintf(stderr, "%s\n", gai_strerror(error));
        return 1;
    }
    struct sockaddr_in *address = (struct sockaddr_in *)found->ai_addr;
    puts(inet_ntoa(address->sin_addr));
    return 0;
}
"#;

/// The stub resolvers of two C libraries.
struct Stubs {
    programs: [(&'static str, PathBuf); 2],
}

impl Stubs {
    fn build(dir: &Path) -> Stubs {
        let source = dir.join("stub.c");
        fs::write(&source, STUB).expect("the laboratory's directory is writable");
        let programs = [("glibc", "gcc"), ("musl", "musl-gcc")];

        Stubs {
            programs: programs.map(|(library, compiler)| {
                let output = dir.join(format!("stub-{library}"));
                let mut compile = Command::new(compiler);
                compile.arg("-o").arg(&output).arg(&source);
                program::output(&mut compile).unwrap_or_else(|error| panic!("{error:#}"));
                (library, output)
            }),
        }
    }

    /// Each looks the names up at the host, in one call each.
    fn look_up(&self, scene: &Scene, names: &[[&str; 2]]) {
        for (library, stub) in &self.programs {
            for [name, address] in names {
                let began = Instant::now();
                let found = scene.output_of_any_exit(HOST, &stub.display().to_string(), &[name]);
                println!("{library}: {name} after {:.2?}", began.elapsed());
                assert_eq!(found.trim(), *address, "{library}: {name}");
            }
        }
    }
}

/// The resolvers of the host's programs.
fn set_resolvers(scene: &Scene, servers: &[&str], options: &str) {
    let netns = &scene.node(HOST).expect("a machine").netns;
    let mut text: String = servers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    text += &format!("options {options}\n");
    let file = Path::new("/etc/netns").join(netns).join("resolv.conf");
    fs::write(file, text).expect("the laboratory has made it");
}

#[test]
fn names_go_on_for_both_stubs_when_one_of_two_gateways_is_gone() {
    let scene = Scene::with_siblings("dns-siblings", RINGWAY);
    let stubs = Stubs::build(&scene.topology().dir());
    let name = "\n[[dns.record]]\nname = \"only\"\ntype = \"A\"\ndata = \"10.10.0.77\"\n";
    append(&scene.config(SIBLINGS[0]), name);
    scene.reload(SIBLINGS[0]);
    eventually("the other one to know the name", 10, || {
        let dig = ["@10.10.0.2", "+short", ALONE[0]];
        scene.output_of_any_exit(HOST, "dig", &dig).trim() == ALONE[1]
    });

    // Silence, which a stub notices by its timeout alone: the first server's link is down.
    set_resolvers(&scene, &["10.10.0.1", "10.10.0.2"], "timeout:1 attempts:2");
    stubs.look_up(&scene, &[SHARED, ALONE, FAR]);
    let switch = format!("{}-vpc.org0", scene.topology().lab);
    set_port(&switch, "down");
    stubs.look_up(&scene, &[SHARED, ALONE, FAR]);
    set_port(&switch, "up");
    scene.wait_until_joined().expect("the tunnels come up");

    // Its host answers that nothing listens there.
    scene.kill(SIBLINGS[0]).expect("it runs");
    wait_until_it_holds(&scene, SIBLINGS[1]);
    stubs.look_up(&scene, &[SHARED, ALONE, FAR]);
    scene.close();
}

#[test]
fn the_virtual_address_answers_as_soon_as_the_other_gateway_has_it() {
    let mut scene = Scene::with_siblings("dns-virtual", RINGWAY);
    let stubs = Stubs::build(&scene.topology().dir());
    // One attempt: no second one hides that the first found nobody.
    set_resolvers(&scene, &["10.10.0.3"], "timeout:1 attempts:1");

    for fault in [Fault::Kill, Fault::BlackHole, Fault::Drain] {
        let gateway = active(&scene).expect("one is active");
        wait_until_it_holds(&scene, gateway);
        stubs.look_up(&scene, &[SHARED, FAR]);

        fault.strike(&mut scene, gateway);
        wait_until_it_holds(&scene, other(gateway));
        println!("{fault:?}");
        stubs.look_up(&scene, &[SHARED, FAR]);
        fault.repair(&mut scene, gateway);
    }
    both_name_what_only_one_of_them_has(&scene);
    scene.close();
}

/// After a takeover, that address would be nowhere, and other connections would pass.
fn both_name_what_only_one_of_them_has(scene: &Scene) {
    let [first, second] = SIBLINGS;
    replace(&scene.config(second), "10.10.0.3/24", "10.10.0.4/24");
    replace(
        &scene.config(second),
        "\n[policy]\n",
        "\n[policy]\negress = \"none\"\n",
    );
    scene.reload(second);

    for gateway in SIBLINGS {
        let rules = format!("the rules of {gateway} and {} differ", other(gateway));
        eventually(&rules, 10, || attention(scene, gateway).contains(&rules));
        for (with, address, without) in [(first, "10.10.0.3", second), (second, "10.10.0.4", first)]
        {
            let expected = format!("{with} has {address} and {without} does not");
            eventually(&expected, 10, || {
                attention(scene, gateway).contains(&expected)
            });
        }
    }
}

/// The switch's end of the first gateway's link.
fn set_port(switch: &str, state: &str) {
    let mut set = Command::new("ip");
    set.args(["-n", switch, "link", "set", "gw", state]);
    program::output(&mut set).unwrap_or_else(|error| panic!("{error:#}"));
}
