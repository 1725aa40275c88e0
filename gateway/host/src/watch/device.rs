//! [`Device`]: compares MTU, interface group and queue of one TUN device with what they must be,
//! and restores them.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ringway_intent::{Checked, Thing, TunDevice};
use rtnetlink::LinkUnspec;
use rtnetlink::packet_route::link::LinkAttribute;

use super::device_watch::record;
use crate::netlink::{self, Netlink};
use crate::tun::{self, TUN_GROUP};

/// The smallest MTU with which the kernel keeps IPv6 on a device (RFC 8200, section 5).
const LEAST_MTU_V6: u32 = 1280;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Device {
    which: TunDevice,
    name: String,
    /// The interface index, which changes when the device is re-created.
    index: Arc<AtomicU32>,
    mtu: u32,
    /// The longest queue that the device has had: the data plane may lengthen it.
    queue: Queue,
}

/// The queue of one device.
#[derive(Debug, Default)]
struct Queue {
    /// The device's interface index.
    index: u32,
    length: u32,
}

/// The device's present state.
struct Link {
    mtu: u32,
    group: u32,
    queue: u32,
}

/// A property that differs.
struct Difference {
    thing: Thing,
    /// The property with its correct value.
    name: String,
    found: String,
    wanted: LinkAttribute,
}

impl Device {
    pub(super) fn new(which: TunDevice, name: &str, index: Arc<AtomicU32>, mtu: u16) -> Device {
        Device {
            which,
            name: name.to_owned(),
            index,
            mtu: mtu.into(),
            queue: Queue::default(),
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.index.load(Relaxed)
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Compares the device, and restores what differs. Differences in `leave` are only reported.
    pub(super) async fn check(
        &mut self,
        netlink: &Netlink,
        leave: &BTreeSet<Thing>,
        checked: &mut Checked,
    ) {
        let index = self.index();
        // A device that does not exist is re-created with the correct properties.
        let Ok(Some(link)) = read_link(netlink, index).await else {
            return;
        };

        let differences = self.mtu(&link).into_iter().chain(self.group(&link));
        let differences: Vec<Difference> = differences.chain(self.queue(&link, index)).collect();
        for Difference {
            thing,
            name,
            found,
            wanted,
        } in differences
        {
            let restored = restore(netlink, &thing, index, wanted, leave).await;
            record(thing, name, found, restored, checked);
        }
    }

    fn mtu(&self, link: &Link) -> Option<Difference> {
        let found = if link.mtu < LEAST_MTU_V6 {
            format!("{}, which ends IPv6 on it", link.mtu)
        } else {
            link.mtu.to_string()
        };

        (link.mtu != self.mtu).then(|| Difference {
            thing: Thing::Mtu(self.which),
            name: format!("MTU {} of {}", self.mtu, self.name),
            found,
            wanted: LinkAttribute::Mtu(self.mtu),
        })
    }

    fn group(&self, link: &Link) -> Option<Difference> {
        (link.group != TUN_GROUP).then(|| Difference {
            thing: Thing::Group(self.which),
            name: format!("group {TUN_GROUP} of {}", self.name),
            found: link.group.to_string(),
            wanted: LinkAttribute::Group(TUN_GROUP),
        })
    }

    fn queue(&mut self, link: &Link, index: u32) -> Option<Difference> {
        let length = self.queue.longest(index, link.queue);

        // A longer queue stays: the data plane may have lengthened it.
        (link.queue < length).then(|| Difference {
            thing: Thing::Queue(self.which),
            name: format!("queue of {length} packets of {}", self.name),
            found: link.queue.to_string(),
            wanted: LinkAttribute::TxQueueLen(length),
        })
    }
}

async fn read_link(netlink: &Netlink, index: u32) -> io::Result<Option<Link>> {
    let request = netlink.handle().link().get().match_index(index);
    let links = netlink::dump(request.execute()).await?;

    Ok(links.first().map(|link| Link::read(&link.attributes)))
}

/// Sets `wanted` on the device, unless `leave` contains `thing`.
async fn restore(
    netlink: &Netlink,
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
    netlink::answer(netlink.handle().link().set(link).execute())
        .await
        .map_err(|error| error.to_string())
}

impl Queue {
    /// The greatest length that device `index` has had.
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
