//! The TUN device: made, configured and brought up.
//!
//! It reads and writes packets with a virtio header (`IFF_VNET_HDR`, TCP and UDP segmentation offload), in
//! blocking mode; the data plane does both. It is not persistent: it goes when the last handle is dropped,
//! or the process dies, and the kernel removes the routes through it.

use std::sync::Arc;
use std::{fs, io};

use tracing::warn;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::sysctl;

/// Packets that wait for the data plane: as on an Ethernet card (the driver's own default is 500).
const QUEUE: u32 = 1000;

/// Why there is no TUN device.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// The name is taken.
    #[error(
        "device {name} exists: is another ringway running in this network namespace? \
         Stop it, or choose another [tun] name"
    )]
    Exists {
        /// The device.
        name: String,
    },
    /// The kernel has no TUN driver, or the container no device node.
    #[error(
        "/dev/net/tun is missing: load the module (modprobe tun), or pass the device to the container"
    )]
    NoDriver(#[source] io::Error),
    /// Not root, and no capability.
    #[error("not permitted to create device {name}: ringway needs CAP_NET_ADMIN")]
    NotPermitted {
        /// The device.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Anything else.
    #[error("cannot set up device {name}")]
    Failed {
        /// The device.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

/// Makes device `name`, which can have a queue for each of `lanes`, in the network namespace of the calling thread and
/// brings it up. Returns it with its interface index.
pub fn open_tun(name: &str, mtu: u16, lanes: usize) -> Result<(Arc<SyncDevice>, u32), TunError> {
    // The driver would attach to a persistent device of that name without a word.
    if exists(name) {
        return Err(TunError::Exists { name: name.into() });
    }
    let classify = |source| classify(name, source);
    let device = DeviceBuilder::new()
        .name(name)
        .mtu(mtu)
        .with(|linux| {
            linux
                .offload(true)
                .multi_queue(lanes > 1)
                .tx_queue_len(QUEUE);
        })
        .enable(false)
        .build_sync()
        .map_err(classify)?;
    settle(name);
    device.enabled(true).map_err(classify)?;
    let index = device.if_index().map_err(classify)?;
    Ok((Arc::new(device), index))
}

/// Kernel settings of the device, before it is up. Each is a second line of defence or saves noise, so
/// that one that cannot be written (read-only `/proc/sys`) is a warning.
fn settle(name: &str) {
    let settings = [
        // No link-local address, no router solicitations: nobody on this link speaks them.
        (format!("net/ipv6/conf/{name}/addr_gen_mode"), "1"),
        (format!("net/ipv6/conf/{name}/accept_ra"), "0"),
        // What a peer sends must not change our routes.
        (format!("net/ipv6/conf/{name}/accept_redirects"), "0"),
        (format!("net/ipv4/conf/{name}/accept_redirects"), "0"),
        (format!("net/ipv4/conf/{name}/send_redirects"), "0"),
        (
            format!("net/ipv4/conf/{name}/rp_filter"),
            reverse_path_filter(),
        ),
    ];
    for (key, value) in settings {
        if sysctl::read(&key).is_err() {
            continue; // a kernel without IPv6
        }
        if let Err(error) = sysctl::write(&key, value) {
            warn!(%error, reason = %error.source, "Could not settle the TUN device");
        }
    }
    // `default` may have disabled IPv6; containers do.
    let disabled = format!("net/ipv6/conf/{name}/disable_ipv6");
    if sysctl::read(&disabled).is_ok_and(|value| value == "1")
        && let Err(error) = sysctl::write(&disabled, "0")
    {
        warn!(%error, reason = %error.source, "IPv6 stays disabled on the TUN device");
    }
}

/// The data plane checks sources itself, against what the sender is authorized for, and a draining peer's
/// packets still arrive when its route is gone: the kernel's check is off where it can be. The kernel
/// takes the larger value of `all` and the device; 2 (loose) undoes a strict `all`.
fn reverse_path_filter() -> &'static str {
    match sysctl::read("net/ipv4/conf/all/rp_filter").as_deref() {
        Ok("0") | Err(_) => "0",
        Ok(_) => "2",
    }
}

/// True if this thread's network namespace has an interface `name`.
fn exists(name: &str) -> bool {
    let Ok(interfaces) = fs::read_to_string("/proc/thread-self/net/dev") else {
        return false;
    };
    interfaces.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(found, _)| found.trim() == name)
    })
}

fn classify(name: &str, source: io::Error) -> TunError {
    let name = name.to_owned();
    match source.raw_os_error() {
        Some(libc::EBUSY) => TunError::Exists { name },
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::NoDriver(source),
        Some(libc::EPERM | libc::EACCES) => TunError::NotPermitted { name, source },
        _ => TunError::Failed { name, source },
    }
}
