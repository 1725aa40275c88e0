//! The TUN device: created, configured and brought up.
//!
//! Packets are read and written with a virtio header (`IFF_VNET_HDR`, for TCP and UDP segmentation
//! offload), in blocking mode, by the data plane. The device is not persistent: it goes with its
//! last handle or with the process, and the kernel then removes the routes through it.

mod group;

use std::sync::Arc;
use std::{fs, io};

use ringway_config::TunName;
use tracing::warn;
use tun_rs::{DeviceBuilder, DeviceBuilderGuard, SyncDevice};

use super::sysctl::{self, Setting, SysctlError};

/// Packets that wait for the data plane; the kernel drops more. As on an Ethernet card (the
/// driver's own default is 500). The data plane makes it longer where it can bound the bytes.
pub(crate) const QUEUE: u32 = 1000;

/// The interface group of every TUN device of ours, also of other daemons on this host: the guard
/// knows by it what belongs to a mesh. "RWAY" in ASCII.
pub const TUN_GROUP: u32 = 0x5257_4159;

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
    /// Anything else.
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

/// Creates device `name` as [`open_tun`] does, and leaves it down: no packet passes through it.
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
    // The driver would attach to a persistent device of that name, and report no error.
    if exists(name) {
        return Err(TunError::Exists {
            name: name.to_string(),
        });
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

/// Brings the device that [`create_tun`] or [`create_plain_tun`] has made up. Returns its interface
/// index.
pub fn raise_tun(name: &TunName, device: &SyncDevice) -> Result<u32, TunError> {
    raise(device).map_err(|source| classify(name, source))
}

fn raise(device: &SyncDevice) -> io::Result<u32> {
    let index = device.if_index()?;
    group::set(index, TUN_GROUP)?;
    device.enabled(true)?;
    Ok(index)
}

/// Sets the device's kernel settings. Each is a second line of defence or saves noise, so one that
/// cannot be written (read-only `/proc/sys`) is only warned of.
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

/// The settings of device `name` that must stay as they are.
pub fn settings(name: &TunName) -> Vec<Setting> {
    [
        // First: the others have no effect without. The setting `default` may have disabled IPv6 on
        // new devices; container runtimes do that.
        ("ipv6", "disable_ipv6", "0"),
        // No link-local address and no router solicitations: nothing on this link understands them.
        ("ipv6", "addr_gen_mode", "1"),
        ("ipv6", "accept_ra", "0"),
        // What a peer sends must not change our routes.
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

/// The value of `rp_filter` that checks least. The data plane checks sources itself, against what
/// the sender is authorized for, and packets of a draining peer still arrive when its route is
/// gone. The kernel takes the larger value of `all` and the device; 2 (loose) undoes a strict
/// `all`.
fn reverse_path_filter() -> &'static str {
    match sysctl::read("net/ipv4/conf/all/rp_filter").as_deref() {
        Ok("0") | Err(_) => "0",
        Ok(_) => "2",
    }
}

/// True if this thread's network namespace has an interface `name`.
pub fn exists(name: &TunName) -> bool {
    // /sys/class/net shows the namespace in which /sys was mounted, this file that of the thread.
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
        // Another process took the name after `exists` had looked.
        Some(libc::EBUSY) => TunError::Exists { name },
        // From opening /dev/net/tun: no device node, or no driver behind it.
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TunError::NoDriver(source),
        Some(libc::EPERM | libc::EACCES) => TunError::NotPermitted { name, source },
        _ => TunError::Failed { name, source },
    }
}
