//! [`Kubernetes`]: the names of Services in our fragment (`[dns.kubernetes]`), and what is to be
//! said about them. Which names there are is found out by `ringway-services`, in a task of its own;
//! a program that was built without the feature `kube` has none.
//!
//! ```text
//!   API server ─► follow, a task ─► Event ─► Kubernetes::note ─► Derivation, off the loop
//! ```
//! The earlier names stay while the API server is away, and over a restart ([`ServiceNames`]).
//!
//! If only this gateway of its site is not connected to the API server, our fragment has no such
//! names, so that no old address is answered beside the current ones. That begins when a sibling
//! has been connected for 5 s: if all gateways lose the API server at once, each hears it of the
//! others before it relies on them. It ends when we are connected, or when no sibling has such
//! names. A sibling that loses the API server meanwhile still has later names than ours, so no
//! clocks are compared.

#[cfg(feature = "kube")]
mod follow;
#[cfg(not(feature = "kube"))]
#[path = "kubernetes/absent.rs"]
mod follow;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ringway_config::{Config, Digest, DnsName, Fault, GatewayName, Prefix, keys};
use ringway_core::ServicesOrigin;
use ringway_dns::{HostsError, Name};
use ringway_intent::Remedy;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::attention::Attention;
use crate::state::ServiceNames;
use crate::tasks::Tasks;
use crate::watch;
use follow::Settings;

/// Names of what needs attention.
const AWAY: &str = "kubernetes api";
const FINDINGS: &str = "kubernetes services";
const TAKEN: &str = "kubernetes names";

/// A sibling must be current for so long, without a break, before our names are left out.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Findings that are said.
const LISTED: usize = 8;

/// What the task says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// These are the names from now on.
    Names {
        /// The addresses of each.
        names: BTreeMap<DnsName, BTreeSet<IpAddr>>,
        /// Why some Services have none, a sentence each.
        findings: Vec<String>,
    },
    /// The API server does not answer as it should.
    Away {
        /// Why.
        reason: String,
    },
    /// It does again.
    Back,
}

/// See the head of this file.
#[derive(Debug)]
pub struct Kubernetes {
    names: Arc<ServiceNames>,
    attention: Attention,
    events: mpsc::Sender<watch::Event>,
    tasks: Tasks,
    /// What is followed, by which task.
    following: Option<(Settings, AbortHandle)>,
    /// Identifies what is followed.
    source: Option<Digest>,
    /// It has been listed: the names are not those of an earlier run.
    is_listed: bool,
    /// Why the API server does not answer.
    away: Option<String>,
    /// Since when a sibling has later names.
    behind_since: Option<Instant>,
    /// Our names are left out of our fragment.
    is_outdated: bool,
}

impl Kubernetes {
    /// Answers `names`, those of before, until the first event. The task sends to `events`.
    pub fn new(
        names: Arc<ServiceNames>,
        attention: Attention,
        events: mpsc::Sender<watch::Event>,
        tasks: Tasks,
    ) -> Kubernetes {
        Kubernetes {
            names,
            attention,
            events,
            tasks,
            following: None,
            source: None,
            is_listed: false,
            away: None,
            behind_since: None,
            is_outdated: false,
        }
    }

    /// Follows what `config` says from now on. True if some names are gone with that.
    pub fn follow(&mut self, config: &Config) -> bool {
        let wanted = follow::settings(config);
        let known = self.following.as_ref().map(|(settings, _)| settings);
        if known == wanted.as_ref() {
            return false;
        }

        if let Some((_, task)) = self.following.take() {
            task.abort();
        }
        self.source = wanted.as_ref().and_then(follow::fingerprint);
        self.is_listed = false;
        self.set_away(None);
        self.following = wanted.map(|settings| {
            let task = follow::start(settings.clone(), self.events.clone(), &self.tasks);
            (settings, task)
        });
        if self.following.is_none() {
            self.attention.clear(FINDINGS);
        }
        self.replace(ours(&self.names, config))
    }

    /// The task says something. True if our fragment, or what is said about it, changes with that.
    pub fn note(&mut self, event: Event) -> bool {
        // What a task that was stopped has said before.
        if self.following.is_none() {
            return false;
        }

        let before = self.origin();
        let is_other = match event {
            Event::Names { names, findings } => {
                self.say(&findings);
                self.is_listed = true;
                self.replace(ServiceNames(names))
            }
            Event::Away { reason } => {
                self.set_away(Some(reason));
                false
            }
            Event::Back => {
                self.set_away(None);
                false
            }
        };
        if self.is_current() {
            self.behind_since = None;
            self.is_outdated = false;
        }
        is_other || self.origin() != before
    }

