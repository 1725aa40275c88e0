//! The real routes: netlink messages for what [`difference`] asks.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use ringway_config::{Prefix, Routes as Numbers};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use rtnetlink::{IpVersion, RouteMessageBuilder};
use tracing::{debug, warn};

use super::difference::{Change, Hop, Route, difference};
use super::{RouteState, Routes, RoutesError, TUNNEL_METRIC, UNREACHABLE_METRIC, rule};
use crate::host::netlink::{self, Netlink};

/// The routes of one daemon in the kernel.
#[derive(Debug)]
pub struct KernelRoutes {
    netlink: Netlink,
    numbers: Numbers,
    /// The TUN's interface index; `None` when there is no TUN to route to.
    tun: Option<u32>,
}

/// Removes every route and rule of ours: what a daemon leaves behind on purpose. Other protocols' routes in
/// the table stay. Needs a tokio runtime.
pub async fn purge(numbers: Numbers) -> Result<(), RoutesError> {
    let mut routes = KernelRoutes { netlink: open()?, numbers, tun: None };
    routes.change(&BTreeMap::new()).await?;
    for family in families() {
        rule::purge(&routes.netlink, &numbers, family).await.map_err(|source| routes.rule_error(source))?;
    }
    Ok(())
}

impl KernelRoutes {
    /// Routes through the device with interface index `tun`, in the network namespace of the calling
    /// thread. Needs a tokio runtime; changes nothing yet.
    pub fn open(numbers: Numbers, tun: u32) -> Result<KernelRoutes, RoutesError> {
        Ok(KernelRoutes { netlink: open()?, numbers, tun: Some(tun) })
    }

    async fn change(&mut self, want: &BTreeMap<Prefix, RouteState>) -> Result<(), RoutesError> {
        let list_error = |source| RoutesError::List { table: self.numbers.table, source };
        let have = self.installed().await.map_err(list_error)?;
        let mut refused = 0;
        let mut first = None;
        for change in difference(want, have) {
            debug!(?change, "Changing a kernel route");
            if let Err((route, source)) = self.carry_out(change).await {
                refused += 1;
                first.get_or_insert((route, source));
            }
        }
        match first {
            None => Ok(()),
            Some((route, source)) => Err(RoutesError::Refused { refused, route, source }),
        }
    }

