//! [`Held`]: compares and restores the TUN device's MTU, interface group and queue length, and the
//! kernel settings that the daemon needs.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ringway_intent::{Checked, Missing, Restoration, Thing};
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};
use rtnetlink::packet_route::link::LinkAttribute;

use crate::netlink::{self, Netlink};
use crate::sysctl::{self, Setting};
use crate::tun::{self, TUN_GROUP};
use crate::virtual_address;

/// The smallest MTU at which the kernel keeps IPv6 on a device (RFC 8200, section 5).
const LEAST_MTU_V6: u32 = 1280;

/// See the head of this file.
#[derive(Debug)]
pub struct Held {
    netlink: Netlink,
    /// The TUN's interface index, which changes when the device is re-created.
    tun: Arc<AtomicU32>,
    name: String,
    mtu: u32,
    /// The greatest length of the device's queue so far: the data plane may have increased it.
    queue: Queue,
    /// Addresses that the device must have, on an attached node.
    addresses: Vec<IpAddr>,
    /// The device's settings.
    settings: Vec<Setting>,
    forwarding: Vec<Setting>,
    /// Settings that were right at some time. With a read-only `/proc/sys`, the device's settings
    /// may never be: the start has warned about these, and the gateway works without them.
    right: BTreeSet<String>,
    /// Forwarding is switched off on purpose.
    is_closed: bool,
}

/// The queue of a device.
#[derive(Debug, Default)]
struct Queue {
    /// The device's interface index.
    index: u32,
    length: u32,
}

/// The current state of the device.
struct Link {
    mtu: u32,
    group: u32,
    queue: u32,
}

