//! [`Charon`]: strongSwan's IKE daemon with the files of a recipe, in a network namespace.
//!
//! The kernels that tests run on have neither ESP nor XFRM interfaces: charon's plugin
//! kernel-libipsec encrypts in user space, with one TUN device, `ipsec0`, for all tunnels. So the
//! names of interfaces, the places of files and some times are others than the recipe's; the
//! connections, the script and the form of the secrets are the recipe's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ringway_lab::program;

use crate::scene::eventually;

/// What stands around the settings of a recipe.
const PLUGINS: &str =
    "    load = random nonce openssl aes sha1 sha2 hmac kdf gmp gcm pem pkcs1 pkcs8 \
x509 pubkey kernel-libipsec kernel-netlink socket-default vici updown
    plugins {
        kernel-libipsec {
            allow_peer_ts = yes
        }
        # Its own routes are for packets with this mark, which there are none of.
        kernel-netlink {
            fwmark = 0x4242
        }
        vici {
            socket = unix://<dir>/vici
        }
    }
    filelog {
        log {
            path = <dir>/log
            flush_line = yes
        }
    }
";

/// The daemon. It is ended when the value is dropped.
pub struct Charon {
    dir: PathBuf,
    process: Child,
}

impl Charon {
    /// Starts it in `netns` with the files in `recipe`, whose keys are `key 1` and `key 2`.
    pub fn start(netns: &str, dir: &Path, recipe: &str) -> Charon {
        fs::create_dir_all(dir).expect("the laboratory's directory is writable");
        let place = dir.display().to_string();
        let files = files(recipe);

        let settings = file(&files, "/etc/strongswan.d/ringway.conf");
        let plugins = PLUGINS.replace("<dir>", &place);
        let settings = settings
            .replace(
                "charon-systemd {\n",
                &format!("charon-systemd {{\n{plugins}"),
            )
            .replace("retransmit_timeout = 1.0", "retransmit_timeout = 0.3");
        write(&dir.join("strongswan.conf"), &settings, 0o644);

        let (script, text) = only(&files, "-ipsec");
        let mut text = text.to_owned();
        for number in 1..=2 {
            text = text.replace(&format!("interface=ipsec{number}"), "interface=ipsec0");
        }
        write(&dir.join("script"), &text, 0o755);
        let (_, connections) = only(&files, ".conf");
        let connections = connections
            .replace(&script, &format!("{place}/script"))
            .replace("dpd_delay = 5s", "dpd_delay = 1s");
        let all = format!("{connections}\n{}", secrets(recipe));
        write(&dir.join("swanctl.conf"), &all, 0o600);

        let process = Charon::spawn(netns, dir);
        let charon = Charon {
            dir: dir.to_owned(),
            process,
        };
        let socket = dir.join("vici");
        eventually("charon", 10, || socket.exists());
        charon.swanctl(&["--load-all", "--file", &format!("{place}/swanctl.conf")]);
        charon
    }

    fn spawn(netns: &str, dir: &Path) -> Child {
        Command::new("ip")
            .args(["netns", "exec", netns, "/usr/sbin/charon-systemd"])
            .env("STRONGSWAN_CONF", dir.join("strongswan.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the package charon-systemd is installed")
    }

    /// What `swanctl` prints; its failure fails the test.
    pub fn swanctl(&self, arguments: &[&str]) -> String {
        let socket = format!("unix://{}/vici", self.dir.display());
        let mut command = Command::new("swanctl");
        command
            .env("STRONGSWAN_CONF", self.dir.join("strongswan.conf"))
            .args(arguments)
            .args(["--uri", &socket]);

        program::output(&mut command).unwrap_or_else(|error| panic!("{error:#}\n{}", self.logged()))
    }

    /// True if the tunnel of this connection carries packets.
    pub fn has(&self, connection: &str) -> bool {
        let sas = self.swanctl(&["--list-sas", "--child", connection]);
        sas.contains("INSTALLED")
    }

    /// The numbers of the SAs of this connection's tunnel, of which a rekeying makes others.
    pub fn keys(&self, connection: &str) -> Vec<String> {
        let sas = self.swanctl(&["--list-sas", "--child", connection]);
        let lines = sas.lines().map(str::trim);
        lines
            .filter(|line| line.starts_with("in ") || line.starts_with("out "))
            .filter_map(|line| line.split([' ', ',']).find(|word| word.len() == 8))
            .map(str::to_owned)
            .collect()
    }

    /// All that it has logged.
    pub fn logged(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

impl Drop for Charon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.logged();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(40)..];
            eprintln!("── {}\n{}", self.dir.display(), last.join("\n"));
        }
        // One that has ended needs no end.
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("the laboratory's directory is writable");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

/// Path and text of each file in a recipe.
fn files(recipe: &str) -> Vec<(String, String)> {
    let parts = recipe.split("# file: ").skip(1);

    parts
        .map(|part| {
            let (head, text) = part.split_once('\n').expect("a line for each file");
            let (path, _) = head.split_once(", mode ").expect("path and mode");
            (path.to_owned(), text.to_owned())
        })
        .collect()
}

fn file<'f>(files: &'f [(String, String)], path: &str) -> &'f str {
    let found = files.iter().find(|(known, _)| known == path);
    &found.expect("the recipe has it").1
}

/// The file of swanctl's or the script, by how its path ends.
fn only(files: &[(String, String)], end: &str) -> (String, String) {
    let mut found = files
        .iter()
        .filter(|(path, _)| path.ends_with(end) && !path.starts_with("/etc/strongswan.d/"));
    found.next().expect("the recipe has it").clone()
}

/// The secrets, as the recipe says that their file looks.
fn secrets(recipe: &str) -> String {
    let lines = recipe.lines().skip_while(|line| *line != "# secrets {");
    let mut text = String::new();
    for line in lines {
        text.push_str(line.strip_prefix("# ").unwrap_or_default());
        text.push('\n');
        if line == "# }" {
            break;
        }
    }
    text.replace(['<', '>'], "")
}
