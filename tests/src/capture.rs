//! [`Capture`]: what crosses an interface, by tcpdump.

use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::scene::eventually;
use crate::{Background, Scene};

/// A running capture.
pub struct Capture {
    tcpdump: Background,
    file: PathBuf,
}

/// What was captured.
pub struct Captured {
    file: PathBuf,
}

impl Capture {
    /// Captures whole packets on `interface` of `node`; has begun when this returns.
    pub fn start(scene: &Scene, node: &str, interface: &str) -> Capture {
        Capture::of(scene, node, interface, "0")
    }

    /// The same of their headers only. Each packet takes as much of the buffer as the largest may need: where there are
    /// many, there would be no room for them whole.
    pub fn headers(scene: &Scene, node: &str, interface: &str) -> Capture {
        Capture::of(scene, node, interface, "128")
    }

    fn of(scene: &Scene, node: &str, interface: &str, len: &str) -> Capture {
        let label = format!("capture-{node}-{interface}");
        let file = scene.topology().dir().join(format!("{label}.pcap"));
        let path = file.to_string_lossy();
        // -Z root: tcpdump would give up the right to write into the laboratory's directory.
        let mut arguments = vec!["-i", interface, "-w", &path, "-Z", "root", "-n", "-s", len];
        arguments.extend(["-U", "--immediate-mode", "-B", "32768"]);
        let tcpdump = Background::start(scene, node, &label, "tcpdump", &arguments);
        tcpdump.wait_for("listening on");
        Capture { tcpdump, file }
    }

    /// Ends it, once it has written all that had arrived by now. No packet may have been lost.
    pub fn stop(self) -> Captured {
        let arrived = self.counters().arrived;
        eventually("tcpdump to write what has arrived", 10, || {
            self.counters().written >= arrived
        });
        let said = self.tcpdump.stop(Signal::SIGINT);
        assert!(
            said.contains("\n0 packets dropped by kernel"),
            "the capture is incomplete: {said}"
        );
        Captured { file: self.file }
    }

    /// Asks tcpdump for its counters (SIGUSR1).
    fn counters(&self) -> Counters {
        let asked = self.tcpdump.printed().len();
        self.tcpdump.signal(Signal::SIGUSR1);
        let mut said = String::new();
        eventually("tcpdump's counters", 10, || {
            said = self.tcpdump.printed()[asked..].to_string();
            said.contains("dropped by kernel")
        });
        let number = |what: &str| {
            said.lines()
                .find(|line| line.contains(what))?
                .split_whitespace()
                .find_map(|word| word.parse().ok())
        };
        let number = |what: &str| number(what).unwrap_or_else(|| panic!("no {what:?} in {said:?}"));
        Counters {
            written: number("captured"),
            arrived: number("received by filter"),
        }
    }
}

/// What tcpdump says of itself.
struct Counters {
    written: u64,
    arrived: u64,
}

impl Captured {
    /// The packets that match `filter` (pcap-filter(7)), one line each, at most twenty.
    pub fn matching(&self, filter: &str) -> Vec<String> {
        let read = Command::new("tcpdump")
            .args(["-n", "-c", "20", "-r"])
            .arg(&self.file)
            .arg(filter)
            .output();
        let read = read.expect("tcpdump runs");
        assert!(
            read.status.success(),
            "tcpdump: {}",
            String::from_utf8_lossy(&read.stderr)
        );
        String::from_utf8_lossy(&read.stdout)
            .lines()
            .map(String::from)
            .collect()
    }

    /// When the first packet that matches `filter` was seen, in seconds since 1970.
    pub fn first(&self, filter: &str) -> Option<f64> {
        let seen = Command::new("tcpdump")
            .args(["-tt", "-n", "-c", "1", "-r"])
            .arg(&self.file)
            .arg(filter)
            .output();
        let seen = seen.expect("tcpdump runs");
        assert!(
            seen.status.success(),
            "tcpdump: {}",
            String::from_utf8_lossy(&seen.stderr)
        );
        String::from_utf8_lossy(&seen.stdout)
            .split(' ')
            .next()?
            .parse()
            .ok()
    }

    /// True if `marker` stands anywhere in a captured packet.
    pub fn contains(&self, marker: &str) -> bool {
        let bytes = std::fs::read(&self.file).expect("the capture was written");
        bytes
            .windows(marker.len())
            .any(|window| window == marker.as_bytes())
    }
}