    /// Every route of our table and protocol, with its shape if it is one of those we install.
    async fn installed(&self) -> io::Result<Vec<(Option<Route>, RouteMessage)>> {
        let mut routes = Vec::new();
        for family in families() {
            let mut filter = self.blank(family);
            filter.header.scope = RouteScope::Universe;
            filter.header.kind = RouteType::Unspec;
            match netlink::dump(self.netlink.handle().route().get(filter).execute()).await {
                Ok(found) => routes.extend(found),
                // The kernel makes a table with its first route.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        // A kernel may ignore the filter.
        routes.retain(|route| self.is_ours(route));
        Ok(routes.into_iter().map(|message| (self.shape(&message), message)).collect())
    }

    /// Carries out one change; the error bears the route as `ip route` writes it.
    async fn carry_out(&self, change: Change<RouteMessage>) -> Result<(), (String, io::Error)> {
        let handle = self.netlink.handle().route();
        let (name, result) = match change {
            Change::Add(route) => {
                let request = handle.add(self.message(&route));
                (route.to_string(), netlink::answer(request.execute()).await)
            }
            Change::Replace(route) => {
                let request = handle.add(self.message(&route)).replace();
                (route.to_string(), netlink::answer(request.execute()).await)
            }
            Change::Remove(message) => {
                let name = self.shape(&message).map_or("of unknown shape".into(), |route| route.to_string());
                (name, gone_is_fine(netlink::answer(handle.del(message).execute()).await))
            }
        };
        result.map_err(|error| (name, error))
    }

    /// A message with our table and protocol and nothing else.
    fn blank(&self, family: &IpVersion) -> RouteMessage {
        let mut message = RouteMessageBuilder::<IpAddr>::new().build();
        message.header.address_family = match family {
            IpVersion::V4 => AddressFamily::Inet,
            IpVersion::V6 => AddressFamily::Inet6,
        };
        // Tables above 255 do not fit the header.
        message.header.table = u8::try_from(self.numbers.table).unwrap_or_default();
        message.header.protocol = RouteProtocol::from(self.numbers.protocol);
        message.attributes.push(RouteAttribute::Table(self.numbers.table));
        message
    }

    fn message(&self, route: &Route) -> RouteMessage {
        let family = if route.prefix.is_ipv4() { IpVersion::V4 } else { IpVersion::V6 };
        let mut message = self.blank(&family);
        message.header.destination_prefix_length = route.prefix.len();
        message.attributes.push(RouteAttribute::Destination(RouteAddress::from(route.prefix.address())));
        message.attributes.push(RouteAttribute::Priority(route.metric()));
        match route.hop {
            Hop::Unreachable => message.header.kind = RouteType::Unreachable,
            Hop::Tunnel { prefsrc } => {
                message.header.kind = RouteType::Unicast;
                message.header.scope = RouteScope::Link;
                message.attributes.extend(self.tun.map(RouteAttribute::Oif));
                message.attributes.extend(prefsrc.map(|own| RouteAttribute::PrefSource(own.into())));
            }
        }
        message
    }

    fn is_ours(&self, message: &RouteMessage) -> bool {
        let table = find(message, |attribute| match attribute {
            RouteAttribute::Table(table) => Some(*table),
            _ => None,
        });
        table.unwrap_or(message.header.table.into()) == self.numbers.table
            && message.header.protocol == RouteProtocol::from(self.numbers.protocol)
    }

    /// The route that `message` says, if it is one that we would install.
    fn shape(&self, message: &RouteMessage) -> Option<Route> {
        let any = match message.header.address_family {
            AddressFamily::Inet => IpAddr::from([0; 4]),
            _ => IpAddr::from([0; 16]),
        };
        let address = find(message, |attribute| match attribute {
            RouteAttribute::Destination(address) => Some(ip(address)),
            _ => None,
        });
        let prefix =
            Prefix::holding(address.unwrap_or(Some(any))?, message.header.destination_prefix_length)?;
        let metric = find(message, |attribute| match attribute {
            RouteAttribute::Priority(metric) => Some(*metric),
            _ => None,
        });
        let device = find(message, |attribute| match attribute {
            RouteAttribute::Oif(device) => Some(*device),
            _ => None,
        });
        let prefsrc = find(message, |attribute| match attribute {
            RouteAttribute::PrefSource(address) => ip(address),
            _ => None,
        });
        let via = message.attributes.iter().any(|attribute| {
            matches!(
                attribute,
                RouteAttribute::Gateway(_) | RouteAttribute::Via(_) | RouteAttribute::MultiPath(_)
            )
        });
        let hop = match (message.header.kind, metric?) {
            (RouteType::Unreachable, UNREACHABLE_METRIC) => Hop::Unreachable,
            (RouteType::Unicast, TUNNEL_METRIC) if device.is_some() && device == self.tun && !via => {
                Hop::Tunnel { prefsrc }
            }
            _ => return None,
        };
        Some(Route { prefix, hop })
    }

    fn rule_error(&self, source: io::Error) -> RoutesError {
        RoutesError::Rule { table: self.numbers.table, source }
    }
}

impl Routes for KernelRoutes {
    async fn sync(&mut self, want: &BTreeMap<Prefix, RouteState>) -> Result<(), RoutesError> {
        for family in families() {
            rule::ensure(&self.netlink, &self.numbers, family)
                .await
                .map_err(|source| self.rule_error(source))?;
        }
        if families().contains(&IpVersion::V6) {
            return self.change(want).await;
        }
        let v4: BTreeMap<_, _> =
            want.iter().filter(|(prefix, _)| prefix.is_ipv4()).map(|(p, s)| (*p, *s)).collect();
        if v4.len() < want.len() {
            warn!("This kernel has no IPv6: IPv6 prefixes are left out");
        }
        self.change(&v4).await
    }
}

fn open() -> Result<Netlink, RoutesError> {
    Netlink::open().map_err(RoutesError::Open)
}

/// The families that this kernel has.
fn families() -> &'static [IpVersion] {
    match Path::new("/proc/net/if_inet6").exists() {
        true => &[IpVersion::V4, IpVersion::V6],
        false => &[IpVersion::V4],
    }
}

/// The kernel removes routes of its own accord when their device goes.
fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        other => other,
    }
}

fn find<T>(message: &RouteMessage, wanted: impl Fn(&RouteAttribute) -> Option<T>) -> Option<T> {
    message.attributes.iter().find_map(wanted)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}
