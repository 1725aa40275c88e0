//! Finds what would keep a gateway from starting on this host, without changing anything. For
//! `check`, in the words with which the start itself would fail.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ringway_config::TunName;
use ringway_intent::{GuardSpec, Remedy};

use crate::firewall::{FirewallError, PROGRAMS};
use crate::forwarding;
use crate::sysctl::Setting;
use crate::tun::{self, TunError};

/// CAP_NET_ADMIN (capabilities(7)).
const NET_ADMIN: u32 = 12;
/// CAP_NET_RAW.
const NET_RAW: u32 = 13;

/// A reason why a start would fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The device node exists, but this user may not open it.
    TunDenied,
    /// The kernel has no TUN driver, or the container has no device node.
    NoTun(io::ErrorKind),
    /// The program `nft` is missing.
    NoNft,
    /// A TUN device cannot have its name.
    DeviceExists {
        /// Where the name is written: `gateway.toml:12:8: [tun] name`.
        key: String,
        /// The reason, as a start would say it.
        reason: String,
        /// True if another program's interface has the name.
        is_foreign: bool,
    },
    /// Another program has the tunnel port.
    PortTaken(SocketAddr),
    /// The admin socket cannot be created.
    Socket {
        /// The reason.
        reason: String,
        /// How to fix it.
        remedy: Remedy,
    },
}

impl Obstacle {
    /// How to fix it.
    pub fn remedy(&self) -> Remedy {
        match self {
            Obstacle::TunDenied => {
                Remedy::command("chmod 666 /dev/net/tun   # or run ringway as root")
            }
            Obstacle::NoTun(_) => Remedy::command(
                "modprobe tun   # for a container: on the host, and start it with --device \
                 /dev/net/tun",
            ),
            Obstacle::NoNft => Remedy::command("apt-get install nftables"),
            Obstacle::DeviceExists {
                is_foreign: true, ..
            } => Remedy::command("ip -br link   # the names that are in use; choose another one"),
            // Such a device is there as long as its process: nothing is left to delete.
            Obstacle::DeviceExists { .. } => Remedy::command(
                "pgrep -a ringway   # the other one; stop it, or choose another name",
            ),
            Obstacle::PortTaken(listen) => Remedy::command(format!(
                "ss -lunp 'sport = {}'   # the program to stop; or change [gateway] listen",
                listen.port()
            )),
            Obstacle::Socket { remedy, .. } => remedy.clone(),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::TunDenied => f.write_str(
                "/dev/net/tun may not be opened: run ringway as root, or give its user the right \
                 to",
            ),
            Obstacle::NoTun(error) => {
                write!(f, "{}", TunError::NoDriver((*error).into()))
            }
            Obstacle::NoNft => write!(f, "{}", FirewallError::Missing),
            Obstacle::DeviceExists { key, reason, .. } => write!(f, "{key}: {reason}"),
            Obstacle::PortTaken(listen) => write!(
                f,
                "cannot listen on {listen}: is another program using the port?"
            ),
            Obstacle::Socket { reason, .. } => f.write_str(reason),
        }
    }
}

/// Every reason for which a start as this user would fail. `device`, which the file names at `key`,
/// and `listen` are checked only if no daemon of this gateway uses them already.
pub fn obstacles(
    device: &TunName,
    key: &str,
    listen: SocketAddr,
    is_running: bool,
) -> Vec<Obstacle> {
    let mut found = Vec::new();

    match tun_driver() {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            found.push(Obstacle::TunDenied);
        }
        Err(error) => found.push(Obstacle::NoTun(error.kind())),
    }
    if !is_found(&PROGRAMS) {
        found.push(Obstacle::NoNft);
    }
    if is_running {
        return found;
    }

    found.extend(taken(device, key, listen));
    found
}

/// Whether other programs use the device or the port that a start needs, in the order in which a
/// start would fail.
pub fn taken(device: &TunName, key: &str, listen: SocketAddr) -> Vec<Obstacle> {
    let mut found = Vec::new();

    if let Some(error) = tun::taken(device) {
        found.push(Obstacle::DeviceExists {
            key: key.to_owned(),
            reason: error.to_string(),
            is_foreign: matches!(error, TunError::Foreign { .. }),
        });
    }
    if is_bound(listen) {
        found.push(Obstacle::PortTaken(listen));
    }
    found
}

/// True if this process may configure the network. Without that, nothing about the host can be
/// judged.
pub fn is_privileged() -> bool {
    has_capability(NET_ADMIN, None)
}

/// True if the process `pid`, or else this one, may send raw packets, such as announcements of
/// virtual addresses.
pub fn may_send_raw(pid: Option<u32>) -> bool {
    has_capability(NET_RAW, pid)
}

