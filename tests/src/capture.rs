//! [`Capture`]: the packets that cross an interface, recorded by tcpdump.

use std::path::PathBuf;
use std::process::{Command, Output};

use nix::sys::signal::Signal;

use crate::scene::eventually;
use crate::{Background, Scene};

/// A running capture.
pub struct Capture {
    tcpdump: Background,
    file: PathBuf,
}

/// A finished capture.
pub struct Captured {
    file: PathBuf,
}

impl Capture {
    /// Captures whole packets on `interface` of `node`; the capture runs when this returns.
    pub fn start(scene: &Scene, node: &str, interface: &str) -> Capture {
        Capture::with_length(scene, node, interface, "0")
    }

    /// Captures the first 128 bytes of each packet. The kernel reserves the full captured length in
    /// its buffer for every packet, so a capture of whole packets overflows when there are many.
    pub fn headers(scene: &Scene, node: &str, interface: &str) -> Capture {
        Capture::with_length(scene, node, interface, "128")
    }

    fn with_length(scene: &Scene, node: &str, interface: &str, length: &str) -> Capture {
        let label = format!("capture-{node}-{interface}");
        let file = scene.topology().dir().join(format!("{label}.pcap"));
        let path = file.to_string_lossy();

        let mut arguments = vec!["-i", interface, "-w", &path, "-n", "-s", length];
        // tcpdump would change to a user that may not write into the laboratory's directory.
        arguments.extend(["-Z", "root"]);
        arguments.extend(["-U", "--immediate-mode", "-B", "32768"]);
        let tcpdump = Background::start(scene, node, &label, "tcpdump", &arguments);
        tcpdump.wait_for("listening on");
        Capture { tcpdump, file }
    }

    /// Ends the capture once all packets that have arrived by now are written. Fails the test if a
    /// packet was lost.
    pub fn stop(self) -> Captured {
        let arrived = self.counters().arrived;
        eventually("tcpdump to write what has arrived", 10, || {
            self.counters().written >= arrived
        });

        let printed = self.tcpdump.stop(Signal::SIGINT);
        assert!(
            printed.contains("\n0 packets dropped by kernel"),
            "the capture is incomplete: {printed}"
        );
        Captured { file: self.file }
    }

    /// Makes tcpdump print its counters (SIGUSR1) and reads them.
    fn counters(&self) -> Counters {
        let printed_before = self.tcpdump.printed().len();
        self.tcpdump.signal(Signal::SIGUSR1);

        let mut printed = String::new();
        eventually("tcpdump's counters", 10, || {
            printed = self.tcpdump.printed()[printed_before..].to_string();
            printed.contains("dropped by kernel")
        });
        Counters {
            written: counter(&printed, "captured"),
            arrived: counter(&printed, "received by filter"),
        }
    }
}

/// Numbers of packets by tcpdump's own count.
struct Counters {
    written: u64,
    arrived: u64,
}

/// The number in the line that contains `name`: `12 packets received by filter`.
fn counter(printed: &str, name: &str) -> u64 {
    printed
        .lines()
        .filter(|line| line.contains(name))
        .flat_map(str::split_whitespace)
        .find_map(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no {name:?} in {printed:?}"))
}

impl Captured {
    /// The first twenty packets that match `filter` (pcap-filter(7)), one line each.
    pub fn matching(&self, filter: &str) -> Vec<String> {
        let output = self.read(&["-n", "-c", "20"], filter);
        String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(String::from)
            .collect()
    }

    /// Time of the first packet that matches `filter`, in seconds since 1970.
    pub fn first(&self, filter: &str) -> Option<f64> {
        let output = self.read(&["-tt", "-n", "-c", "1"], filter);
        let text = String::from_utf8_lossy(&output.stdout);
        text.split(' ').next()?.parse().ok()
    }

    fn read(&self, options: &[&str], filter: &str) -> Output {
        let output = Command::new("tcpdump")
            .args(options)
            .arg("-r")
            .arg(&self.file)
            .arg(filter)
            .output()
            .expect("tcpdump runs");
        assert!(
            output.status.success(),
            "tcpdump: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    /// True if a captured packet contains `marker`.
    pub fn contains(&self, marker: &str) -> bool {
        let bytes = std::fs::read(&self.file).expect("the capture was written");
        bytes
            .windows(marker.len())
            .any(|window| window == marker.as_bytes())
    }
}
