//! [`Kubernetes`]: the names of Services in our fragment (`[dns.kubernetes]`), and what is to be
//! said about them. Which names there are is found out by `ringway-services`, in a task of its own;
//! a program that was built without the feature `kube` has none.
//!
//! ```text
//!   API server ─► follow, a task ─► Event ─► Kubernetes::note ─► Derivation, off the loop
//! ```
//! The names of before stay while the API server is away, and over a restart ([`ServiceNames`]).

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

use ringway_config::{Config, DnsName, Fault, Prefix, keys};
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
        self.attention.clear(AWAY);
        self.following = wanted.map(|settings| {
            let task = follow::start(settings.clone(), self.events.clone(), &self.tasks);
            (settings, task)
        });
        if self.following.is_none() {
            self.attention.clear(FINDINGS);
        }
        self.replace(ours(&self.names, config))
    }

    /// The task says something. True if there are other names than before.
    pub fn note(&mut self, event: Event) -> bool {
        // What a task that was stopped has said before.
        if self.following.is_none() {
            return false;
        }

        match event {
            Event::Names { names, findings } => {
                self.say(&findings);
                return self.replace(ServiceNames(names));
            }
            Event::Away { reason } => {
                let what = format!("names of Kubernetes Services stay as they are: {reason}");
                let remedy = "let this gateway reach the API server, and its service account list \
                              and watch Services and EndpointSlices";
                self.attention.raise(AWAY, &what, remedy);
            }
            Event::Back => self.attention.clear(AWAY),
        }
        false
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

    /// The names that are answered.
    pub fn names(&self) -> &Arc<ServiceNames> {
        &self.names
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