fn has_capability(number: u32, pid: Option<u32>) -> bool {
    let process = pid.map_or_else(|| "thread-self".to_owned(), |pid| pid.to_string());
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());

    effective.is_some_and(|bits| bits & (1 << number) != 0)
}

/// The settings that `spec` needs, that have another value now, and that cannot be written here.
/// Each with its present value.
pub fn read_only_settings(spec: &GuardSpec) -> Vec<(Setting, String)> {
    let wrong = forwarding::wrong_settings(spec).into_iter();

    wrong
        .filter(|(setting, _)| {
            let path = Path::new("/proc/sys").join(&setting.key);
            // The settings of the device appear with it, so they cannot be checked before.
            path.exists() && File::options().write(true).open(path).is_err()
        })
        .collect()
}

fn tun_driver() -> io::Result<()> {
    let opened = File::options().read(true).write(true).open("/dev/net/tun");

    opened.map(|_| ())
}

/// True if one of `programs` exists, as a path or in PATH.
fn is_found(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<_> = std::env::split_paths(&path).collect();

    programs.iter().any(|program| {
        // `join` leaves an absolute path as it is.
        Path::new(program).is_absolute() && Path::new(program).is_file()
            || dirs.iter().any(|dir| dir.join(program).is_file())
    })
}

/// True if a UDP socket in this network namespace prevents binding `listen`.
pub fn is_bound(listen: SocketAddr) -> bool {
    let file = match listen {
        SocketAddr::V4(_) => "/proc/thread-self/net/udp",
        SocketAddr::V6(_) => "/proc/thread-self/net/udp6",
    };
    let text = fs::read_to_string(file).unwrap_or_default();

    meets(text.lines(), listen)
}

/// True if a TCP socket in this network namespace prevents listening at `listen`.
pub fn is_listened_on(listen: SocketAddr) -> bool {
    /// TCP_LISTEN, in the fourth column.
    const LISTEN: &str = "0A";

    let file = match listen {
        SocketAddr::V4(_) => "/proc/thread-self/net/tcp",
        SocketAddr::V6(_) => "/proc/thread-self/net/tcp6",
    };
    let text = fs::read_to_string(file).unwrap_or_default();
    let listening = text
        .lines()
        .filter(|line| line.split_whitespace().nth(3) == Some(LISTEN));

    meets(listening, listen)
}

/// True if one of the sockets in `lines` conflicts with `listen`.
fn meets<'a>(lines: impl Iterator<Item = &'a str>, listen: SocketAddr) -> bool {
    lines.filter_map(local_address).any(|bound| {
        // bind(2): a socket for every address conflicts with each single one.
        let meets = bound.ip() == listen.ip()
            || bound.ip().is_unspecified()
            || listen.ip().is_unspecified();
        bound.port() == listen.port() && meets
    })
}

/// The local address of a line of /proc/net/udp (proc(5)): words of the host's byte order in
/// hexadecimal.
fn local_address(line: &str) -> Option<SocketAddr> {
    let (address, port) = line.split_whitespace().nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::new();
    for place in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(place..place + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }

    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_port_in_use_is_seen_without_binding_it() {
        for local in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(socket) = UdpSocket::bind(local) else {
                continue;
            };
            let bound = socket.local_addr().unwrap();
            assert!(is_bound(bound), "{bound}");

            let everywhere: IpAddr = match bound {
                SocketAddr::V4(_) => "0.0.0.0".parse().unwrap(),
                SocketAddr::V6(_) => "::".parse().unwrap(),
            };
            assert!(is_bound(SocketAddr::new(everywhere, bound.port())));
            drop(socket);
            assert!(!is_bound(bound), "{bound}");
        }
    }

    #[test]
    fn a_listening_tcp_socket_is_seen_and_a_connection_is_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(bound).unwrap();

        assert!(is_listened_on(bound));
        assert!(!is_listened_on(client.local_addr().unwrap()));
    }

    #[test]
    fn a_line_of_proc_is_read_whatever_it_holds() {
        let line = " 1: 0100007F:1200 00000000:0000 07 00000000:00000000 00:00000000";
        assert_eq!(local_address(line), Some("127.0.0.1:4608".parse().unwrap()));
        for line in [
            "",
            "sl local_address",
            "1: :1",
            "1: 0100:zz",
            "1: é00007F:1200",
        ] {
            assert_eq!(local_address(line), None, "{line}");
        }
    }

    #[test]
    fn a_program_is_found_by_path_or_name() {
        assert!(is_found(&["no-such-program", "sh"]) && is_found(&["/bin/sh"]));
        assert!(!is_found(&["no-such-program", "/nowhere/sh"]));
    }
}
