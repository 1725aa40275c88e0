//! The real routes: carries out, over netlink, the steps that `difference` finds.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ringway_config::{Prefix, Routes as Numbers};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteMessage;
use tracing::{debug, warn};

use super::difference::{Change, Route, difference};
use super::{RouteState, Routes, RoutesError, message, rule};
use crate::netlink::{self, Netlink};

/// The routes of one daemon in the kernel.
#[derive(Debug)]
pub struct KernelRoutes {
    netlink: Netlink,
    numbers: Numbers,
    /// The TUN's interface index, which changes when the device is made anew; `None` when only removing.
    tun: Option<Arc<AtomicU32>>,
}

/// Removes every route and rule of ours: what a daemon leaves behind on purpose. Other protocols' routes in
/// the table stay. Needs a tokio runtime.
pub async fn purge(numbers: Numbers) -> Result<(), RoutesError> {
    let mut routes = KernelRoutes {
        netlink: open()?,
        numbers,
        tun: None,
    };
    routes.change(&BTreeMap::new()).await?;
    for family in families() {
        rule::purge(&routes.netlink, &numbers, family)
            .await
            .map_err(|source| routes.rule_error(source))?;
    }
    Ok(())
}

impl KernelRoutes {
    /// Routes through the device with the interface index that `tun` holds at each call, in the network namespace of the calling
    /// thread. Needs a tokio runtime; changes nothing yet.
    pub fn open(numbers: Numbers, tun: Arc<AtomicU32>) -> Result<KernelRoutes, RoutesError> {
        Ok(KernelRoutes {
            netlink: open()?,
            numbers,
            tun: Some(tun),
        })
    }

    fn tun(&self) -> Option<u32> {
        self.tun.as_ref().map(|tun| tun.load(Relaxed))
    }

    async fn change(&mut self, want: &BTreeMap<Prefix, RouteState>) -> Result<(), RoutesError> {
        let list_error = |source| RoutesError::List {
            table: self.numbers.table,
            source,
        };
        let have = self.installed().await.map_err(list_error)?;
        let mut refused = Vec::new();
        let mut first = None;
        for change in difference(want, have) {
            let prefix = change.prefix();
            if let Err(error) = self.carry_out(change).await {
                refused.push(prefix);
                first.get_or_insert(error);
            }
        }
        match first {
            None => Ok(()),
            Some((route, source)) => Err(RoutesError::Refused {
                refused: refused.into_iter().flatten().collect(),
                route,
                source,
            }),
        }
    }

    /// Every route of our table and protocol, with what it says if it is one that we install.
    async fn installed(&self) -> io::Result<Vec<(Option<Route>, RouteMessage)>> {
        let mut routes = Vec::new();
        for family in families() {
            let family = match family {
                IpVersion::V4 => AddressFamily::Inet,
                IpVersion::V6 => AddressFamily::Inet6,
            };
            let filter = message::filter(&self.numbers, family);
            match netlink::dump(self.netlink.handle().route().get(filter).execute()).await {
                Ok(found) => routes.extend(found),
                // The kernel makes a table with its first route.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }
        // A kernel may ignore the filter.
        routes.retain(|route| message::is_ours(route, &self.numbers));
        Ok(routes
            .into_iter()
            .map(|found| (message::read(&found, self.tun()), found))
            .collect())
    }

    /// Carries out one change; the error bears the route as `ip route` writes it.
    async fn carry_out(&self, change: Change<RouteMessage>) -> Result<(), (String, io::Error)> {
        let handle = self.netlink.handle().route();
        let (step, name, result) = match change {
            Change::Add(route) => {
                let request = handle.add(message::write(&route, &self.numbers, self.tun()));
                (
                    "add",
                    route.to_string(),
                    netlink::answer(request.execute()).await,
                )
            }
            Change::Replace(route) => {
                let request = handle
                    .add(message::write(&route, &self.numbers, self.tun()))
                    .replace();
                (
                    "replace",
                    route.to_string(),
                    netlink::answer(request.execute()).await,
                )
            }
            Change::Remove(found) => {
                let name = match message::read(&found, self.tun()) {
                    Some(route) => route.to_string(),
                    None => "an unknown one".into(),
                };
                (
                    "remove",
                    name,
                    gone_is_fine(netlink::answer(handle.del(found).execute()).await),
                )
            }
        };
        debug!(step, prefix = name, error = ?result.as_ref().err(), "Changed a kernel route");
        result.map_err(|error| (name, error))
    }

    fn rule_error(&self, source: io::Error) -> RoutesError {
        RoutesError::Rule {
            table: self.numbers.table,
            source,
        }
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
        let mut v4 = want.clone();
        v4.retain(|prefix, _| prefix.is_ipv4());
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
    match Path::new("/proc/sys/net/ipv6").exists() {
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
