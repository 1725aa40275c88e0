//! The TUN device: created, configured and brought up.
//!
//! The data plane reads and writes packets with a virtio header (`IFF_VNET_HDR`, for TCP and UDP
//! segmentation offload), in blocking mode. The device is not persistent: it is removed with its
//! last handle or with the process, and the kernel then removes the routes through it.

mod group;
mod owner;

use std::sync::Arc;
use std::{fs, io};

use ringway_config::TunName;
use tracing::warn;
use tun_rs::{DeviceBuilder, DeviceBuilderGuard, SyncDevice};

pub use self::owner::owner;
use super::sysctl::{self, Setting, SysctlError};

/// Packets that may wait for the data plane; the kernel drops more. As on an Ethernet card (the
/// driver's default is 500). The data plane increases it where it can bound the bytes.
pub(crate) const QUEUE: u32 = 1000;

/// The interface group of all our TUN devices, including other daemons' on this host: by it the
/// guard recognizes the mesh. "RWAY" in ASCII.
pub const TUN_GROUP: u32 = 0x5257_4159;

/// Why the TUN device could not be created.
#[derive(Debug, thiserror::Error)]
pub enum TunError {
    /// A daemon of ours has a device of this name.
    #[error(
        "device {name} exists: is another ringway running in this network namespace? \
         Stop it, or choose another name"
    )]
    Exists {
        /// The device.
        name: String,
    },
    /// Another interface has the name.
    #[error("{name} is another interface of this host; choose another name")]
    Foreign {
        /// The interface.
        name: String,
    },
    /// The kernel has no TUN driver, or the container no device node.
    #[error(
        "/dev/net/tun is missing: load the module (modprobe tun), or pass the device to the \
         container"
    )]
    NoDriver(#[source] io::Error),
    /// Not root, and no capability.
    #[error("not permitted to create device {name}: ringway needs CAP_NET_ADMIN")]
    NotPermitted {
        /// The device.
        name: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
    /// Another error.
    #[error("cannot set up device {name}")]
    Failed {
        /// The device.
        name: String,
        /// The kernel's error.
        #[source]
        source: io::Error,
    },
}

/// Creates device `name` in the network namespace of the calling thread and brings it up. Each of
/// `lanes` can open a queue of it. Returns the device and its interface index.
pub fn open_tun(
    name: &TunName,
    mtu: u16,
    lanes: usize,
) -> Result<(Arc<SyncDevice>, u32), TunError> {
    let device = create_tun(name, mtu, lanes)?;
    let index = raise_tun(name, &device)?;

    Ok((device, index))
}

/// Creates a device for single packets, without a virtio header, and leaves it down.
pub fn create_plain_tun(name: &TunName, mtu: u16) -> Result<SyncDevice, TunError> {
    build(name, mtu, |linux| _ = linux.tx_queue_len(QUEUE))
}

/// Creates device `name` as [`open_tun`] does, but leaves it down: no packet passes through it.
pub fn create_tun(name: &TunName, mtu: u16, lanes: usize) -> Result<Arc<SyncDevice>, TunError> {
    let device = build(name, mtu, |linux| {
        linux
            .offload(true)
            .multi_queue(lanes > 1)
            .tx_queue_len(QUEUE);
    })?;

    Ok(Arc::new(device))
}

fn build(
    name: &TunName,
    mtu: u16,
    with: impl FnMut(&mut DeviceBuilderGuard<'_>),
) -> Result<SyncDevice, TunError> {
    // The driver would attach to a persistent device of that name without an error.
    if let Some(error) = taken(name) {
        return Err(error);
    }

    let built = DeviceBuilder::new()
        .name(name.as_str())
        .mtu(mtu)
        .with(with)
        .enable(false)
        .build_sync();
    let device = built.map_err(|source| classify(name, source))?;

    // Before the device is up, so that the kernel never sends or accepts what the settings forbid.
    configure(name);
    Ok(device)
}

/// Brings up a device made by [`create_tun`] or [`create_plain_tun`]. Returns its interface index.
pub fn raise_tun(name: &TunName, device: &SyncDevice) -> Result<u32, TunError> {
    raise(device).map_err(|source| classify(name, source))
}

fn raise(device: &SyncDevice) -> io::Result<u32> {
    let index = device.if_index()?;
    group::set(index, TUN_GROUP)?;
    device.enabled(true)?;
    Ok(index)
}

/// Sets the device's kernel settings. Each is a second line of defence or avoids useless traffic,
/// so one that cannot be written (read-only `/proc/sys`) only causes a warning.
fn configure(name: &TunName) {
    let reverse_path = Setting {
        key: format!("net/ipv4/conf/{name}/rp_filter"),
        value: reverse_path_filter().into(),
        is_closable: false,
    };

    for Setting { key, value, .. } in settings(name).into_iter().chain([reverse_path]) {
        // A kernel without IPv6 lacks its settings.
        if sysctl::read(&key).is_ok() {
            warn_of(
                sysctl::write(&key, &value),
                "Cannot configure the TUN device",
            );
        }
    }
}

/// The settings of device `name` that must stay in force.
pub fn settings(name: &TunName) -> Vec<Setting> {
    [
        // First, because the others have no effect without it: the setting `default` may have
        // disabled IPv6 on new devices, as container runtimes do.
        ("ipv6", "disable_ipv6", "0"),
        // No link-local address and no router solicitations: the peers of this link do not process
        // them.
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv6", "accept_ra", "0"),
        // A peer must not change our routes.
        ("ipv6", "accept_redirects", "0"),
        ("ipv4", "accept_redirects", "0"),
        ("ipv4", "send_redirects", "0"),
    ]
    .map(|(family, setting, value)| Setting {
        key: format!("net/{family}/conf/{name}/{setting}"),
        value: value.into(),
        is_closable: false,
    })
    .into()
}

fn warn_of<T>(written: Result<T, SysctlError>, message: &'static str) {
    if let Err(error) = written {
        warn!(%error, reason = %error.source, "{message}");
    }
}

/// The least strict value of `rp_filter`. The data plane itself checks sources against the sender's
/// authorization, and packets of a draining peer still arrive when its route is gone. The kernel
/// uses the larger value of `all` and the device; 2 (loose) overrides a strict `all`.
fn reverse_path_filter() -> &'static str {
    match sysctl::read("net/ipv4/conf/all/rp_filter").as_deref() {
        Ok("0") | Err(_) => "0",
        Ok(_) => "2",
    }
}

/// Why no device `name` can be created in this thread's network namespace, if that is known before.
pub fn taken(name: &TunName) -> Option<TunError> {
    if !exists(name) {
        return None;
    }

    let text = name.to_string();
    // The group tells our devices from all others.
    Some(match group::of(name.as_str()) {
        Ok(Some(TUN_GROUP)) => TunError::Exists { name: text },
        _ => TunError::Foreign { name: text },
    })
}

/// True if this thread's network namespace has an interface `name`.
pub fn exists(name: &TunName) -> bool {
    // /sys/class/net shows the namespace in which /sys was mounted; this file shows the thread's.
    let Ok(interfaces) = fs::read_to_string("/proc/thread-self/net/dev") else {
        return false;
    };

    interfaces.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(found, _)| found.trim() == name.as_str())
    })
}

fn classify(name: &TunName, source: io::Error) -> TunError {
    let name = name.to_string();

    match source.raw_os_error() {
        // Another process took the name after the check with `exists`.
        Some(libc::EBUSY) => TunError::Exists { name },
        // From opening /dev/net/tun: no device node, or no driver behind it.
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::NoDriver(source),
        Some(libc::EPERM | libc::EACCES) => TunError::NotPermitted { name, source },
        _ => TunError::Failed { name, source },
    }
}
