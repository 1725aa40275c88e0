//! [`Held`]: the MTU of the TUN device and the kernel settings that the daemon needs: compared, and
//! restored.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ringway_intent::{Checked, Missing, Restoration, Thing};
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::LinkAttribute;

use crate::netlink::{self, Netlink};
use crate::sysctl::{self, Setting};

/// The smallest MTU with which the kernel keeps IPv6 on a device (RFC 8200, section 5).
const LEAST_MTU_V6: u32 = 1280;

/// See the head of this file.
#[derive(Debug)]
pub struct Held {
    netlink: Netlink,
    /// The TUN's interface index, which changes when the device is re-created.
    tun: Arc<AtomicU32>,
    name: String,
    mtu: u32,
    /// The device's.
    settings: Vec<Setting>,
    forwarding: Vec<Setting>,
    /// Settings that were once as needed. Where `/proc/sys` is read-only, others may never be; the
    /// start has said so.
    right: BTreeSet<String>,
    /// Forwarding is off, on purpose.
    is_closed: bool,
}

impl Held {
    /// Compares the device with interface index `tun` and these settings. Needs a tokio runtime.
    pub fn open(
        name: &str,
        tun: Arc<AtomicU32>,
        mtu: u16,
        settings: Vec<Setting>,
    ) -> io::Result<Held> {
        Ok(Held {
            netlink: Netlink::open()?,
            tun,
            name: name.to_owned(),
            mtu: mtu.into(),
            settings,
            forwarding: Vec::new(),
            right: BTreeSet::new(),
            is_closed: false,
        })
    }

    /// The settings that forwarding needs now.
    pub fn set_forwarding(&mut self, settings: Vec<Setting>) {
        self.forwarding = settings;
    }

    /// Compares everything, and restores what differs but for what is in `leave`.
    pub async fn check(&mut self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        // First: with a small MTU, the kernel has no IPv6 settings for the device.
        self.check_mtu(leave, checked).await;

        let is_closed = self.is_closed;
        let settings = [&self.settings[..], &self.forwarding[..]].concat();
        for setting in settings
            .iter()
            .filter(|setting| !(is_closed && setting.is_closable))
        {
            self.check_setting(setting, leave, checked);
        }
    }

    /// Switches off, or on again, the forwarding that these settings switch on.
    pub fn switch_forwarding(&mut self, on: bool) {
        self.is_closed = !on;

        for setting in self.forwarding.iter().filter(|setting| setting.is_closable) {
            let value = if on { setting.value.as_str() } else { "0" };
            if let Err(error) = sysctl::write(&setting.key, value) {
                tracing::error!(%error, reason = %error.source, "Cannot switch forwarding");
            }
        }
    }

    async fn check_mtu(&self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        // A device that is gone is re-created with the right one.
        let Ok(Some(mtu)) = self.read_mtu().await else {
            return;
        };
        if mtu == self.mtu {
            return;
        }

        let found = if mtu < LEAST_MTU_V6 {
            format!("{mtu}, which ends IPv6 on it")
        } else {
            mtu.to_string()
        };
        let name = format!("MTU {} of {}", self.mtu, self.name);
        let restored = if leave.contains(&Thing::Mtu) {
            Err("it is changed again and again".to_owned())
        } else {
            self.write_mtu().await.map_err(|error| error.to_string())
        };
        note(Thing::Mtu, name, found, restored, checked);
    }

    async fn read_mtu(&self) -> io::Result<Option<u32>> {
        let index = self.tun.load(Relaxed);
        let request = self.netlink.handle().link().get().match_index(index);

        let links = netlink::dump(request.execute()).await?;
        Ok(links
            .iter()
            .flat_map(|link| &link.attributes)
            .find_map(|attribute| match attribute {
                LinkAttribute::Mtu(mtu) => Some(*mtu),
                _ => None,
            }))
    }

    async fn write_mtu(&self) -> io::Result<()> {
        let link = LinkUnspec::new_with_index(self.tun.load(Relaxed))
            .mtu(self.mtu)
            .build();

        netlink::answer(self.netlink.handle().link().set(link).execute()).await
    }

    fn check_setting(&mut self, setting: &Setting, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        // This kernel may lack it, and interfaces come and go with their settings.
        let Ok(found) = sysctl::read(&setting.key) else {
            return;
        };
        if found == setting.value {
            self.right.insert(setting.key.clone());
            return;
        }
        if !self.right.contains(&setting.key) {
            return;
        }

        let name = setting.key.replace('/', ".");
        let thing = Thing::Setting(name.clone());
        let restored = if leave.contains(&thing) {
            Err("it is changed again and again".to_owned())
        } else {
            let written = sysctl::write(&setting.key, &setting.value);
            written.map(drop).map_err(|error| error.source.to_string())
        };
        let name = format!("{name} = {}", setting.value);
        note(thing, name, found, restored, checked);
    }
}

fn note(
    thing: Thing,
    name: String,
    found: String,
    restored: Result<(), String>,
    checked: &mut Checked,
) {
    match restored {
        Ok(()) => checked.restored.push(Restoration {
            thing,
            name,
            found,
            by: None,
        }),
        Err(reason) => checked.missing.push(Missing {
            thing,
            name,
            reason: format!("{reason}; found {found}"),
        }),
    }
}
