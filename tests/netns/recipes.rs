//! The recipes of `deploy/dns`, as they stand there, in Debian's resolvers: names and addresses of the
//! consortium resolve, what does not exist is said not to, and a gateway's outage leaves nothing behind.
//!
//! ```text
//!   peer1.org1:  dig ──► 127.0.0.2 dnsmasq ┐
//!                    ──► 127.0.0.3 unbound ├──► gw.org1 ═══ gw.org0, gw.org2
//!                    ──► 127.0.0.1 BIND    ┘
//! ```
//! Topology: that of `ringway lab` (drawn at the head of `ringway_lab`). Every resolver validates DNSSEC and
//! guards against rebinding: what a recipe excepts from that is shown to need it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use ringway_tests::scene::{append, eventually_ok};
use ringway_tests::{Background, Scene};

const RINGWAY: &str = env!("CARGO_BIN_EXE_ringway-under-test");
const RECIPES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/dns");

/// The machine that the resolvers run on.
const NODE: &str = "peer1.org1";
/// The root's key (IANA, 2017). Nobody can be asked for its signatures here: whatever is validated fails.
const ROOT_KEY: &str = "20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D";

/// What the recipes call by example names, and what it is here (the prefixes of org1 and org2).
const HERE: [(&str, &str); 6] = [
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
];

/// Questions and their answers: of the own organization, of another, and of none.
const ANSWERS: [(&str, &str, &str, &str); 11] = [
    (
        "peer0.org1.consortium.example",
        "A",
        "NOERROR",
        "10.10.1.11",
    ),
    (
        "peer0.org2.consortium.example",
        "A",
        "NOERROR",
        "10.10.2.11",
    ),
    (
        "peer0.org2.consortium.example",
        "AAAA",
        "NOERROR",
        "fd00:10:2::11",
    ),
    (
        "PEER0.Org2.consortium.example",
        "A",
        "NOERROR",
        "10.10.2.11",
    ),
    (
        "ca.org1.consortium.example",
        "A",
        "NOERROR",
        "ca1.org1.consortium.example. 10.10.1.40",
    ),
    (
        "_ca._tcp.ca1.org1.consortium.example",
        "SRV",
        "NOERROR",
        "0 0 7054 ca1.org1.consortium.example.",
    ),
    (
        "11.1.10.10.in-addr.arpa",
        "PTR",
        "NOERROR",
        "peer0.org1.consortium.example.",
    ),
    (
        "11.2.10.10.in-addr.arpa",
        "PTR",
        "NOERROR",
        "peer0.org2.consortium.example.",
    ),
    (IPV6, "PTR", "NOERROR", "peer0.org2.consortium.example."),
    ("nobody.org1.consortium.example", "A", "NXDOMAIN", ""),
    ("99.1.10.10.in-addr.arpa", "PTR", "NXDOMAIN", ""),
];
/// `fd00:10:2::11`.
const IPV6: &str = "1.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.0.1.0.0.0.0.d.f.ip6.arpa";

#[test]
fn stubs_resolve_through_dnsmasq_unbound_and_bind_and_survive_an_outage_of_the_gateway() {
    let mut scene = Scene::new("recipes", RINGWAY);
    let more = "\n[[dns.host]]\nname = \"ca1\"\naddresses = [\"10.10.1.40\"]\nservices = [\"ca:7054/tcp\"]\n\
                \n[[dns.record]]\nname = \"ca\"\ntype = \"CNAME\"\ndata = \"ca1\"\n";
    append(&scene.config("gw.org1"), more);
    scene.reload("gw.org1");
    let resolvers = RESOLVERS.map(|resolver| resolver.start(&scene, &[]));

    for resolver in &resolvers {
        for (name, kind, code, data) in ANSWERS {
            resolver.eventually_says(&scene, (name, kind), code, data);
        }
    }
    scene.kill("gw.org1").expect("it runs");
    // Names of the last half minute may be kept for their 5 seconds; these were never asked before.
    let fresh = ["orderer1.org0", "peer1.org1", "peer1.org2"]
        .map(|name| format!("{name}.consortium.example"));
    std::thread::scope(|threads| {
        for (resolver, name) in resolvers
            .iter()
            .flat_map(|resolver| fresh.iter().map(move |name| (resolver, name)))
        {
            threads.spawn(|| resolver.knows_nothing_of(&scene, name));
        }
    });
    scene.start("gw.org1").expect("it starts");
    for resolver in &resolvers {
        resolver.eventually_says(&scene, (&fresh[2], "A"), "NOERROR", "10.10.2.12");
        resolver.eventually_says(&scene, (&fresh[0], "A"), "NOERROR", "10.10.0.12");
        resolver.eventually_says(
            &scene,
            ("nobody.org2.consortium.example", "A"),
            "NXDOMAIN",
            "",
        );
    }
    drop(resolvers);
    each_exception_is_needed(&scene);
    scene.close();
}

