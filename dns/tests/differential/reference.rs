//! [`ReferenceServers`]: NSD and Knot on loopback, with the zones of a run.

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::draw::{ZONES, apex};

/// The servers, and the directory with their files. Dropping stops and removes them.
pub(crate) struct ReferenceServers {
    dir: PathBuf,
    servers: Vec<Child>,
}

impl ReferenceServers {
    /// Starts NSD and Knot with the zones in `dir`; also returns their addresses.
    pub(crate) fn start(dir: &Path) -> (ReferenceServers, [SocketAddr; 2]) {
        let ports = [free_port(), free_port()];
        std::fs::write(dir.join("nsd.conf"), nsd_conf(dir, ports[0])).unwrap();
        std::fs::write(dir.join("knot.conf"), knot_conf(dir, ports[1])).unwrap();
        let mut reference = ReferenceServers {
            dir: dir.into(),
            servers: Vec::new(),
        };
        for command in [
            &["nsd", "-d", "-c", "nsd.conf"][..],
            &["knotd", "-c", "knot.conf"],
        ] {
            let log = File::create(dir.join(format!("{}.out", command[0]))).unwrap();
            let mut server = Command::new(command[0]);
            server
                .args(&command[1..])
                .current_dir(dir)
                .stdin(Stdio::null());
            let server = server.stdout(log.try_clone().unwrap()).stderr(log).spawn();
            reference.servers.push(
                server.unwrap_or_else(|e| panic!("{}: {e}; install nsd and knot", command[0])),
            );
        }
        (
            reference,
            ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
        )
    }

    pub(crate) fn logs(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        ["nsd.out", "nsd.log", "knotd.out"].map(read).join("\n")
    }
}

impl Drop for ReferenceServers {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // SIGTERM: NSD's children end with it.
            let _ = Command::new("kill").arg(server.id().to_string()).status();
            let _ = server.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn nsd_conf(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let zones: String = (0..ZONES)
        .map(|i| format!("zone:\n  name: \"{}\"\n  zonefile: \"zone{i}\"\n", apex(i)))
        .collect();
    format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  \
         zonesdir: \"{dir}\"\n  \
         database: \"\"\n  pidfile: \"{dir}/nsd.pid\"\n  \
         xfrdfile: \"{dir}/nsd.xfrd\"\n  xfrdir: \"{dir}\"\n  \
         zonelistfile: \"{dir}/nsd.list\"\n  logfile: \"{dir}/nsd.log\"\n  server-count: 1\n  \
         rrl-ratelimit: 0\n\
         remote-control:\n  control-enable: no\n{zones}"
    )
}

fn knot_conf(dir: &Path, port: u16) -> String {
    let dir = dir.display();
    let zone = |i| {
        format!(
            "  - domain: {}\n    file: \"{dir}/zone{i}\"\n    zonefile-sync: -1\n",
            apex(i)
        )
    };
    let zones: String = (0..ZONES).map(zone).collect();
    format!(
        "server:\n    rundir: \"{dir}\"\n    listen: 127.0.0.1@{port}\n    \
         udp-workers: 1\n    tcp-workers: 1\n    \
         background-workers: 1\nlog:\n  - target: stderr\n    any: warning\n\
         database:\n    storage: \"{dir}\"\n\
         zone:\n{zones}"
    )
}
