//! The answers of the server.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use hyper::{Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::objects::has_label;
use crate::{Fault, Seen, State};

pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// The answer to `request`.
pub(crate) async fn answer<B>(
    state: Arc<State>,
    request: Request<B>,
) -> Result<Response<Body>, Infallible> {
    let uri = request.uri().to_string();
    let token = request.headers().get(AUTHORIZATION).cloned();
    let fault = {
        let mut inner = state.lock();
        inner.seen.push(Seen {
            uri: uri.clone(),
            at: Instant::now(),
        });
        if token.is_none_or(|token| token != format!("Bearer {}", inner.token)) {
            return Ok(failed(401, "Unauthorized", "Unauthorized"));
        }
        let position = inner.faults.iter().position(|(text, _)| uri.contains(text));
        position.and_then(|position| inner.faults.remove(position))
    };
    if let Some((_, fault)) = fault {
        return Ok(faulty(&fault, &uri));
    }

    let query: HashMap<String, String> = pairs(request.uri().query().unwrap_or_default());
    let Some((plural, namespace)) = place(request.uri().path()) else {
        return Ok(failed(
            404,
            "NotFound",
            "the server could not find the requested resource",
        ));
    };
    if query.get("watch").is_some_and(|watch| watch == "true") {
        return Ok(watched(state, plural, namespace, &query));
    }
    Ok(listed(&state, plural, namespace, &query))
}

/// Plural and namespace.
fn place(path: &str) -> Option<(&'static str, String)> {
    let words: Vec<&str> = path.trim_start_matches('/').split('/').collect();

    match words[..] {
        ["api", "v1", "namespaces", namespace, "services"] => {
            Some(("services", namespace.to_owned()))
        }
        [
            "apis",
            "discovery.k8s.io",
            "v1",
            "namespaces",
            namespace,
            "endpointslices",
        ] => Some(("endpointslices", namespace.to_owned())),
        ["api", "v1", "nodes"] => Some(("nodes", String::new())),
        _ => None,
    }
}

/// Of what is escaped, selectors alone are used here.
fn pairs(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.replace("%3D", "=")))
        .collect()
}

fn listed(
    state: &State,
    plural: &'static str,
    namespace: String,
    query: &HashMap<String, String>,
) -> Response<Body> {
    let inner = state.lock();
    let selector = query.get("labelSelector").map_or("", String::as_str);
    let mut items = inner.objects.list(plural, &namespace, selector);
    // A list says once of what kind its items are.
    for item in &mut items {
        if let Some(item) = item.as_object_mut() {
            item.remove("kind");
            item.remove("apiVersion");
        }
    }

    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let from = number("continue").unwrap_or(0).min(items.len());
    let limit = number("limit").unwrap_or(usize::MAX).min(inner.page);
    let to = from.saturating_add(limit).min(items.len());
    let mut metadata = json!({"resourceVersion": inner.objects.version().to_string()});
    if to < items.len() {
        metadata["continue"] = json!(to.to_string());
        metadata["remainingItemCount"] = json!(items.len() - to);
    }
    let list = json!({
        "kind": "List",
        "apiVersion": "v1",
        "metadata": metadata,
        "items": &items[from..to]
    });
    json_response(StatusCode::OK, &list)
}

/// Sends what happens, as it happens.
fn watched(
    state: Arc<State>,
    plural: &'static str,
    namespace: String,
    query: &HashMap<String, String>,
) -> Response<Body> {
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<u64>().ok());
    let seconds = number("timeoutSeconds").unwrap_or(300);
    let watch = Watch {
        version: number("resourceVersion").unwrap_or(0),
        until: Instant::now() + Duration::from_secs(seconds),
        selector: query.get("labelSelector").cloned().unwrap_or_default(),
        plural,
        namespace,
    };

    let (lines, queue) = mpsc::channel(16);
    tokio::spawn(watch.send(state, lines));
    let frames = stream::unfold(queue, async |mut queue| Some((queue.recv().await?, queue)));
    let body = StreamBody::new(frames).boxed_unsync();
    response(StatusCode::OK, "application/json", body)
}

