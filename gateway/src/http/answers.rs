//! [`Answers`]: the response for each path.
//!
//! | path | 200 if |
//! |---|---|
//! | `/metrics` | the gateway answers: metrics in the OpenMetrics text format |
//! | `/healthz` | its loop is alive |
//! | `/readyz` | it serves: a tunnel is up, if there are any, and it is not handing over |
//! | `/active` | it is the active gateway of its site |
//!
//! Otherwise 503, with the reason as one line.

use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::time::timeout;

use crate::admin::{Metrics, Report, Requests, RoleReport};

/// Time limit for the gateway's loop: Kubernetes and load balancers usually wait a second.
const TIMEOUT: Duration = Duration::from_millis(900);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// OpenMetrics 1.0, "Overall Structure".
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Asks the gateway and makes the responses.
#[derive(Debug, Clone)]
pub struct Answers {
    /// The gateway's loop.
    pub requests: Requests,
    /// Counters that the loop does not have.
    pub metrics: Metrics,
}

pub(super) type Answer = Response<Full<Bytes>>;

impl Answers {
    /// The response to a request for `path`.
    pub(super) async fn answer(&self, method: &Method, path: &str) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }

        let answered = timeout(TIMEOUT, self.answer_path(path)).await;
        match answered {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, "the gateway ends\n"),
            Err(_) => text(
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway does not answer\n",
            ),
        }
    }

    async fn answer_path(&self, path: &str) -> anyhow::Result<Answer> {
        Ok(match path {
            "/metrics" => self.scrape().await?,
            "/healthz" => {
                self.requests.role().await?;
                text(StatusCode::OK, "ok\n")
            }
            "/readyz" => judge(readiness(&self.requests.report().await?)),
            "/active" => judge(activity(&self.requests.role().await?)),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz, /readyz and /active\n",
            ),
        })
    }

    async fn scrape(&self) -> anyhow::Result<Answer> {
        let report = self.requests.report().await?;
        let mut answer = text(StatusCode::OK, self.metrics.text(report)?);

        answer.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        Ok(answer)
    }
}

/// Whether hosts can use the gateway now; if not, why.
fn readiness(report: &Report) -> Result<(), String> {
    if report.site.hands_over {
        Err("it hands over to the other gateway of its site".to_owned())
    } else if let Some(interfaces) = &report.site.no_carrier {
        Err(format!("{interfaces} does not lead to the site's hosts"))
    } else if report.state == "down" {
        Err("no tunnel is up".to_owned())
    } else {
        Ok(())
    }
}

fn activity(role: &RoleReport) -> Result<(), String> {
    if role.role == "active" {
        Ok(())
    } else {
        Err(format!("standby: {}", role.reason))
    }
}

fn judge(verdict: Result<(), String>) -> Answer {
    match verdict {
        Ok(()) => text(StatusCode::OK, "ok\n"),
        Err(reason) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));

    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    // A proxy must not cache a state that has changed.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
