//! [`Held`]: the TUN devices, their addresses, and the kernel settings that the daemon needs:
//! compared, and restored.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_intent::{Checked, Missing, Restoration, Thing, TunDevice};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags};

use super::device::Device;
use crate::netlink::{self, Netlink};
use crate::sysctl::{self, Setting};
use crate::virtual_address;

/// See the head of this file.
#[derive(Debug)]
pub struct Held {
    netlink: Netlink,
    tun: Device,
    /// That of WireGuard clients.
    clients: Option<Device>,
    /// Addresses of an attached node, which the TUN device has.
    addresses: Vec<IpAddr>,
    /// The devices'.
    settings: Vec<Setting>,
    forwarding: Vec<Setting>,
    /// Settings that were right at some time. With a read-only `/proc/sys`, the device's settings
    /// may never be: the start has warned about these, and the gateway works without them.
    right: BTreeSet<String>,
    /// Forwarding is switched off on purpose.
    is_closed: bool,
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
            tun: Device::new(TunDevice::Tunnels, name, tun, mtu),
            clients: None,
            addresses: Vec::new(),
            settings,
            forwarding: Vec::new(),
            right: BTreeSet::new(),
            is_closed: false,
        })
    }

    /// Compares the device of WireGuard clients, too.
    pub fn add_clients(
        &mut self,
        name: &str,
        index: Arc<AtomicU32>,
        mtu: u16,
        settings: Vec<Setting>,
    ) {
        self.clients = Some(Device::new(TunDevice::Clients, name, index, mtu));
        self.settings.extend(settings);
    }

    /// The device is to have these addresses.
    pub fn set_addresses(&mut self, addresses: Vec<IpAddr>) {
        self.addresses = addresses;
    }

    /// Adds missing addresses to the device. [`Held::check`] retries those that the kernel refuses.
    pub async fn give_addresses(&self) -> io::Result<()> {
        let index = self.tun.index();
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
        // First: with a small MTU, the kernel has no IPv6 settings for the device.
        for device in [&mut self.tun].into_iter().chain(&mut self.clients) {
            device.check(&self.netlink, leave, checked).await;
        }

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

    /// Also after the device was re-created, which has none.
    async fn check_addresses(&self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        let index = self.tun.index();
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
            let name = format!("address {address} of {}", self.tun.name());
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

pub(super) fn note(
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
