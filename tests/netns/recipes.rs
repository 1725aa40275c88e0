//! The recipes of `deploy/dns`, unchanged, in Debian's resolvers: names and addresses of the
//! consortium resolve, unknown names are denied, and a gateway's outage has no lasting effect.
//!
//! ```text
//!   peer1.org1:  dig ──► 127.0.0.2 dnsmasq ┐
//!                    ──► 127.0.0.3 unbound ├──► gw.org1 ═══ gw.org0, gw.org2
//!                    ──► 127.0.0.1 BIND    ┘
//! ```
//! Every resolver validates DNSSEC and guards against DNS rebinding. Each exception of a recipe
//! from that is shown to be needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{bail, ensure};
use ringway_tests::scene::{append, eventually_ok};
use ringway_tests::{Background, Scene};

use crate::RINGWAY;

const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/dns");

/// The machine on which the resolvers run.
const NODE: &str = "peer1.org1";

/// The root's key (IANA, 2017). The laboratory cannot reach the root, so all that is validated
/// fails.
const ROOT_KEY: &str = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

/// Example values in the recipes, and the laboratory's (the prefixes of org1 and org2).
const SUBSTITUTIONS: [(&str, &str); 8] = [
    ("10.1.0.1", "10.10.1.1"),
    (
        ".0.0.1.0.0.0.0.0.d.f.ip6.arpa",
        ".1.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
    ),
    (
        ".0.0.2.0.0.0.0.0.d.f.ip6.arpa",
        ".2.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa",
    ),
    (".10.in-addr.arpa", ".10.10.in-addr.arpa"),
    ("fd00:1::/48", "fd00:10:1::/64"),
    ("fd00:2::/48", "fd00:10:2::/64"),
    ("10.1.0.0/16", "10.10.1.0/24"),
    ("10.2.0.0/16", "10.10.2.0/24"),
];

/// A question and the answer that a resolver has to give.
#[derive(Clone, Copy)]
struct Case<'a> {
    name: &'a str,
    kind: &'a str,
    code: &'a str,
    /// Data of all records, separated by spaces.
    data: &'a str,
}

const fn found<'a>(name: &'a str, kind: &'a str, data: &'a str) -> Case<'a> {
    Case {
        name,
        kind,
        code: "NOERROR",
        data,
    }
}

const fn denied<'a>(name: &'a str, kind: &'a str) -> Case<'a> {
    Case {
        name,
        kind,
        code: "NXDOMAIN",
        data: "",
    }
}

/// The reverse name of `fd00:10:2::11`.
const REVERSE_V6: &str = "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa";

/// Names and addresses of the resolvers' organization and of another one.
const CASES: [Case<'_>; 11] = [
    found("peer0.org1.consortium.example", "A", "10.10.1.11"),
    found("peer0.org2.consortium.example", "A", "10.10.2.11"),
    found("peer0.org2.consortium.example", "AAAA", "fd00:10:2::11"),
    found("PEER0.Org2.consortium.example", "A", "10.10.2.11"),
    found(
        "ca.org1.consortium.example",
        "A",
        "ca1.org1.consortium.example. 10.10.1.40",
    ),
    found(
        "_ca._tcp.ca1.org1.consortium.example",
        "SRV",
        "0 0 7054 ca1.org1.consortium.example.",
    ),
    found(
        "11.1.10.10.in-addr.arpa",
        "PTR",
        "peer0.org1.consortium.example.",
    ),
    found(
        "11.2.10.10.in-addr.arpa",
        "PTR",
        "peer0.org2.consortium.example.",
    ),
    found(REVERSE_V6, "PTR", "peer0.org2.consortium.example."),
    denied("nobody.org1.consortium.example", "A"),
    denied("99.1.10.10.in-addr.arpa", "PTR"),
];

/// Hosts and records of org1 that the laboratory does not have by itself.
const MORE_NAMES: &str = r#"
[[dns.host]]
name = "ca1"
addresses = ["10.10.1.40"]
services = ["ca:7054/tcp"]

[[dns.record]]
name = "ca"
type = "CNAME"
data = "ca1"
"#;

#[test]
fn dnsmasq_unbound_and_bind_resolve_the_consortiums_names() {
    let scene = Scene::new("recipes", RINGWAY);
    append(&scene.config("gw.org1"), MORE_NAMES);
    scene.reload("gw.org1");

    for resolver in RESOLVERS.map(|resolver| resolver.start(&scene, None)) {
        for case in CASES {
            resolver.wait_for_answer(&scene, case);
        }
    }
    scene.close();
}

