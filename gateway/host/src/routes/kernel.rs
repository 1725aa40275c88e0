//! [`KernelRoutes`]: carries out, over netlink, the changes that `difference` finds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use ringway_config::{Prefix, Routes as Numbers};
use ringway_intent::{Restoration, RouteState, Thing};
use rtnetlink::IpVersion;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::RouteMessage;
use tracing::{debug, warn};

use super::difference::{Change, Hop, Installed, difference};
use super::digest::RouteDigest;
use super::{Devices, RULE_PRIORITY, RoutesError, message, rule};
use crate::netlink::{self, Netlink};

/// How often a comparison is repeated if others change rules or routes meanwhile.
const ATTEMPTS: u32 = 3;

/// The routes of one daemon in the kernel.
#[derive(Debug)]
pub struct KernelRoutes {
    netlink: Netlink,
    digest: RouteDigest,
    /// The state after the last comparison.
    held: Option<Held>,
    numbers: Numbers,
    /// The TUN's interface index, which changes when the device is re-created; `None` when only
    /// removing.
    tun: Option<Arc<AtomicU32>>,
    /// The same index of the device for WireGuard clients.
    wireguard: Option<Arc<AtomicU32>>,
    /// Our own prefixes whose rules were added.
    own: BTreeSet<Prefix>,
    /// Numbers of another configuration, whose routes are left alone.
    kept: Option<Numbers>,
}

/// The result of a comparison.
#[derive(Debug)]
struct Held {
    want: BTreeMap<Prefix, RouteState>,
    devices: Devices,
    /// The digest of the correct state; `None` if others were changing it.
    digest: Option<u64>,
}

/// The changes of a comparison.
#[derive(Debug, Default)]
struct Changed {
    /// Families whose rule was added or removed.
    rules: Vec<IpVersion>,
    /// Routes that were added, replaced or removed.
    routes: usize,
}

/// A change that the kernel refused.
struct Refusal {
    /// The route, as `ip route` writes it.
    route: String,
    source: io::Error,
}

/// Removes every route and rule of ours, including those that a daemon leaves behind on purpose;
/// `own` are our site's prefixes. Routes of other protocols in the table stay, and so do those with
/// the numbers `kept`: of two neighbouring protocol numbers, one is also the other's second number.
/// Returns the numbers of removed routes and rules. Needs a tokio runtime.
pub async fn purge(
    numbers: Numbers,
    own: &BTreeSet<Prefix>,
    kept: Option<Numbers>,
) -> Result<(usize, usize), RoutesError> {
    let mut routes = KernelRoutes::new(numbers, None)?;
    routes.kept = kept;
    routes.own.clone_from(own);

    let removed = routes.change(&BTreeMap::new()).await?;

    let mut rules = 0;
    for family in families() {
        rules += rule::purge(&routes.netlink, &numbers, family)
            .await
            .map_err(|source| routes.rule_error(source))?;
    }
    // These rules name no table, so with one protocol number they are the other configuration's
    // too.
    if kept.is_none_or(|kept| kept.protocol != numbers.protocol) {
        let changes = routes.ensure_own(BTreeSet::new()).await?;
        rules += changes.iter().map(|(_, count)| count).sum::<usize>();
    }
    Ok((removed, rules))
}

impl KernelRoutes {
    /// Routes in the network namespace of the calling thread, through the device whose interface
    /// index is in `tun` at the time of each call. Changes nothing yet. Needs a tokio runtime.
    pub fn open(numbers: Numbers, tun: Arc<AtomicU32>) -> Result<KernelRoutes, RoutesError> {
        KernelRoutes::new(numbers, Some(tun))
    }

    fn new(numbers: Numbers, tun: Option<Arc<AtomicU32>>) -> Result<KernelRoutes, RoutesError> {
        Ok(KernelRoutes {
            netlink: Netlink::open().map_err(RoutesError::Open)?,
            digest: RouteDigest::open().map_err(RoutesError::Open)?,
            held: None,
            numbers,
            tun,
            wireguard: None,
            own: BTreeSet::new(),
            kept: None,
        })
    }

    /// Sets the device for WireGuard clients: its interface index is in `index` at the time of each
    /// call.
    pub fn set_wireguard(&mut self, index: Arc<AtomicU32>) {
        self.wireguard = Some(index);
    }