    /// Compares our names with those of the site's other gateways. True if our fragment changes
    /// with that.
    pub fn compare(&mut self, siblings: &[ServicesOrigin], now: Instant) -> bool {
        let is_behind = !self.is_current()
            && siblings.iter().any(|sibling| {
                Some(sibling.source) == self.source && (sibling.is_current || self.is_outdated)
            });
        self.behind_since = is_behind.then(|| self.behind_since.unwrap_or(now));

        let due = self.behind_since.map(|since| since + PATIENCE);
        let is_outdated = due.is_some_and(|due| due <= now);
        let has_changed = is_outdated != self.is_outdated;
        self.is_outdated = is_outdated;
        if has_changed {
            self.say_away();
        }
        has_changed
    }

    /// When to call [`Kubernetes::compare`], at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let since = self.behind_since.filter(|_| !self.is_outdated)?;

        Some(since + PATIENCE)
    }

    /// Where the names in our fragment come from. `None` if it has none, unless the API server has
    /// none either.
    pub fn origin(&self) -> Option<ServicesOrigin> {
        let source = self.source?;
        let is_current = self.is_current();
        let has_names = is_current || !self.answered().0.is_empty();

        has_names.then_some(ServicesOrigin { source, is_current })
    }

    /// True if the names are those of the API server.
    fn is_current(&self) -> bool {
        self.is_listed && self.away.is_none()
    }

    fn set_away(&mut self, away: Option<String>) {
        self.away = away;
        self.say_away();
    }

    fn say_away(&self) {
        let Some(reason) = &self.away else {
            return self.attention.clear(AWAY);
        };
        let what = if self.is_outdated {
            format!(
                "names of Kubernetes Services are those of another gateway of this site: {reason}"
            )
        } else {
            format!("names of Kubernetes Services stay as they are: {reason}")
        };
        let remedy = "let this gateway reach the API server, and its service account list and \
                      watch Services and EndpointSlices";
        self.attention.raise(AWAY, &what, remedy);
    }

    /// What became of the names in our fragment.
    pub fn note_derived(&self, taken: &[Name], error: Option<&HostsError>) {
        let what = match (taken, error) {
            (_, Some(error)) => format!("no name of a Kubernetes Service is answered: {error}"),
            ([], None) => return self.attention.clear(TAKEN),
            (taken, None) => {
                let taken = taken.iter().map(ToString::to_string).collect();
                format!(
                    "names of Kubernetes Services are as in the files, which have them too: {}",
                    some(taken, ", ")
                )
            }
        };
        let remedy = "rename the Services, or take the names out of the files";
        self.attention.raise(TAKEN, &what, remedy);
    }

    /// The names that are known here.
    pub fn names(&self) -> &Arc<ServiceNames> {
        &self.names
    }

    /// Those of them that our fragment has.
    pub fn answered(&self) -> Arc<ServiceNames> {
        if self.is_outdated {
            return Arc::default();
        }
        self.names.clone()
    }

    fn say(&self, findings: &[String]) {
        if findings.is_empty() {
            return self.attention.clear(FINDINGS);
        }

        let what = some(findings.to_vec(), "; ");
        self.attention.raise(FINDINGS, &what, Remedy::default());
    }

    fn replace(&mut self, names: ServiceNames) -> bool {
        let is_other = names != *self.names;
        if is_other {
            tracing::info!(names = names.0.len(), "Names of Kubernetes Services");
            self.names = Arc::new(names);
        }
        is_other
    }
}

/// The names of before that may still be answered: none without `[dns.kubernetes]`, and no address
/// that is no longer this site's.
pub fn ours(names: &ServiceNames, config: &Config) -> ServiceNames {
    if config.dns.kubernetes.is_none() {
        return ServiceNames::default();
    }

    let mut names = names.clone();
    for addresses in names.0.values_mut() {
        addresses.retain(|address| config.is_own(&Prefix::host(*address)));
    }
    names.0.retain(|_, addresses| !addresses.is_empty());
    names
}

/// Those `origins`, of gateways of our organization, that are of this site.
pub fn of_siblings<'a>(
    origins: impl Iterator<Item = (&'a GatewayName, ServicesOrigin)>,
    config: &Config,
) -> Vec<ServicesOrigin> {
    let is_here = |name: &GatewayName| {
        let mut gateways = config.own.gateways.iter();
        gateways.any(|gateway| gateway.name == *name && gateway.site == config.site)
    };

    origins
        .filter(|(name, _)| is_here(name))
        .map(|(_, origin)| origin)
        .collect()
}

/// A fault if the file asks for what this program was built without.
pub fn missing(config: &Config) -> Option<Fault> {
    if follow::IS_BUILT_IN || config.dns.kubernetes.is_none() {
        return None;
    }

    Some(Fault {
        place: config.place_of(&keys::dns::KUBERNETES.to_string()),
        message: "this ringway was built without the feature kube and follows no Kubernetes \
                  Services; use the container image, build with --features kube, or remove \
                  [dns.kubernetes]"
            .to_owned(),
    })
}

/// The first few texts, and how many more there are.
fn some(mut texts: Vec<String>, between: &str) -> String {
    let more = texts.len().saturating_sub(LISTED);
    texts.truncate(LISTED);
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(between)
}
