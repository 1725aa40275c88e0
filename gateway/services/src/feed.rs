//! [`Feed`]: follows one source: lists its objects, then watches what changes.
//!
//! ```text
//!   ┌─► list, page by page ─► watch from the list's version ─┐  ends, breaks: watch from the last
//!   └──────────────── 410 Gone: the version is too old ◄─────┘  event or bookmark
//! ```
//! Never gives up. What was listed counts until the next list is complete, so that no failure takes
//! a name away.

use std::marker::PhantomData;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use kube::Client;
use kube::core::Status;
use kube::core::params::{ListParams, WatchParams};
use ringway_config::Escaped;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::api::{ApiError, Watching};
use crate::cluster::{Change, Source};
use crate::kind::{Heard, Kind, Page, requests};
use crate::pace::Pace;

/// Objects of one page.
const PAGE: u32 = 250;
/// How long a page may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(60);
/// Seconds after which the server ends a watch. The next one begins where it ended.
const WATCH: u32 = 240;
/// A server that has said nothing for so long is gone: it would have ended the watch.
const WATCH_PATIENCE: Duration = Duration::from_secs(WATCH as u64 + 10);
/// A watch that ends sooner has not worked.
const SHORT: Duration = Duration::from_secs(1);
/// HTTP 410: the version is not known any more.
const GONE: u16 = 410;
/// Characters of a reason.
const REASON: usize = 300;

/// What a feed says.
#[derive(Debug)]
pub(crate) enum News {
    Change(Change),
    /// The server answers.
    Heard,
    /// It does not, or not as it should.
    Failed(String),
}

/// See the head of this file.
pub(crate) struct Feed<K> {
    pub(crate) source: Source,
    pub(crate) namespace: String,
    pub(crate) selector: Option<String>,
    pub(crate) client: Client,
    pub(crate) news: mpsc::Sender<(Source, News)>,
    pub(crate) kind: PhantomData<K>,
}

/// Why a list or a watch has ended.
enum End {
    /// The version is too old.
    Gone,
    /// Too soon, or otherwise than it should.
    Failed(String),
    /// Nobody follows any more.
    Closed,
}

impl<K: Kind> Feed<K> {
    /// Follows the source until nobody does.
    pub(crate) async fn run(self) {
        let mut pace = Pace::default();
        // The version up to which everything is known.
        let mut version = None;

        loop {
            let ended = match &mut version {
                None => self.list().await.map(|listed| version = Some(listed)),
                Some(version) => self.watch(version).await,
            };
            match ended {
                Ok(()) => continue,
                Err(End::Closed) => return,
                Err(End::Gone) => version = None,
                Err(End::Failed(reason)) => {
                    if self.say(News::Failed(reason)).await.is_err() {
                        return;
                    }
                }
            }
            sleep(pace.failed(Instant::now())).await;
        }
    }

    /// Lists all objects. Returns the version of the list.
    async fn list(&self) -> Result<String, End> {
        let mut params = ListParams::default().limit(PAGE);
        params.label_selector.clone_from(&self.selector);
        self.say(News::Change(Change::Listing)).await?;

        loop {
            let request = requests::<K>(&self.namespace).list(&params);
            let request = request.map_err(|error| End::Failed(error.to_string()))?;
            let page = timeout(PAGE_PATIENCE, self.client.request::<Page<K>>(request)).await;
            let page = page.map_err(|_| End::Failed("a list does not end".to_owned()))?;
            let page = page.map_err(|error| ended(&error))?;

            for object in page.items.unwrap_or_default() {
                let listed = Change::Listed(object.into_object());
                self.say(News::Change(listed)).await?;
            }
            params.continue_token = page.metadata.next.filter(|next| !next.is_empty());
            if params.continue_token.is_none() {
                let version = page.metadata.resource_version.unwrap_or_default();
                self.say(News::Change(Change::Complete)).await?;
                self.say(News::Heard).await?;
                return Ok(version);
            }
        }
    }

    /// Follows what changes after `version`, which grows with it.
    async fn watch(&self, version: &mut String) -> Result<(), End> {
        let mut params = WatchParams::default().timeout(WATCH);
        params.label_selector.clone_from(&self.selector);
        let request = requests::<K>(&self.namespace).watch(&params, version);
        let mut request = request.map_err(|error| End::Failed(error.to_string()))?;
        request.extensions_mut().insert(Watching);

        let begin = Instant::now();
        let events = self.client.request_events::<K>(request).await;
        let mut events = pin!(events.map_err(|error| ended(&error))?);
        self.say(News::Heard).await?;

        loop {
            let event = timeout(WATCH_PATIENCE, events.try_next()).await;
            let event = event.map_err(|_| End::Failed("the API server is silent".to_owned()))?;
            let Some(event) = event.map_err(|error| ended(&error))? else {
                break;
            };
            match Heard::of(event) {
                Heard::Changed(change, at) => {
                    self.say(News::Change(*change)).await?;
                    follow(version, at);
                }
                Heard::Bookmark(at) => follow(version, at),
                Heard::Failed(status) => return Err(refused(&status)),
            }
        }

        // The server ends a watch in good order, or the connection broke: the next one says which.
        if begin.elapsed() < SHORT {
            return Err(End::Failed("the API server ends each watch".to_owned()));
        }
        Ok(())
    }

    /// Waits while the queue is full: the server waits, too.
    async fn say(&self, news: News) -> Result<(), End> {
        let sent = self.news.send((self.source, news)).await;

        sent.map_err(|_| End::Closed)
    }
}

/// An object without a version leaves us where we are.
fn follow(version: &mut String, at: String) {
    if !at.is_empty() {
        *version = at;
    }
}

fn ended(error: &kube::Error) -> End {
    match error {
        kube::Error::Api(status) => refused(status),
        kube::Error::Service(cause) => match cause.downcast_ref() {
            Some(ApiError::Status(status)) if status.as_u16() == GONE => End::Gone,
            Some(error) => End::Failed(reason(error)),
            None => End::Failed(reason(&**cause)),
        },
        _ => End::Failed(reason(error)),
    }
}

fn refused(status: &Status) -> End {
    if status.code == GONE {
        return End::Gone;
    }

    let message = format!("the API server answers {} {}", status.code, status.message);
    End::Failed(shown(&message))
}

/// An error with what it comes from.
fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        // Some repeat their source.
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }

    shown(&text)
}

/// The beginning of a text that may be the server's, safe to print.
fn shown(text: &str) -> String {
    let beginning: String = text.trim().chars().take(REASON).collect();
    Escaped(&beginning).to_string()
}