    /// Adopts the rules for prefixes of ours that an earlier daemon has left: the next
    /// [`KernelRoutes::sync`] removes those that are not wanted.
    pub fn adopt(&mut self, own: impl IntoIterator<Item = Prefix>) {
        self.own.extend(own);
    }

    /// Makes the rules for our own prefixes those of `own`. Returns the families with changes, and
    /// the number of changes.
    async fn ensure_own(
        &mut self,
        own: BTreeSet<Prefix>,
    ) -> Result<Vec<(IpVersion, usize)>, RoutesError> {
        let known = self.own.clone();
        let mut changed = Vec::new();
        // Even after an error, some may have been added.
        self.own.extend(&own);

        for family in families() {
            let changes = rule::ensure_own(&self.netlink, &self.numbers, family, &own, &known)
                .await
                .map_err(|source| self.rule_error(source))?;
            if changes > 0 {
                changed.push((family.clone(), changes));
            }
        }

        self.own = own;
        Ok(changed)
    }

    fn devices(&self) -> Devices {
        let [tun, wireguard] = [&self.tun, &self.wireguard]
            .map(|device| device.as_ref().map(|index| index.load(Relaxed)));

        Devices { tun, wireguard }
    }

    async fn change(&self, want: &BTreeMap<Prefix, RouteState>) -> Result<usize, RoutesError> {
        let installed = match self.installed().await {
            Ok(installed) => installed,
            Err(source) => {
                return Err(RoutesError::List {
                    table: self.numbers.table,
                    source,
                });
            }
        };

        let mut refused = Vec::new();
        let mut first = None;

        let changes = difference(want, installed);
        let count = changes.len();
        for change in changes {
            let added = change.added().map(|route| route.prefix);
            if let Err(refusal) = self.carry_out(change).await {
                // After a refused removal every wanted prefix still has its route, so go on.
                refused.extend(added);
                first.get_or_insert(refusal);
            }
        }

        match first {
            None => Ok(count),
            Some(Refusal { route, source }) => Err(RoutesError::Refused {
                refused,
                route,
                source,
            }),
        }
    }

    /// Every route of our table and protocol.
    async fn installed(&self) -> io::Result<Vec<Installed<RouteMessage>>> {
        let mut messages = Vec::new();
        for family in families() {
            let family = match family {
                IpVersion::V4 => AddressFamily::Inet,
                IpVersion::V6 => AddressFamily::Inet6,
            };

            let filter = message::filter(&self.numbers, family);
            match netlink::dump(self.netlink.handle().route().get(filter).execute()).await {
                Ok(found) => messages.extend(found),
                // A table exists only once it has a route.
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
                Err(error) => return Err(error),
            }
        }

        // A kernel may ignore the filter.
        messages.retain(|route| {
            message::is_ours(route, &self.numbers)
                && !self.kept.is_some_and(|kept| message::is_ours(route, &kept))
        });

        let installed = messages.into_iter().map(|name| Installed {
            route: message::read(&name, &self.numbers, self.devices()),
            name,
        });

        Ok(installed.collect())
    }

    async fn carry_out(&self, change: Change<RouteMessage>) -> Result<(), Refusal> {
        let step = change.step();
        let route = match change.route() {
            Some(route) => route.to_string(),
            None => "an unknown one".into(),
        };

        let result = self.request(change).await;
        debug!(step, prefix = route, error = ?result.as_ref().err(), "Changed a kernel route");
        result.map_err(|source| Refusal { route, source })
    }

    async fn request(&self, change: Change<RouteMessage>) -> io::Result<()> {
        let handle = self.netlink.handle().route();

        match change {
            Change::Add(route) => {
                let message = message::write(&route, &self.numbers, self.devices());
                let add = handle.add(message);
                match netlink::answer(add.clone().execute()).await {
                    // An earlier run with another protocol number has left this route.
                    Err(error)
                        if error.raw_os_error() == Some(libc::EEXIST)
                            && route.hop == Hop::Unreachable =>
                    {
                        netlink::answer(add.replace().execute()).await
                    }
                    other => other,
                }
            }
            Change::Replace(route) => {
                // NLM_F_REPLACE swaps the route of this prefix and metric, so no packet misses it.
                let message = message::write(&route, &self.numbers, self.devices());
                netlink::answer(handle.add(message).replace().execute()).await
            }
            Change::Remove(installed) => {
                match netlink::answer(handle.del(installed.name).execute()).await {
                    // The kernel has already removed the route together with its device.
                    Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                    other => other,
                }
            }
        }
    }

