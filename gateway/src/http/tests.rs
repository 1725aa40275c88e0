//! Clients of every kind, and a gateway that does not answer.

use std::path::Path;
use std::sync::Arc;

use ringway_dns::cookie::CookieJar;
use ringway_dns::{Counters, Forwarder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;

use super::*;
use crate::admin::{Metrics, Report, Request, Requests, RoleReport};

/// A gateway's loop that always says the same; without a role, it says nothing.
fn answers(role: Option<&'static str>, report: Report) -> Answers {
    let (queue, mut asked) = mpsc::channel(8);

    tokio::spawn(async move {
        let mut unanswered = Vec::new();
        while let Some(request) = asked.recv().await {
            match (request, role) {
                (Request::Status(reply), Some(_)) => _ = reply.send(report.clone()),
                (Request::Role(reply), Some(role)) => {
                    let role = RoleReport {
                        role: role.to_owned(),
                        ..RoleReport::default()
                    };
                    _ = reply.send(role);
                }
                (request, _) => unanswered.push(request),
            }
        }
    });
    Answers {
        requests: Requests::new(queue),
        metrics: Metrics {
            counters: Arc::new(Counters::default()),
            cookies: Arc::new(CookieJar::new().unwrap()),
            forwarder: Arc::new(Forwarder::default()),
        },
    }
}

/// The whole response to `request`, from a server on a port of its own.
async fn ask(answers: Answers, request: &str) -> String {
    let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let mut listener = Listener::Tcp(listener);
    client.write_all(request.as_bytes()).await.unwrap();

    let served = accept(&mut listener, 0).await;
    answer(served, &answers).await;
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    response
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: gateway\r\n\r\n")
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or(response)
}

#[tokio::test]
async fn each_path_has_its_answer() {
    let handing_over = || {
        let mut report = Report::default();
        report.site.hands_over = true;
        report
    };
    let down = || Report {
        state: "down".to_owned(),
        ..Report::default()
    };

    let without_carrier = || {
        let mut report = Report::default();
        report.site.no_carrier = Some("lan0".to_owned());
        report
    };
    // Something else needs attention, such as DNS: tunnels serve all the same.
    let attentive = || Report {
        state: "attention".to_owned(),
        ..Report::default()
    };

    for (path, role, report, expected) in [
        ("/healthz", "standby", down(), "200"),
        ("/readyz", "standby", Report::default(), "200"),
        ("/readyz", "active", down(), "503"),
        ("/readyz", "active", handing_over(), "503"),
        ("/readyz", "active", without_carrier(), "503"),
        ("/readyz", "active", attentive(), "200"),
        ("/readyz", "active", Report::default(), "200"),
        ("/healthz", "active", handing_over(), "200"),
        ("/active", "active", down(), "200"),
        ("/active", "standby", Report::default(), "503"),
        ("/", "active", Report::default(), "404"),
    ] {
        let response = ask(answers(Some(role), report), &get(path)).await;
        assert_eq!(status(&response), expected, "{path} {response}");
    }
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let response = ask(answers(Some("active"), Report::default()), &get("/metrics")).await;

    assert_eq!(status(&response), "200");
    assert!(response.contains("content-type: application/openmetrics-text; version=1.0.0"));
    assert!(response.ends_with("# EOF\n"), "{response}");
}

#[tokio::test]
async fn no_method_but_get_and_head_is_accepted() {
    let answers = answers(Some("active"), Report::default());

    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: gateway\r\n\r\n");
        let response = ask(answers.clone(), &request).await;
        assert_eq!(status(&response), "405", "{response}");
    }
    let request = "HEAD /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n";
    let response = ask(answers, request).await;
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_hangs_is_not_healthy() {
    for path in ["/healthz", "/readyz", "/active", "/metrics"] {
        let response = ask(answers(None, Report::default()), &get(path)).await;
        assert_eq!(status(&response), "503", "{path} {response}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2 * MAX_HEAD));

    for (request, expected) in [("\x16\x03\x01 hello\r\n\r\n", "400"), (&*long, "414")] {
        let response = ask(answers(Some("active"), Report::default()), request).await;
        assert!(
            ["400", "414", "431"].contains(&status(&response)),
            "{expected} {response}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn silent_clients_lose_their_places() {
    let answers = answers(Some("active"), Report::default());
    let (client, served) = tokio::io::duplex(64);

    answer(Box::new(served), &answers).await;
    drop(client);
}

#[tokio::test]
async fn a_socket_file_serves_the_same() {
    let path = std::env::temp_dir().join(format!("ringway-http-{}.sock", std::process::id()));
    let place = Place {
        listen: HttpListen::Socket(path.clone()),
        group: None,
    };
    let answers = answers(Some("active"), Report::default());
    let server = tokio::spawn(serve(place, answers, Attention::default()));

    let mut client = connect(&path).await;
    client.write_all(get("/healthz").as_bytes()).await.unwrap();
    let mut response = String::new();
    client.read_to_string(&mut response).await.unwrap();
    assert_eq!(status(&response), "200");

    // It is there again after another program has removed it.
    std::fs::remove_file(&path).unwrap();
    drop(connect(&path).await);
    server.abort();
    std::fs::remove_file(path).unwrap();
}

/// Connects as soon as somebody listens.
async fn connect(path: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return stream,
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

#[tokio::test]
async fn an_address_in_use_is_reported_and_retried() {
    let taken = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = taken.local_addr().unwrap();
    let place = Place {
        listen: HttpListen::Address(address),
        group: None,
    };
    let attention = Attention::default();

    tokio::select! {
        biased;
        _ = open(&place, &attention) => panic!("{address} is taken"),
        () = async { while attention.list().is_empty() { tokio::task::yield_now().await } } => {}
    }
    assert!(
        attention.list()[FINDING]
            .what
            .contains(&address.to_string())
    );

    drop(taken);
    open(&place, &attention).await;
    assert!(attention.list().is_empty());
}
