//! Changes of other programs to the devices and settings of the daemon.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use ringway_config::Routes as Numbers;
use ringway_host::sysctl::Setting;
use ringway_host::tun::{self, create_plain_tun, open_tun, raise_tun};
use ringway_host::watch::DeviceWatch;
use ringway_intent::{Checked, Thing, TunDevice};

use crate::namespace::Namespace;
use crate::tun_name;

const FORWARDING: &str = "net/ipv4/conf/eth0/forwarding";

const MTU: Thing = Thing::Mtu(TunDevice::Tunnels);

pub(crate) const NUMBERS: Numbers = Numbers {
    table: 4600,
    protocol: 146,
    mark: 7,
};

/// A gateway with one interface of its site that forwards, and a device.
pub(crate) fn gateway() -> Namespace {
    let namespace = Namespace::new("gw");
    namespace.nic("eth0");
    namespace.ip("addr add 10.1.0.1/24 dev eth0");

    namespace.enter(|| set("1"));
    namespace
}

fn set(value: &str) {
    fs::write(format!("/proc/sys/{FORWARDING}"), value).unwrap();
}

fn forwards() -> bool {
    let value = fs::read_to_string(format!("/proc/sys/{FORWARDING}"));

    value.unwrap().trim() == "1"
}

async fn check(devices: &mut DeviceWatch, leave: &[Thing]) -> Checked {
    let leave = BTreeSet::from_iter(leave.iter().cloned());
    let mut checked = Checked::default();

    devices.check(&leave, &mut checked).await;
    checked
}

#[test]
fn device_and_settings_are_restored_and_exceptions_are_reported() {
    let namespace = gateway();
    let (_tun, index) = namespace.enter(|| open_tun(&tun_name(), 1440, 1)).unwrap();
    let meddle = || {
        namespace.ip("link set ringway0 mtu 1200");
        namespace.ip("link set ringway0 group 0");
        namespace.ip("link set ringway0 txqueuelen 0");
        set("0");
    };
    let setting = Setting {
        key: FORWARDING.into(),
        value: "1".into(),
        is_closable: true,
    };

    namespace.wait(|| async {
        let index = Arc::new(index.into());
        // A setting that cannot be written, as with a read-only /proc/sys. For the devices it is
        // not reported again after the start; for forwarding it is, since forwarding needs it.
        let never_correct = Setting {
            key: "kernel/ostype".into(),
            value: "other".into(),
            is_closable: false,
        };
        let of_device = vec![never_correct.clone()];
        let mut devices = DeviceWatch::open("ringway0", index, 1440, of_device).unwrap();
        devices.set_forwarding(vec![never_correct]);
        assert!(!check(&mut devices, &[]).await.missing.is_empty());
        devices.set_forwarding(vec![setting]);
        let right = Checked {
            forwards_for_us: true,
            ..Checked::default()
        };
        assert_eq!(check(&mut devices, &[]).await, right);

        meddle();
        let restored = check(&mut devices, &[]).await.restored;
        let kinds: Vec<_> = restored.iter().map(|one| one.thing.kind()).collect();
        assert_eq!(kinds, ["mtu", "group", "queue", "setting"]);
        assert!(forwards());
        let link = namespace.ip("link show ringway0");
        for part in ["mtu 1440", "group 1381450073", "qlen 1000"] {
            assert!(link.contains(part), "{part} is not in {link}");
        }

        meddle();
        let checked = check(&mut devices, &[MTU]).await;
        assert_eq!(checked.missing[0].thing, MTU);
        assert_eq!(checked.restored.len(), 3);
        set("0");
        let left = Thing::Setting(FORWARDING.replace('/', "."));
        let checked = check(&mut devices, &[MTU, left]).await;
        assert_eq!(checked.missing.len(), 2);
        assert!(!forwards());

        // The daemon has switched forwarding off: a comparison does not switch it on.
        devices.switch_forwarding(false);
        assert!(check(&mut devices, &[MTU]).await.restored.is_empty());
        assert!(!forwards());
        devices.switch_forwarding(true);
        assert!(forwards());
    });
}

#[test]
fn the_device_of_wireguard_clients_is_restored_like_the_other() {
    let namespace = gateway();
    let name = "ringway-wg0".parse().unwrap();
    let create = || {
        let (tun, index) = open_tun(&tun_name(), 1440, 1).unwrap();
        let clients = create_plain_tun(&name, 1420).unwrap();
        let clients_index = raise_tun(&name, &clients).unwrap();
        (tun, index, clients, clients_index)
    };
    let (_tun, index, _clients, clients_index) = namespace.enter(create);
    const DISABLED: &str = "/proc/sys/net/ipv6/conf/ringway-wg0/disable_ipv6";

    namespace.wait(|| async {
        let mut devices =
            DeviceWatch::open("ringway0", Arc::new(index.into()), 1440, Vec::new()).unwrap();
        let settings = tun::settings(&name);
        devices.add_clients(
            name.as_str(),
            Arc::new(clients_index.into()),
            1420,
            settings,
        );
        assert_eq!(check(&mut devices, &[]).await, Checked::default());

        namespace.ip("link set ringway-wg0 mtu 1300 group 0");
        fs::write(DISABLED, "1").unwrap();
        let names: Vec<_> = check(&mut devices, &[]).await.restored;
        let names: Vec<_> = names.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "MTU 1420 of ringway-wg0",
                "group 1381450073 of ringway-wg0",
                "net.ipv6.conf.ringway-wg0.disable_ipv6 = 0",
            ]
        );
        assert_eq!(fs::read_to_string(DISABLED).unwrap(), "0\n");
        assert!(namespace.ip("link show ringway-wg0").contains("mtu 1420"));
    });
}