struct Watch {
    version: u64,
    until: Instant,
    selector: String,
    plural: &'static str,
    namespace: String,
}

type Line = Result<Frame<Bytes>, io::Error>;

impl Watch {
    async fn send(mut self, state: Arc<State>, lines: mpsc::Sender<Line>) {
        let mut changed = state.changed.subscribe();
        let cuts = state.lock().cuts;

        loop {
            changed.mark_unchanged();
            let (events, is_cut) = self.next(&state, cuts);
            for event in events {
                if lines.send(Ok(line(&format!("{event}\n")))).await.is_err() {
                    return;
                }
            }
            if is_cut {
                let half = r#"{"type":"MODIFIED","object":{"kind":"Service","metadata":{"na"#;
                let _ = lines.send(Ok(line(half))).await;
                let error = io::Error::from(io::ErrorKind::ConnectionReset);
                let _ = lines.send(Err(error)).await;
                return;
            }

            // The server ends a watch in good order after some time.
            let next = timeout_at(self.until.into(), changed.changed()).await;
            if !matches!(next, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// What has happened since, and whether the watch breaks after it.
    fn next(&mut self, state: &State, cuts: u64) -> (Vec<Value>, bool) {
        let inner = state.lock();
        if inner.objects.is_too_old(self.version) {
            let message = format!("too old resource version: {}", self.version);
            let gone = json!({"type": "ERROR", "object": status(410, "Expired", &message)});
            // It is the last event.
            self.until = Instant::now();
            return (vec![gone], false);
        }

        let mut events = Vec::new();
        for happened in inner
            .objects
            .since(self.version, self.plural, &self.namespace)
        {
            self.version = happened.version;
            let object = happened.event.as_ref().map(|event| &event["object"]);
            let is_ours = object.is_none_or(|object| has_label(object, &self.selector));
            if is_ours {
                events.push(
                    happened
                        .event
                        .unwrap_or_else(|| bookmark(self.plural, happened.version)),
                );
            }
        }
        // Nothing of what it has not seen is forgotten.
        self.version = self.version.max(inner.objects.version());
        (events, inner.cuts != cuts)
    }
}

/// A bookmark has the kind of the objects that are watched, and nothing else of them.
fn bookmark(plural: &str, version: u64) -> Value {
    let (kind, group) = match plural {
        "services" => ("Service", "v1"),
        "endpointslices" => ("EndpointSlice", "discovery.k8s.io/v1"),
        _ => ("Node", "v1"),
    };
    let metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});

    json!({
        "type": "BOOKMARK",
        "object": {"kind": kind, "apiVersion": group, "metadata": metadata}
    })
}

fn faulty(fault: &Fault, uri: &str) -> Response<Body> {
    match fault {
        Fault::Forbidden => failed(
            403,
            "Forbidden",
            "services is forbidden: User \"system:serviceaccount:fabric:ringway\" cannot list \
             resource \"services\" in API group \"\" in the namespace \"fabric\"",
        ),
        Fault::Gone => failed(410, "Expired", "The provided continue parameter is too old"),
        Fault::Busy(seconds) => {
            let text = "Too many requests, please try again later.\n";
            let body = full(text.to_owned());
            let mut response = response(StatusCode::TOO_MANY_REQUESTS, "text/plain", body);
            response
                .headers_mut()
                .insert(RETRY_AFTER, (*seconds).into());
            response
        }
        Fault::Broken => {
            let text = format!("no answer to {uri}\n");
            response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", full(text))
        }
    }
}

fn failed(code: u16, reason: &str, message: &str) -> Response<Body> {
    let status = status(code, reason, message);
    json_response(StatusCode::from_u16(code).unwrap_or_default(), &status)
}

fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code
    })
}

fn json_response(code: StatusCode, value: &Value) -> Response<Body> {
    response(code, "application/json", full(format!("{value}\n")))
}

fn response(code: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response
}

fn full(text: String) -> Body {
    Full::new(Bytes::from(text))
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn line(text: &str) -> Frame<Bytes> {
    Frame::data(Bytes::copy_from_slice(text.as_bytes()))
}