impl Held {
    /// Watches the device with interface index `tun`, and these settings. Needs a tokio runtime.
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
            queue: Queue::default(),
            addresses: Vec::new(),
            settings,
            forwarding: Vec::new(),
            right: BTreeSet::new(),
            is_closed: false,
        })
    }

    /// Sets the addresses that the device must have.
    pub fn set_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.addresses = addresses;
    }

    /// Adds missing addresses to the device. [`Held::check`] retries those that the kernel refuses.
    pub async fn give_addresses(&self) -> io::Result<()> {
        let index = self.tun.load(Relaxed);
        for address in self.missing_addresses(index).await? {
            self.add_address(index, address).await?;
        }
        Ok(())
    }

    /// Sets the settings that forwarding needs now.
    pub fn set_forwarding(&mut self, settings: Vec<Setting>) {
        self.forwarding = settings;
    }

    /// Compares everything, and restores what differs, except things in `leave`.
    pub async fn check(&mut self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        checked.forwards_for_us = self.forwarding.iter().any(|setting| setting.is_closable);
        // First, because with a small MTU the kernel has no IPv6 settings for the device.
        self.check_device(leave, checked).await;

        self.check_addresses(leave, checked).await;

        let is_closed = self.is_closed;
        let settings = [&self.settings[..], &self.forwarding[..]].concat();
        for setting in settings
            .iter()
            .filter(|setting| !(is_closed && setting.is_closable))
        {
            self.check_setting(setting, leave, checked);
        }
    }

    /// Switches forwarding that these settings enable off, or on again.
    pub fn switch_forwarding(&mut self, on: bool) {
        self.is_closed = !on;

        for setting in self.forwarding.iter().filter(|setting| setting.is_closable) {
            let value = if on { setting.value.as_str() } else { "0" };
            if let Err(error) = sysctl::write(&setting.key, value) {
                tracing::error!(%error, reason = %error.source, "Cannot switch forwarding");
            }
        }
    }

    async fn check_device(&mut self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        let index = self.tun.load(Relaxed);
        // If the device is gone, it is re-created with the right values.
        let Ok(Some(link)) = self.read_link(index).await else {
            return;
        };

        let device = &self.name;
        if link.mtu != self.mtu {
            let found = if link.mtu < LEAST_MTU_V6 {
                format!("{}, which ends IPv6 on it", link.mtu)
            } else {
                link.mtu.to_string()
            };
            let name = format!("MTU {} of {device}", self.mtu);
            let wanted = LinkAttribute::Mtu(self.mtu);
            let restored = self.restore(&Thing::Mtu, index, wanted, leave).await;
            note(Thing::Mtu, name, found, restored, checked);
        }
        if link.group != TUN_GROUP {
            let name = format!("group {TUN_GROUP} of {device}");
            let wanted = LinkAttribute::Group(TUN_GROUP);
            let restored = self.restore(&Thing::Group, index, wanted, leave).await;
            note(
                Thing::Group,
                name,
                link.group.to_string(),
                restored,
                checked,
            );
        }

        let length = self.queue.longest(index, link.queue);
        // A longer queue is left alone, since the data plane may have increased it.
        if link.queue < length {
            let name = format!("queue of {length} packets of {device}");
            let wanted = LinkAttribute::TxQueueLen(length);
            let restored = self.restore(&Thing::Queue, index, wanted, leave).await;
            note(
                Thing::Queue,
                name,
                link.queue.to_string(),
                restored,
                checked,
            );
        }
    }

    /// Also for a re-created device, which has no addresses.
    async fn check_addresses(&self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        let index = self.tun.load(Relaxed);
        let Ok(missing) = self.missing_addresses(index).await else {
            return;
        };

        for address in missing {
            let thing = Thing::Address(address);
            let restored = if leave.contains(&thing) {
                Err("it is changed again and again".to_owned())
            } else {
                let added = self.add_address(index, address).await;
                added.map_err(|error| error.to_string())
            };
            let name = format!("address {address} of {}", self.name);
            note(thing, name, "gone".to_owned(), restored, checked);
        }
    }

    async fn missing_addresses(&self, index: u32) -> io::Result<Vec<IpAddr>> {
        if self.addresses.is_empty() {
            return Ok(Vec::new());
        }
        let request = self.netlink.handle().address().get();
        let messages = netlink::dump(request.set_link_index_filter(index).execute()).await?;
        let found: Vec<IpAddr> = messages.iter().filter_map(virtual_address::local).collect();

        let mut missing = self.addresses.clone();
        missing.retain(|address| !found.contains(address));
        Ok(missing)
    }

    async fn add_address(&self, index: u32, address: IpAddr) -> io::Result<()> {
        let length = if address.is_ipv4() { 32 } else { 128 };
        let addresses = self.netlink.handle().address();
        let mut request = addresses.add(index, address, length);
        // RFC 4862, section 5.4: no other host on this link could have the address.
        let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::Flags(flags));

        netlink::answer(request.execute()).await
    }

    async fn read_link(&self, index: u32) -> io::Result<Option<Link>> {
        let request = self.netlink.handle().link().get().match_index(index);
        let links = netlink::dump(request.execute()).await?;

        Ok(links.first().map(|link| Link::read(&link.attributes)))
    }

    /// Sets `wanted` on the device, unless `thing` is in `leave`.
    async fn restore(
        &self,
        thing: &Thing,
        index: u32,
        wanted: LinkAttribute,
        leave: &BTreeSet<Thing>,
    ) -> Result<(), String> {
        if leave.contains(thing) {
            return Err("it is changed again and again".to_owned());
        }

        let link = LinkUnspec::new_with_index(index)
            .append_extra_attribute(wanted)
            .build();
        netlink::answer(self.netlink.handle().link().set(link).execute())
            .await
            .map_err(|error| error.to_string())
    }

    fn check_setting(&mut self, setting: &Setting, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        // This kernel may lack the setting, and an interface's settings come and go with it.
        let Ok(found) = sysctl::read(&setting.key) else {
            return;
        };
        if found == setting.value {
            self.right.insert(setting.key.clone());
            return;
        }
        let is_needed = self.forwarding.contains(setting);
        // The start has warned about these, and the gateway works without them.
        if !is_needed && !self.right.contains(&setting.key) {
            return;
        }

        let name = sysctl::dotted(&setting.key);
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

impl Queue {
    /// The greatest queue length that device `index` has had.
    fn longest(&mut self, index: u32, now: u32) -> u32 {
        if self.index != index {
            self.index = index;
            self.length = tun::QUEUE;
        }

        self.length = self.length.max(now);
        self.length
    }
}

impl Link {
    fn read(attributes: &[LinkAttribute]) -> Link {
        let mut link = Link {
            mtu: 0,
            group: 0,
            queue: 0,
        };

        for attribute in attributes {
            match attribute {
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Group(group) => link.group = *group,
                LinkAttribute::TxQueueLen(length) => link.queue = *length,
                _ => {}
            }
        }
        link
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