    fn rule_error(&self, source: io::Error) -> RoutesError {
        RoutesError::Rule {
            table: self.numbers.table,
            source,
        }
    }

    /// Makes the kernel's routes those of `want` and changes only what differs. A refused change
    /// does not stop the others; the next call retries it.
    ///
    /// Returns what another program has changed since the last call. Without such changes, a call
    /// costs microseconds.
    pub async fn sync(
        &mut self,
        want: &BTreeMap<Prefix, RouteState>,
    ) -> Result<Vec<Restoration>, RoutesError> {
        let devices = self.devices();
        let is_known = self
            .held
            .as_ref()
            .is_some_and(|held| held.want == *want && held.devices == devices);
        let known = self.held.as_ref().and_then(|held| held.digest);
        if is_known && known.is_some() && known == self.read_digest()? {
            return Ok(Vec::new());
        }

        let mut changed = Changed::default();
        let mut digest = None;
        for _ in 0..ATTEMPTS {
            let before = self.read_digest()?;
            let now_changed = self.compare(want).await?;
            let is_right = now_changed.is_empty();
            changed.add(now_changed);

            // The state is correct and did not change between the two digests, so the digest stands
            // for it.
            if is_right {
                let after = self.read_digest()?;
                digest = before.filter(|_| before == after);
                break;
            }
        }

        self.held = Some(Held {
            want: want.clone(),
            devices,
            digest,
        });
        // If the plan or a device has changed, the changes are our own.
        if !is_known {
            changed = Changed::default();
        }
        Ok(changed.restorations(&self.numbers))
    }

    /// Compares rules and routes, and corrects what differs.
    async fn compare(
        &mut self,
        want: &BTreeMap<Prefix, RouteState>,
    ) -> Result<Changed, RoutesError> {
        let mut changed = Changed::default();
        for family in families() {
            let is_changed = rule::ensure(&self.netlink, &self.numbers, family)
                .await
                .map_err(|source| self.rule_error(source))?;
            if is_changed {
                changed.rules.push(family.clone());
            }
        }
        let own = want
            .iter()
            .filter(|(_, state)| **state == RouteState::Site)
            .map(|(prefix, _)| *prefix);
        for (family, _) in self.ensure_own(own.collect()).await? {
            if !changed.rules.contains(&family) {
                changed.rules.push(family);
            }
        }

        if families().contains(&IpVersion::V6) {
            changed.routes = self.change(want).await?;
            return Ok(changed);
        }

        let mut v4 = want.clone();
        v4.retain(|prefix, _| prefix.is_ipv4());
        if v4.len() < want.len() {
            warn!("This kernel has no IPv6: IPv6 prefixes are left out");
        }

        changed.routes = self.change(&v4).await?;
        Ok(changed)
    }

    /// The current digest of rules and routes. `None` if they are changing.
    fn read_digest(&mut self) -> Result<Option<u64>, RoutesError> {
        let digest = self.digest.read(&self.numbers, families());

        digest.map_err(|source| RoutesError::List {
            table: self.numbers.table,
            source,
        })
    }
}

impl Changed {
    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.routes == 0
    }

    fn add(&mut self, more: Changed) {
        self.rules.extend(more.rules);
        self.routes += more.routes;
    }

    /// The changes as restorations after another program.
    fn restorations(self, numbers: &Numbers) -> Vec<Restoration> {
        let mut restorations = Vec::new();
        for family in self.rules {
            let family = match family {
                IpVersion::V4 => "IPv4",
                IpVersion::V6 => "IPv6",
            };
            restorations.push(Restoration {
                thing: Thing::Rule,
                name: format!("ip rule {RULE_PRIORITY} ({family})"),
                found: "gone or changed".into(),
                by: None,
            });
        }

        if self.routes > 0 {
            restorations.push(Restoration {
                thing: Thing::Routes,
                name: format!("routes of table {}", numbers.table),
                found: format!("{} gone or changed", self.routes),
                by: None,
            });
        }
        restorations
    }
}

/// The families that this kernel has.
fn families() -> &'static [IpVersion] {
    // The file is also missing on a host that was booted with ipv6.disable=1.
    if Path::new("/proc/sys/net/ipv6").exists() {
        &[IpVersion::V4, IpVersion::V6]
    } else {
        &[IpVersion::V4]
    }
}
