//! Forwarding to NSD: every kind of genuine response, read by `kdig`.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::site::{Site, TIMEOUT};

/// NSD, serving the zone `corp.test` on loopback. Its drop stops it.
struct Nsd {
    process: Child,
    dir: PathBuf,
    address: SocketAddr,
}

const ZONE: &str = "\
    $ORIGIN corp.test.\n\
    $TTL 300\n\
    @ SOA ns h 1 60 10 600 30\n\
    @ NS ns\n\
    ns A 192.0.2.53\n\
    www A 192.0.2.1\n\
    www A 192.0.2.2\n\
    alias CNAME www\n\
    back CNAME peer0.org1.consortium.test.\n\
    mail MX 10 www\n\
    odd TYPE65280 \\# 3 010203\n";

impl Nsd {
    fn start() -> Nsd {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);

        // The port too, because several tests of one process each start an NSD.
        let dir_name = format!("ringway-forward-{}-{port}", std::process::id());
        let dir = std::env::temp_dir().join(dir_name);
        std::fs::create_dir_all(&dir).unwrap();
        // A set that is truncated over UDP.
        let large: String = (0..200).map(|i| format!("large A 192.0.2.{i}\n")).collect();
        std::fs::write(dir.join("corp.zone"), format!("{ZONE}{large}")).unwrap();

        let at = dir.display();
        let conf = format!(
            "server:\n  \
               ip-address: 127.0.0.1@{port}\n  \
               username: \"\"\n  \
               chroot: \"\"\n  \
               zonesdir: \"{at}\"\n  \
               database: \"\"\n  \
               pidfile: \"{at}/nsd.pid\"\n  \
               xfrdfile: \"{at}/nsd.xfrd\"\n  \
               xfrdir: \"{at}\"\n  \
               zonelistfile: \"{at}/nsd.list\"\n  \
               logfile: \"{at}/nsd.log\"\n  \
               server-count: 1\n\
             remote-control:\n  \
               control-enable: no\n\
             zone:\n  \
               name: corp.test\n  \
               zonefile: corp.zone\n"
        );
        std::fs::write(dir.join("nsd.conf"), conf).unwrap();

        let process = Command::new("nsd")
            .args(["-d", "-c", "nsd.conf"])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nsd: {error}; install nsd"));
        let nsd = Nsd {
            process,
            dir,
            address: SocketAddr::from(([127, 0, 0, 1], port)),
        };
        nsd.wait_until_ready();
        nsd
    }

    fn wait_until_ready(&self) {
        let until = Instant::now() + TIMEOUT;
        while !self.is_ready() {
            assert!(Instant::now() < until, "NSD does not answer");
        }
    }

    /// Asks once, waiting for at most a second.
    fn is_ready(&self) -> bool {
        let output = Command::new("kdig")
            .args(["@127.0.0.1", "-p", &self.address.port().to_string()])
            .args(["+short", "+time=1", "+retry=0", "www.corp.test"])
            .output();
        output.is_ok_and(|output| output.stdout.starts_with(b"192.0.2."))
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // SIGTERM: after SIGKILL, NSD's child process would remain.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn genuine_responses_pass_unchanged_over_udp_and_tcp() {
    let nsd = Nsd::start();
    let site = Site::forwarding(&[("corp.test", &[nsd.address])]);

    for transport in ["+notcp", "+tcp"] {
        let short = |question: &str| site.kdig(&format!("{question} +short {transport}"));
        // Addresses take turns at being the first.
        let sorted = |question: &str| {
            let printed = short(question);
            let mut lines: Vec<String> = printed.lines().map(String::from).collect();
            lines.sort_unstable();
            lines
        };
        assert_eq!(sorted("www.corp.test A"), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(
            sorted("alias.corp.test A"),
            ["192.0.2.1", "192.0.2.2", "www.corp.test."]
        );
        assert_eq!(short("mail.corp.test MX"), "10 www.corp.test.\n");
        assert_eq!(short("odd.corp.test TYPE65280"), "\\# 3 010203\n");

        // An alias from their zone into ours, and one from ours into theirs.
        assert_eq!(
            short("back.corp.test A"),
            "peer0.org1.consortium.test.\n10.1.0.11\n"
        );
        assert_eq!(
            sorted("out.org1.consortium.test A"),
            ["192.0.2.1", "192.0.2.2", "www.corp.test."]
        );
    }

    let large = site.kdig("large.corp.test A +short");
    let addresses = large.lines().filter(|line| line.starts_with("192.0.2."));
    assert_eq!(addresses.count(), 200, "truncated first, then over TCP");
}

#[test]
fn negative_responses_pass_with_their_soa_and_without_the_aa_bit() {
    let nsd = Nsd::start();
    let site = Site::forwarding(&[("corp.test", &[nsd.address])]);

    for (question, status) in [
        ("no.corp.test A", "NXDOMAIN"),
        ("www.corp.test TXT", "NOERROR"),
    ] {
        // The second response comes from the cache.
        for _ in 0..2 {
            let output = site.kdig(question);
            assert!(output.contains(&format!("status: {status}")), "{output}");
            assert!(output.contains("Flags: qr rd ra;"), "{output}");
            let soa = "ns.corp.test. h.corp.test. 1 60 10 600 30";
            assert!(output.contains(soa), "{output}");
        }
    }

    let truncated = site.kdig("large.corp.test A +ignore +edns");
    assert!(truncated.contains("Flags: qr tc rd ra;"), "{truncated}");
    let fitting = truncated.lines().filter(|line| line.contains("IN\tA"));
    assert!((20..200).contains(&fitting.count()), "{truncated}");
}
