//! [`Requests`]: sends requests of clients to the drive and waits for its answers.

use std::time::Duration;

use ringway_config::Opening;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{AnswersReport, ReloadReport, Report, Request, RoleReport, RulesReport};

/// Time limit of a reload.
pub(super) const RELOAD: Duration = Duration::from_secs(120);

/// A handle to the drive; clones share it. Its methods fail when the daemon stops.
#[derive(Debug, Clone)]
pub struct Requests(mpsc::Sender<Request>);

impl Requests {
    /// Sends requests to `queue`.
    pub fn new(queue: mpsc::Sender<Request>) -> Requests {
        Requests(queue)
    }

    /// The status of the gateway.
    pub async fn report(&self) -> anyhow::Result<Report> {
        self.ask(Request::Status).await
    }

    /// The role of the gateway in its site.
    pub async fn role(&self) -> anyhow::Result<RoleReport> {
        self.ask(Request::Role).await
    }

    /// Hands the site over to a sibling, or takes it back.
    pub async fn drain(&self, on: bool) -> anyhow::Result<Report> {
        self.ask(|reply| Request::Drain { on, reply }).await
    }

    /// What the rules of both ends say about `opening`.
    pub async fn rules(&self, opening: Opening) -> anyhow::Result<RulesReport> {
        self.ask(|reply| Request::Rules { opening, reply }).await
    }

    /// Which hosts of the site answer what members open towards them.
    pub async fn answers(&self) -> anyhow::Result<AnswersReport> {
        self.ask(Request::Answers).await
    }

    /// Reads the files again.
    pub async fn reload(&self) -> anyhow::Result<ReloadReport> {
        timeout(RELOAD, self.ask(Request::Reload)).await?
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> anyhow::Result<T> {
        let (reply, answer) = oneshot::channel();

        self.0.send(request(reply)).await?;
        Ok(answer.await?)
    }
}