/// Without its line there is no answer, or only that of the resolver's own empty zones.
fn each_exception_is_needed(scene: &Scene) {
    let (name, address) = (
        ("peer0.org2.consortium.example", "A"),
        ("11.2.10.10.in-addr.arpa", "PTR"),
    );
    let [dnsmasq, unbound, bind] = RESOLVERS;
    for (resolver, line, (question, kind)) in [
        (dnsmasq, "rebind-domain-ok", name),
        (dnsmasq, "rev-server", address),
        (unbound, "domain-insecure", name),
        (unbound, "private-domain", name),
        (unbound, "local-zone", address),
        (bind, "\"consortium.example\";", name),
        (bind, "in-addr.arpa\" {", address),
    ] {
        let (code, data) = resolver.start(scene, &[line]).ask(scene, question, kind);
        assert!(
            data.is_empty(),
            "{} without {line:?}: {code} {data}",
            resolver.program
        );
    }
}

/// How one resolver is started with its recipe.
#[derive(Clone, Copy)]
struct Resolver {
    program: &'static str,
    address: &'static str,
    recipes: &'static [&'static str],
    /// Its configuration around the recipes, which stand in the directory given.
    config: fn(&Path) -> String,
    arguments: &'static [&'static str],
}

const RESOLVERS: [Resolver; 3] = [
    Resolver {
        program: "/usr/sbin/dnsmasq",
        address: "127.0.0.2",
        recipes: &["dnsmasq.conf"],
        config: |dir| {
            format!(
                "listen-address=127.0.0.2\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\npid-file=\n\
                 stop-dns-rebind\nbogus-priv\ndnssec\ntrust-anchor=.,{}\nconf-file={}/dnsmasq.conf\n",
                ROOT_KEY.replace(' ', ","),
                dir.display()
            )
        },
        arguments: &["--keep-in-foreground", "--conf-file=base.conf"],
    },
    Resolver {
        program: "/usr/sbin/unbound",
        address: "127.0.0.3",
        recipes: &["unbound.conf"],
        config: |dir| {
            let dir = dir.display();
            format!(
                "server:\n interface: 127.0.0.3\n directory: {dir}\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n \
                 use-syslog: no\n module-config: \"validator iterator\"\n trust-anchor: \". DS {ROOT_KEY}\"\n \
                 private-address: 10.0.0.0/8\n private-address: fd00::/8\ninclude: {dir}/unbound.conf\n"
            )
        },
        arguments: &["-d", "-c", "base.conf"],
    },
    Resolver {
        program: "/usr/sbin/named",
        address: "127.0.0.1",
        recipes: &["bind.conf", "bind-options.conf"],
        config: |dir| {
            let dir = dir.display();
            format!(
                "options {{ directory \"{dir}\"; listen-on {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; \
                 max-cache-size 16m; pid-file none; session-keyfile none; dnssec-validation yes; include \"bind-options.conf\"; }};\n\
                 controls {{ }};\ntrust-anchors {{ . static-ds {} }};\ninclude \"bind.conf\";\n",
                quoted_key()
            )
        },
        arguments: &["-g", "-c", "base.conf"],
    },
];

fn quoted_key() -> String {
    let (numbers, digest) = ROOT_KEY.rsplit_once(' ').expect("four words");
    format!("{numbers} \"{digest}\";")
}