#[test]
fn an_outage_of_the_gateway_denies_no_name_and_has_no_lasting_effect() {
    let mut scene = Scene::new("outage", RINGWAY);
    let resolvers = RESOLVERS.map(|resolver| resolver.start(&scene, None));
    for resolver in &resolvers {
        resolver.wait_for_answer(&scene, CASES[0]);
    }

    scene.kill("gw.org1").expect("gw.org1 runs");
    // None of these was asked before, so none is in a cache.
    let uncached = [
        "orderer1.org0.consortium.example",
        "peer1.org1.consortium.example",
        "peer1.org2.consortium.example",
    ];
    thread::scope(|scope| {
        for resolver in &resolvers {
            for name in uncached {
                let scene = &scene;
                scope.spawn(move || resolver.assert_fails_without_denial(scene, name));
            }
        }
    });

    scene.start("gw.org1").expect("gw.org1 starts");
    for resolver in &resolvers {
        for case in [
            found("peer1.org2.consortium.example", "A", "10.10.2.12"),
            found("orderer1.org0.consortium.example", "A", "10.10.0.12"),
            denied("nobody.org2.consortium.example", "A"),
        ] {
            resolver.wait_for_answer(&scene, case);
        }
    }
    drop(resolvers);
    scene.close();
}

/// Without its line a recipe gives no answer, or that of the resolver's built-in empty zones.
#[test]
fn each_exception_in_a_recipe_is_needed() {
    const NAME: (&str, &str) = ("peer0.org2.consortium.example", "A");
    const REVERSE: (&str, &str) = ("11.2.10.10.in-addr.arpa", "PTR");
    let scene = Scene::new("exceptions", RINGWAY);
    let [dnsmasq, unbound, bind] = RESOLVERS;

    for (resolver, line, (name, kind)) in [
        (dnsmasq, "rebind-domain-ok", NAME),
        (dnsmasq, "rev-server", REVERSE),
        (unbound, "domain-insecure", NAME),
        (unbound, "private-domain", NAME),
        (unbound, "local-zone", REVERSE),
        (bind, "\"consortium.example\";", NAME),
        (bind, "in-addr.arpa\" {", REVERSE),
    ] {
        let answer = resolver.start(&scene, Some(line)).ask(&scene, name, kind);
        assert_eq!(
            answer.data, "",
            "{} without {line:?}: {}",
            resolver.program, answer.code
        );
    }
    scene.close();
}

/// How a resolver is started with its recipe.
#[derive(Clone, Copy)]
struct Resolver {
    program: &'static str,
    /// The address on which it answers.
    address: &'static str,
    /// File names in `deploy/dns`.
    recipes: &'static [&'static str],
    /// The configuration that includes the recipes from the given directory.
    config: fn(&Path) -> String,
    arguments: &'static [&'static str],
}

const RESOLVERS: [Resolver; 3] = [
    Resolver {
        program: "/usr/sbin/dnsmasq",
        address: "127.0.0.2",
        recipes: &["dnsmasq.conf"],
        config: dnsmasq_config,
        arguments: &["--keep-in-foreground", "--conf-file=base.conf"],
    },
    Resolver {
        program: "/usr/sbin/unbound",
        address: "127.0.0.3",
        recipes: &["unbound.conf"],
        config: unbound_config,
        arguments: &["-d", "-c", "base.conf"],
    },
    Resolver {
        program: "/usr/sbin/named",
        address: "127.0.0.1",
        recipes: &["bind.conf", "bind-options.conf"],
        config: bind_config,
        arguments: &["-g", "-c", "base.conf"],
    },
];

fn dnsmasq_config(dir: &Path) -> String {
    let dir = dir.display();
    let key = ROOT_KEY.replace(' ', ",");
    format!(
        "listen-address=127.0.0.2
bind-interfaces
no-resolv
no-hosts
user=root
pid-file=
stop-dns-rebind
bogus-priv
dnssec
trust-anchor=.,{key}
conf-file={dir}/dnsmasq.conf
"
    )
}

fn unbound_config(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "server:
    interface: 127.0.0.3
    directory: {dir}
    chroot: \"\"
    username: \"\"
    pidfile: \"\"
    use-syslog: no
    module-config: \"validator iterator\"
    trust-anchor: \". DS {ROOT_KEY}\"
    private-address: 10.0.0.0/8
    private-address: fd00::/8
include: {dir}/unbound.conf
"
    )
}

fn bind_config(dir: &Path) -> String {
    let dir = dir.display();
    let (numbers, digest) = ROOT_KEY
        .rsplit_once(' ')
        .expect("the key consists of four words");
    format!(
        "options {{
    directory \"{dir}\";
    listen-on {{ 127.0.0.1; }};
    listen-on-v6 {{ none; }};
    max-cache-size 16m;
    pid-file none;
    session-keyfile none;
    dnssec-validation yes;
    forwarders {{ 203.0.113.254; }};
    include \"bind-options.conf\";
}};
controls {{ }};
trust-anchors {{ . static-ds {numbers} \"{digest}\"; }};
include \"bind.conf\";
"
    )
}

