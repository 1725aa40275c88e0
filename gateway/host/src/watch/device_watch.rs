//! [`DeviceWatch`]: compares the TUN devices, their addresses, and the kernel settings that the
//! daemon needs with what they must be, and restores them.

use std::collections::BTreeSet;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use ringway_intent::{Checked, Missing, Restoration, Thing, TunDevice};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};

use super::device::Device;
use crate::netlink::{self, Netlink};
use crate::sysctl::{self, Setting};
use crate::virtual_address;

/// See the head of this file.
#[derive(Debug)]
pub struct DeviceWatch {
    netlink: Netlink,
    tun: Device,
    /// The device of WireGuard clients.
    clients: Option<Device>,
    /// Addresses of the TUN device, on an attached node.
    addresses: Vec<IpAddr>,
    /// Addresses that a reload took from it, until they are gone.
    former: BTreeSet<IpAddr>,
    /// Settings of the devices.
    settings: Vec<Setting>,
    forwarding: Vec<Setting>,
    /// Keys of settings that have had the correct value. With a read-only `/proc/sys`, a setting of
    /// a device may never have it. The start has warned about such a setting, and the gateway works
    /// without it.
    once_correct: BTreeSet<String>,
    /// The daemon has switched forwarding off.
    forwarding_is_off: bool,
}

impl DeviceWatch {
    /// Watches the device with interface index `tun`, and these settings. Needs a tokio runtime.
    pub fn open(
        name: &str,
        tun: Arc<AtomicU32>,
        mtu: u16,
        settings: Vec<Setting>,
    ) -> io::Result<DeviceWatch> {
        Ok(DeviceWatch {
            netlink: Netlink::open()?,
            tun: Device::new(TunDevice::Tunnels, name, tun, mtu),
            clients: None,
            addresses: Vec::new(),
            former: BTreeSet::new(),
            settings,
            forwarding: Vec::new(),
            once_correct: BTreeSet::new(),
            forwarding_is_off: false,
        })
    }

    /// Adds the device of WireGuard clients.
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

    /// Sets the addresses that the TUN device must have. Those before are to be removed.
    pub fn set_addresses(&mut self, addresses: Vec<IpAddr>) {
        let before = mem::replace(&mut self.addresses, addresses);

        self.former.extend(before);
        self.former.retain(|one| !self.addresses.contains(one));
    }

    /// Adds missing addresses to the device, and removes former ones. [`DeviceWatch::check`]
    /// retries what the kernel refuses.
    pub async fn apply_addresses(&mut self) -> io::Result<()> {
        let index = self.tun.index();
        for address in self.missing_addresses(index).await? {
            self.add_address(index, address).await?;
        }
        self.remove_former(index).await
    }

    /// Sets the settings that forwarding needs now.
    pub fn set_forwarding(&mut self, settings: Vec<Setting>) {
        self.forwarding = settings;
    }

    /// Compares everything, and restores what differs. Differences in `leave` are only reported.
    pub async fn check(&mut self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
        checked.forwards_for_us = self.forwarding.iter().any(|setting| setting.is_closable);
        // The devices come first: with a small MTU, the kernel has no IPv6 settings for a device.
        for device in [&mut self.tun].into_iter().chain(&mut self.clients) {
            device.check(&self.netlink, leave, checked).await;
        }

        self.check_addresses(leave, checked).await;

        let settings = [&self.settings[..], &self.forwarding[..]].concat();
        for setting in &settings {
            let is_switched_off = self.forwarding_is_off && setting.is_closable;
            if !is_switched_off {
                self.check_setting(setting, leave, checked);
            }
        }
    }

    /// Switches the forwarding that these settings enable off or on.
    pub fn switch_forwarding(&mut self, on: bool) {
        self.forwarding_is_off = !on;

        for setting in self.forwarding.iter().filter(|setting| setting.is_closable) {
            let value = if on { setting.value.as_str() } else { "0" };
            if let Err(error) = sysctl::write(&setting.key, value) {
                tracing::error!(%error, reason = %error.source, "Cannot switch forwarding");
            }
        }
    }

    /// Adds missing addresses. A re-created device has none.
    async fn check_addresses(&mut self, leave: &BTreeSet<Thing>, checked: &mut Checked) {
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
            record(thing, name, "gone".to_owned(), restored, checked);
        }
        if let Err(error) = self.remove_former(index).await {
            tracing::debug!(%error, "Former addresses of the TUN device are not removed");
        }
    }

    async fn remove_former(&mut self, index: u32) -> io::Result<()> {
        if self.former.is_empty() {
            return Ok(());
        }

        for message in self.found_addresses(index).await? {
            let address = virtual_address::local(&message);
            if address.is_some_and(|address| self.former.contains(&address)) {
                let request = self.netlink.handle().address().del(message);
                netlink::answer(request.execute()).await?;
            }
        }
        self.former.clear();
        Ok(())
    }

    async fn found_addresses(&self, index: u32) -> io::Result<Vec<AddressMessage>> {
        let request = self.netlink.handle().address().get();

        netlink::dump(request.set_link_index_filter(index).execute()).await
    }

    async fn missing_addresses(&self, index: u32) -> io::Result<Vec<IpAddr>> {
        if self.addresses.is_empty() {
            return Ok(Vec::new());
        }
        let messages = self.found_addresses(index).await?;
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
        // The kernel may lack the setting, or its interface may not exist at the moment.
        let Ok(found) = sysctl::read(&setting.key) else {
            return;
        };
        if found == setting.value {
            self.once_correct.insert(setting.key.clone());
            return;
        }
        let is_needed = self.forwarding.contains(setting);
        // See `once_correct`.
        if !is_needed && !self.once_correct.contains(&setting.key) {
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
        record(thing, name, found, restored, checked);
    }
}

/// Records a difference: restored, or still there for a reason.
pub(super) fn record(
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