/// A resolver that runs; dropped, it is gone.
struct Running {
    program: Background,
    resolver: Resolver,
}

impl Resolver {
    /// Starts it with its recipes, but for the lines that contain one of `without`.
    fn start(self, scene: &Scene, without: &[&str]) -> Running {
        let dir = scene.topology().dir().join(self.address);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("the laboratory's directory is writable");
        for recipe in self.recipes {
            fs::write(dir.join(recipe), substituted(recipe, without))
                .expect("a writable directory");
        }
        fs::write(dir.join("base.conf"), (self.config)(&dir)).expect("a writable directory");
        let mut command = scene
            .command(NODE, self.copied(&dir))
            .expect("a node of the laboratory");
        command.args(self.arguments).current_dir(&dir);
        let running = Running {
            program: Background::spawn(scene, self.address, command),
            resolver: self,
        };
        // A name that all of them know by themselves.
        eventually_ok(&format!("{} to answer", self.program), 15, || {
            match running.ask(scene, "1.0.0.127.in-addr.arpa", "PTR").0 != NO_ANSWER {
                true => Ok(()),
                false => anyhow::bail!("it says {}", running.program.printed()),
            }
        });
        running
    }

    /// A copy of the program: where AppArmor guards the installed one, it may not read the files of a test.
    fn copied(self, dir: &Path) -> PathBuf {
        let copy = dir.join(
            Path::new(self.program)
                .file_name()
                .expect("a program has a name"),
        );
        fs::copy(self.program, &copy).unwrap_or_else(|error| panic!("{}: {error}", self.program));
        copy
    }
}

/// The recipe with this laboratory's addresses in it.
fn substituted(recipe: &str, without: &[&str]) -> String {
    let path = Path::new(RECIPES).join(recipe);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let kept = text
        .lines()
        .filter(|line| !without.iter().any(|word| line.contains(word)));
    let mut kept = kept.fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{line}");
        text
    });
    for (example, here) in HERE {
        kept = kept.replace(example, here);
    }
    kept.replace("10.1.0.0/16", "10.10.1.0/24")
        .replace("10.2.0.0/16", "10.10.2.0/24")
}

/// What `dig` says when it has waited in vain.
const NO_ANSWER: &str = "no answer";

impl Running {
    /// The response code, and the data of the answer section.
    fn ask(&self, scene: &Scene, name: &str, kind: &str) -> (String, String) {
        let mut dig = scene
            .command(NODE, "dig")
            .expect("a node of the laboratory");
        dig.arg(format!("@{}", self.resolver.address))
            .args(["+tries=1", "+timeout=2", name, kind]);
        let output = dig.output().expect("dig runs; install bind9-dnsutils");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let code = text
            .split_once("status: ")
            .and_then(|(_, rest)| rest.split(',').next());
        let section = text
            .split_once(";; ANSWER SECTION:\n")
            .map_or("", |(_, rest)| rest);
        let records = section.lines().take_while(|line| !line.is_empty());
        let data = |line: &str| {
            line.split_whitespace()
                .skip(4)
                .collect::<Vec<_>>()
                .join(" ")
        };
        (
            code.unwrap_or(NO_ANSWER).into(),
            records.map(data).collect::<Vec<_>>().join(" "),
        )
    }

    /// It fails, and does not say that there is no such name.
    fn knows_nothing_of(&self, scene: &Scene, name: &str) {
        let (code, data) = self.ask(scene, name, "A");
        let program = self.resolver.program;
        assert!(
            data.is_empty() && !["NXDOMAIN", "NOERROR"].contains(&&*code),
            "{program}: {name}: {code} {data}"
        );
    }

    /// A resolver may have just found a gateway absent, and a name may be new.
    fn eventually_says(&self, scene: &Scene, (name, kind): (&str, &str), code: &str, data: &str) {
        let what = format!("{name} {kind} from {}", self.resolver.program);
        eventually_ok(&what, 20, || match self.ask(scene, name, kind) {
            said if said == (code.into(), data.into()) => Ok(()),
            said => anyhow::bail!("{said:?} and not {:?}", (code, data)),
        });
    }
}