/// A running resolver; it ends when the value is dropped.
struct StartedResolver {
    program: Background,
    resolver: Resolver,
}

/// What `dig` printed of an answer.
#[derive(Debug)]
struct Answer {
    /// The response code, or [`NO_ANSWER`].
    code: String,
    /// Data of all records in the answer section, separated by spaces.
    data: String,
}

/// Stands for the response code when `dig` has waited in vain.
const NO_ANSWER: &str = "no answer";

impl Resolver {
    /// Starts the resolver with its recipes, less the lines that contain `without`.
    fn start(self, scene: &Scene, without: Option<&str>) -> StartedResolver {
        let dir = scene.topology().dir().join(self.address);
        self.write_files(&dir, without);

        let mut command = scene
            .command(NODE, self.copy_program(&dir))
            .expect("a node of the laboratory");
        command.args(self.arguments).current_dir(&dir);
        let running = StartedResolver {
            program: Background::spawn(scene, self.address, command),
            resolver: self,
        };

        // All resolvers answer for this name without asking anything else.
        eventually_ok(&format!("{} to answer", self.program), 15, || {
            let answer = running.ask(scene, "1.0.0.127.in-addr.arpa", "PTR");
            ensure!(
                answer.code != NO_ANSWER,
                "it printed {}",
                running.program.printed()
            );
            Ok(())
        });
        running
    }

    fn write_files(self, dir: &Path, without: Option<&str>) {
        // An earlier start of the same resolver may have left its files.
        _ = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).expect("the laboratory's directory is writable");

        for recipe in self.recipes {
            let text = recipe_text(recipe, without);
            fs::write(dir.join(recipe), text).expect("the directory is writable");
        }
        let config = (self.config)(dir);
        fs::write(dir.join("base.conf"), config).expect("the directory is writable");
    }

    /// Copies the program: AppArmor's profile of the installed one forbids it to read our files.
    fn copy_program(self, dir: &Path) -> PathBuf {
        let name = Path::new(self.program)
            .file_name()
            .expect("the path ends with a file name");
        let copy = dir.join(name);
        fs::copy(self.program, &copy).unwrap_or_else(|error| panic!("{}: {error}", self.program));
        copy
    }
}

/// The recipe with this laboratory's addresses, less the lines that contain `without`.
fn recipe_text(recipe: &str, without: Option<&str>) -> String {
    let path = Path::new(RECIPES).join(recipe);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));

    let mut kept = String::new();
    for line in text.lines() {
        if without.is_none_or(|part| !line.contains(part)) {
            kept += line;
            kept.push('\n');
        }
    }
    for (example, value) in SUBSTITUTIONS {
        kept = kept.replace(example, value);
    }
    kept
}

impl StartedResolver {
    /// Asks once.
    fn ask(&self, scene: &Scene, name: &str, kind: &str) -> Answer {
        let server = format!("@{}", self.resolver.address);
        let dig = [server.as_str(), "+tries=1", "+timeout=2", name, kind];
        let text = scene.output_of_any_exit(NODE, "dig", &dig);

        let code = text
            .split_once("status: ")
            .and_then(|(_, rest)| rest.split(',').next());
        let section = text
            .split_once(";; ANSWER SECTION:\n")
            .map_or("", |(_, rest)| rest);
        let data: Vec<_> = section
            .lines()
            .take_while(|line| !line.is_empty())
            .flat_map(|line| line.split_whitespace().skip(4))
            .collect();
        Answer {
            code: code.unwrap_or(NO_ANSWER).into(),
            data: data.join(" "),
        }
    }

    fn assert_fails_without_denial(&self, scene: &Scene, name: &str) {
        let answer = self.ask(scene, name, "A");
        let program = self.resolver.program;
        assert_eq!(answer.data, "", "{program}: {name}");
        assert!(
            !["NXDOMAIN", "NOERROR"].contains(&answer.code.as_str()),
            "{program}: {name}: {}",
            answer.code
        );
    }

    /// Asks until the answer is right: a resolver may just have found the gateway absent, and a
    /// name may be new.
    fn wait_for_answer(&self, scene: &Scene, case: Case<'_>) {
        let program = self.resolver.program;
        let what = format!("{} {} from {program}", case.name, case.kind);
        eventually_ok(&what, 20, || {
            let answer = self.ask(scene, case.name, case.kind);
            if answer.code != case.code || answer.data != case.data {
                bail!("{answer:?} instead of {} {}", case.code, case.data);
            }
            Ok(())
        });
    }
}
