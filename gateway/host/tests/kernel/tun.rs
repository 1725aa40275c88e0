//! The TUN device.

use std::time::{Duration, Instant};

use ringway_host::tun::{TUN_GROUP, TunError, open_tun};

use crate::namespace::Namespace;
use crate::tun_name;

#[test]
fn the_device_is_up_with_its_mtu_and_without_any_address() {
    let gateway = Namespace::new("gw");
    let (device, index) = gateway.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
    assert!(device.tcp_gso());
    let link = gateway.ip("-d link show ringway0");
    for expected in [
        &format!("{index}: ringway0"),
        ",UP,",
        "mtu 1420",
        "qlen 1000",
        "addrgenmode none",
        "persist off",
        "vnet_hdr on",
        &format!("group {TUN_GROUP} "),
    ] {
        assert!(link.contains(expected), "{expected} is missing in {link}");
    }
    assert_eq!(
        gateway.ip("-4 addr show ringway0") + &gateway.ip("-6 addr show ringway0"),
        ""
    );
    drop(device);
    // The kernel takes a moment.
    let deadline = Instant::now() + Duration::from_secs(5);
    let is_there = || gateway.ip("link").contains("ringway0");
    while is_there() && Instant::now() < deadline {}
    assert!(!is_there());
}

#[test]
fn a_second_daemon_with_the_same_device_gets_a_clear_error() {
    let gateway = Namespace::new("gw");
    let _first = gateway.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
    let error = gateway
        .enter(|| open_tun(&tun_name(), 1420, 1))
        .err()
        .unwrap();
    assert!(matches!(&error, TunError::Exists { name } if name == "ringway0"));
    assert!(
        error
            .to_string()
            .contains("is another ringway running in this network namespace?")
    );
}

#[test]
fn a_persistent_device_that_somebody_left_is_not_taken_over() {
    let gateway = Namespace::new("gw");
    gateway.ip("tuntap add ringway0 mode tun");
    assert!(matches!(
        gateway.enter(|| open_tun(&tun_name(), 1420, 1)),
        Err(TunError::Foreign { .. })
    ));
}

#[test]
fn another_interface_is_not_taken_for_a_daemons_device() {
    let gateway = Namespace::new("gw");
    gateway.ip("link add ringway0 type veth peer name other0");
    let error = gateway.enter(|| open_tun(&tun_name(), 1420, 1)).err();
    assert_eq!(
        error.map(|error| error.to_string()).as_deref(),
        Some("ringway0 is another interface of this host; choose another name")
    );
}

#[test]
fn two_daemons_in_two_namespaces_may_use_the_same_name() {
    let (one, two) = (Namespace::new("one"), Namespace::new("two"));
    let _first = one.enter(|| open_tun(&tun_name(), 1420, 1)).unwrap();
    assert!(two.enter(|| open_tun(&tun_name(), 1420, 1)).is_ok());
}

#[test]
fn missing_rights_are_named() {
    let gateway = Namespace::new("gw");
    let error = gateway.enter(|| {
        give_up_capabilities();
        open_tun(&tun_name(), 1420, 1).err()
    });
    assert!(
        matches!(&error, Some(TunError::NotPermitted { .. })),
        "{error:?}"
    );
    assert!(error.unwrap().to_string().contains("CAP_NET_ADMIN"));
}

/// Takes every capability from the calling thread.
fn give_up_capabilities() {
    let header: [u32; 2] = [0x2008_0522, 0]; // _LINUX_CAPABILITY_VERSION_3, the calling thread
    let none = [0_u32; 6];
    // SAFETY: capset(2) reads a header and two triples of 32-bit words, which is what it is given.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), none.as_ptr()) };
    assert_eq!(result, 0);
}
