//! [`watch`]: follows a cluster by its API server, and says which names its Services ask for.
//!
//! Everything runs in the caller's task, and ends when that is dropped.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::Duration;

use futures_util::future::{BoxFuture, join_all};
use kube::Client;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::{Api, own_namespace};
use crate::cluster::{Cluster, Source};
use crate::feed::{Feed, News};
use crate::kind::Kind;
use crate::object::{Node, Service, Slice};
use crate::terms::Terms;
use crate::translate::{Names, translate};

pub use crate::api::{Access, is_server};

/// What changes together is published together.
const GATHER: Duration = Duration::from_millis(50);
/// Time from one publication to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// News that wait for the cluster. Feeds wait when it is full.
const QUEUE: usize = 256;
/// How often the files of our pod are looked for again.
const RETRY: Duration = Duration::from_secs(5);

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The API server.
    pub access: Access,
    /// The namespaces of the Services; our own if there are none.
    pub namespaces: Vec<String>,
    /// Labels that Services must have, as the API server writes it.
    pub selector: Option<String>,
    /// Nodes are watched.
    pub nodes: bool,
    /// What Services may name.
    pub terms: Terms,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// These are the names from now on. Not sent before each source has been listed once.
    Names {
        /// The names.
        names: Names,
        /// There are more objects than are kept.
        is_cut: bool,
    },
    /// The API server does not answer as it should. The names stay.
    Away {
        /// Why.
        reason: String,
    },
    /// It does again.
    Back,
}

/// Follows `settings` until `events` is closed.
pub async fn watch(settings: Settings, events: mpsc::Sender<Event>) {
    let mut namespaces = settings.namespaces.clone();
    while namespaces.is_empty() {
        match own_namespace(&settings.access) {
            Ok(own) => namespaces.push(own),
            Err(error) => {
                let source = std::error::Error::source(&error).map(ToString::to_string);
                let reason = format!("{error}: {}", source.unwrap_or_default());
                if events.send(Event::Away { reason }).await.is_err() {
                    return;
                }
                sleep(RETRY).await;
            }
        }
    }

    let (news, queue) = mpsc::channel(QUEUE);
    let feeds = feeds(&settings, &namespaces, &news);
    let cluster = Cluster::new(feeds.len(), settings.nodes);
    let publisher = Publisher::new(cluster, settings.terms, events);
    tokio::select! {
        _ = join_all(feeds) => {}
        _ = publisher.run(queue) => {}
    }
}

/// One feed for each kind and namespace, as the sources of a cluster.
fn feeds(
    settings: &Settings,
    namespaces: &[String],
    news: &mpsc::Sender<(Source, News)>,
) -> Vec<BoxFuture<'static, ()>> {
    let client = Api::client(settings.access.clone());
    let mut feeds: Vec<BoxFuture<'static, ()>> = Vec::new();

    for namespace in namespaces {
        let mut services: Feed<Service> = feed(feeds.len(), namespace, &client, news);
        services.selector.clone_from(&settings.selector);
        feeds.push(Box::pin(services.run()));
        let slices: Feed<Slice> = feed(feeds.len(), namespace, &client, news);
        feeds.push(Box::pin(slices.run()));
    }
    if settings.nodes {
        let nodes: Feed<Node> = feed(feeds.len(), "", &client, news);
        feeds.push(Box::pin(nodes.run()));
    }
    feeds
}

fn feed<K: Kind>(
    source: Source,
    namespace: &str,
    client: &Client,
    news: &mpsc::Sender<(Source, News)>,
) -> Feed<K> {
    Feed {
        source,
        namespace: namespace.to_owned(),
        selector: None,
        client: client.clone(),
        news: news.clone(),
        kind: PhantomData,
    }
}

/// Gathers news, and publishes names.
struct Publisher {
    cluster: Cluster,
    terms: Terms,
    events: mpsc::Sender<Event>,
    /// What was published last.
    published: Option<(Names, bool)>,
    /// No publication before.
    earliest: Instant,
    /// When the next one is due, if something has changed.
    due: Option<Instant>,
    /// Sources that fail, and why.
    failing: BTreeMap<Source, String>,
    /// What was said of them last.
    away: Option<String>,
}

/// Nobody listens.
struct Closed;

impl Publisher {
    fn new(cluster: Cluster, terms: Terms, events: mpsc::Sender<Event>) -> Publisher {
        Publisher {
            cluster,
            terms,
            events,
            published: None,
            earliest: Instant::now(),
            due: None,
            failing: BTreeMap::new(),
            away: None,
        }
    }

    async fn run(mut self, mut queue: mpsc::Receiver<(Source, News)>) -> Result<(), Closed> {
        loop {
            let due = self.due;
            let wake = due.unwrap_or_else(|| Instant::now() + INTERVAL);

            tokio::select! {
                // A flood of news must not hold back what is due.
                biased;
                () = sleep_until(wake), if due.is_some() => self.publish().await?,
                news = queue.recv() => {
                    let (source, news) = news.ok_or(Closed)?;
                    self.note(source, news);
                    self.say_away().await?;
                }
            }
        }
    }

    fn note(&mut self, source: Source, news: News) {
        match news {
            News::Heard => _ = self.failing.remove(&source),
            News::Failed(reason) => _ = self.failing.insert(source, reason),
            News::Change(change) => {
                let has_changed = self.cluster.apply(source, change);
                if has_changed && self.cluster.is_complete() {
                    let due = self.earliest.max(Instant::now() + GATHER);
                    self.due.get_or_insert(due);
                }
            }
        }
    }

    /// Publishes the names, if they are others than before.
    async fn publish(&mut self) -> Result<(), Closed> {
        self.due = None;
        let names = translate(&self.cluster, &self.terms);
        let next = Some((names, self.cluster.is_cut()));
        if next == self.published {
            return Ok(());
        }

        self.published = next;
        self.earliest = Instant::now() + INTERVAL;
        match self.published.clone() {
            Some((names, is_cut)) => self.say(Event::Names { names, is_cut }).await,
            None => Ok(()),
        }
    }

    async fn say_away(&mut self) -> Result<(), Closed> {
        let away = self.failing.values().next().cloned();
        if away == self.away {
            return Ok(());
        }

        self.away = away.clone();
        match away {
            Some(reason) => self.say(Event::Away { reason }).await,
            None => self.say(Event::Back).await,
        }
    }

    async fn say(&self, event: Event) -> Result<(), Closed> {
        self.events.send(event).await.map_err(|_| Closed)
    }
}
