//! The same with NSD as the resolver: everything that real answers are made of, seen by `kdig`.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::site::{PATIENCE, Site};

/// Zone `corp.test` at NSD; dropped, it has ended.
struct Nsd {
    process: Child,
    dir: PathBuf,
    address: SocketAddr,
}

const ZONE: &str = "$ORIGIN corp.test.\n$TTL 300\n@ SOA ns h 1 60 10 600 30\n@ NS ns\nns A 192.0.2.53\n\
    www A 192.0.2.1\nwww A 192.0.2.2\nalias CNAME www\nback CNAME peer0.org1.consortium.test.\n\
    mail MX 10 www\nodd TYPE65280 \\# 3 010203\n";

impl Nsd {
    fn start() -> Nsd {
        let dir = std::env::temp_dir().join(format!("ringway-forward-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let large: String = (0..200).map(|i| format!("large A 192.0.2.{i}\n")).collect();
        std::fs::write(dir.join("corp.zone"), format!("{ZONE}{large}")).unwrap();
        let port = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let at = dir.display();
        let conf = format!(
            "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{at}\"\n  \
             database: \"\"\n  pidfile: \"{at}/nsd.pid\"\n  xfrdfile: \"{at}/nsd.xfrd\"\n  xfrdir: \"{at}\"\n  \
             zonelistfile: \"{at}/nsd.list\"\n  logfile: \"{at}/nsd.log\"\n  server-count: 1\n\
             remote-control:\n  control-enable: no\nzone:\n  name: corp.test\n  zonefile: corp.zone\n"
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
        nsd.wait();
        nsd
    }

    fn wait(&self) {
        let until = Instant::now() + PATIENCE;
        let port = self.address.port().to_string();
        let ask = [
            "@127.0.0.1",
            "-p",
            &port,
            "+short",
            "+time=1",
            "+retry=0",
            "www.corp.test",
        ];
        while Command::new("kdig")
            .args(ask)
            .output()
            .is_ok_and(|output| output.stdout.len() < 9)
        {
            assert!(Instant::now() < until, "NSD does not answer");
        }
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        // SIGTERM lets it end its child too.
        let _ = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn real_answers_pass_over_udp_and_tcp_as_they_are() {
    let nsd = Nsd::start();
    let site = Site::forwarding(&[("corp.test", &[nsd.address])]);
    for transport in ["+notcp", "+tcp"] {
        let short = |question: &str| site.kdig(&format!("{question} +short {transport}"));
        assert_eq!(short("www.corp.test A"), "192.0.2.1\n192.0.2.2\n");
        assert_eq!(
            short("alias.corp.test A"),
            "www.corp.test.\n192.0.2.1\n192.0.2.2\n"
        );
        assert_eq!(short("mail.corp.test MX"), "10 www.corp.test.\n");
        assert_eq!(short("odd.corp.test TYPE65280"), "\\# 3 010203\n");
        assert_eq!(
            short("back.corp.test A"),
            "peer0.org1.consortium.test.\n10.1.0.11\n"
        );
        let out = "www.corp.test.\n192.0.2.1\n192.0.2.2\n";
        assert_eq!(short("out.org1.consortium.test A"), out);
    }
    let large = site.kdig("large.corp.test A +short");
    let addresses = large.lines().filter(|line| line.starts_with("192.0.2."));
    assert_eq!(addresses.count(), 200, "cut off, then over TCP");
}

#[test]
fn denials_pass_with_the_zone_that_denies_and_nobody_claims_authority_for_it() {
    let nsd = Nsd::start();
    let site = Site::forwarding(&[("corp.test", &[nsd.address])]);
    for (question, status) in [
        ("no.corp.test A", "NXDOMAIN"),
        ("www.corp.test TXT", "NOERROR"),
    ] {
        for _ in 0..2 {
            let said = site.kdig(question);
            assert!(said.contains(&format!("status: {status}")), "{said}");
            assert!(said.contains("Flags: qr rd ra;"), "{said}");
            assert!(
                said.contains("ns.corp.test. h.corp.test. 1 60 10 600 30"),
                "{said}"
            );
        }
    }
    let cut = site.kdig("large.corp.test A +ignore +edns");
    assert!(
        cut.contains("Flags: qr tc rd ra;") && cut.contains("ANSWER: 0;"),
        "{cut}"
    );
}
