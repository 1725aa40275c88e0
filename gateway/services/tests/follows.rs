//! Follows the double of an API server through everything that a real one does.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ringway_apiserver::{ApiServer, Fault, Seen};
use ringway_config::OwnZone;
use ringway_services::{Access, Event, Names, Settings, Terms, watch};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Nothing takes so long, unless it does not happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a watch of it.
struct Case {
    server: ApiServer,
    dir: PathBuf,
    events: mpsc::Receiver<Event>,
    watching: JoinHandle<()>,
}

impl Case {
    /// The watch of a server that `prepare` has prepared.
    async fn new(prepare: impl FnOnce(&ApiServer, &mut Settings)) -> Case {
        static CASES: AtomicU32 = AtomicU32::new(0);
        let number = CASES.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-services-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).unwrap();

        let server = ApiServer::start(&dir).await.unwrap();
        let mut settings = Settings {
            access: Access {
                server: server.url(),
                credentials: dir.clone(),
            },
            namespaces: Vec::new(),
            selector: None,
            nodes: false,
            terms: terms(),
        };
        prepare(&server, &mut settings);
        let (sender, events) = mpsc::channel(64);
        let watching = tokio::spawn(watch(settings, sender));
        Case {
            server,
            dir,
            events,
            watching,
        }
    }

    async fn next(&mut self) -> Event {
        let event = timeout(PATIENCE, self.events.recv()).await;
        event
            .expect("nothing happens")
            .expect("the watch has ended")
    }

    /// Waits until the names are these. What happens before is returned.
    async fn until(&mut self, wanted: &[&str]) -> Vec<Event> {
        let mut before = Vec::new();
        loop {
            let event = self.next().await;
            if let Event::Names { names, .. } = &event
                && hosts(names) == wanted
            {
                return before;
            }
            before.push(event);
        }
    }

    /// Waits until the API server is found away, for this reason.
    async fn until_away(&mut self, why: &str) {
        loop {
            match self.next().await {
                Event::Away { reason } if reason.contains(why) => return,
                _ => {}
            }
        }
    }

    async fn until_back(&mut self) {
        while self.next().await != Event::Back {}
    }

    /// Requests of this kind whose URI holds `text`.
    fn seen(&self, is_watch: bool, text: &str) -> Vec<Seen> {
        let seen = self.server.seen().into_iter();
        seen.filter(|seen| seen.is_watch() == is_watch && seen.uri.contains(text))
            .collect()
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        self.watching.abort();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn terms() -> Terms {
    Terms {
        zone: OwnZone::new(
            &"acme".parse().unwrap(),
            &"consortium.example".parse().unwrap(),
        ),
        prefixes: vec!["10.1.0.0/16".parse().unwrap()],
        reserved: [].into(),
    }
}

/// `peer0 10.1.0.11 10.1.0.12`, and so on.
fn hosts(names: &Names) -> Vec<String> {
    let hosts = names.hosts.iter();
    hosts
        .map(|(name, addresses)| {
            let mut text = name
                .as_str()
                .trim_end_matches(".acme.consortium.example")
                .to_owned();
            for address in addresses {
                text.push_str(&format!(" {address}"));
            }
            text
        })
        .collect()
}

fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": name},
            "annotations": {"ringway.io/name": name}
        },
        "spec": {"type": "ClusterIP", "clusterIP": "None"},
        "status": {"loadBalancer": {}}
    })
}

fn slice(namespace: &str, of: &str, addresses: &[&str]) -> Value {
    let endpoints: Vec<Value> = addresses
        .iter()
        .map(|address| json!({"addresses": [address], "conditions": {"ready": true}}))
        .collect();
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": format!("{of}-x7k2p"),
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": of}
        },
        "endpoints": endpoints
    })
}

fn put(server: &ApiServer, name: &str, addresses: &[&str]) {
    server.put(service("fabric", name));
    server.put(slice("fabric", name, addresses));
}

#[tokio::test]
async fn names_follow_services_and_their_endpoints() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;

    put(&case.server, "peer1", &["10.1.0.21", "10.1.0.22"]);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.21 10.1.0.22"])
        .await;

    let mut unready = slice("fabric", "peer1", &["10.1.0.21", "10.1.0.22"]);
    unready["endpoints"][0]["conditions"] =
        json!({"ready": false, "serving": true, "terminating": true});
    case.server.put(unready);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.22"]).await;

    case.server.delete(&service("fabric", "peer0"));
    case.until(&["peer1 10.1.0.22"]).await;
    case.server.delete(&slice("fabric", "peer1", &[]));
    case.until(&[]).await;
    // All of it by two lists.
    assert_eq!(case.seen(false, "").len(), 2);
}

#[tokio::test]
async fn namespaces_labels_and_nodes_are_those_asked_for() {
    let mut case = Case::new(|server, settings| {
        settings.namespaces = vec!["a".into(), "b".into()];
        settings.selector = Some("app=peer0".into());
        settings.nodes = true;
        for namespace in ["a", "b", "c"] {
            let mut object = service(namespace, "peer0");
            object["metadata"]["annotations"]["ringway.io/name"] = json!(namespace);
            object["spec"]["type"] = json!("NodePort");
            server.put(object);
            server.put(slice(namespace, "peer0", &["10.1.0.11"]));
        }
        server.put(service("a", "peer1"));
        server.put(slice("a", "peer1", &["10.1.0.12"]));
        server.put(json!({
            "kind": "Node",
            "metadata": {"name": "node1"},
            "status": {
                "addresses": [{"type": "InternalIP", "address": "10.1.9.1"}],
                "conditions": [{"type": "Ready", "status": "True"}]
            }
        }));
    })
    .await;
    case.until(&["a 10.1.9.1", "b 10.1.9.1"]).await;

    // What changes is chosen in the same way.
    case.server.put(service("b", "peer2"));
    case.server.put(slice("b", "peer2", &["10.1.0.13"]));
    case.server.delete(&service("a", "peer0"));
    case.until(&["b 10.1.9.1"]).await;
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let mut case = Case::new(|server, _| {
        server.set_page(2);
        for number in 0..5 {
            put(server, &format!("peer{number}"), &["10.1.0.11"]);
        }
    })
    .await;
    let all: Vec<String> = (0..5)
        .map(|number| format!("peer{number} 10.1.0.11"))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();

    assert!(case.until(&all).await.is_empty());
    assert_eq!(case.seen(false, "/services").len(), 3);
    let last = case.seen(false, "/services").pop().unwrap();
    assert!(last.uri.contains("continue=4"));
}

#[tokio::test]
async fn a_list_whose_next_page_is_gone_begins_again() {
    let mut case = Case::new(|server, _| {
        server.set_page(2);
        server.fail("continue=2", Fault::Gone);
        for number in 0..3 {
            put(server, &format!("peer{number}"), &["10.1.0.11"]);
        }
    })
    .await;

    let all = ["peer0 10.1.0.11", "peer1 10.1.0.11", "peer2 10.1.0.11"];
    assert!(case.until(&all).await.is_empty());
}

#[tokio::test]
async fn nothing_is_published_before_everything_is_listed() {
    let mut case = Case::new(|server, _| {
        put(server, "peer0", &["10.1.0.11"]);
        server.fail("/endpointslices", Fault::Forbidden);
    })
    .await;

    let before = case.until(&["peer0 10.1.0.11"]).await;
    let published = before
        .iter()
        .any(|event| matches!(event, Event::Names { .. }));
    assert!(!published, "{before:?}");
}

#[tokio::test]
async fn a_watch_that_breaks_in_the_middle_of_an_event_goes_on_where_it_was() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;
    wait_for_watches(&case, 1).await;

    case.server.cut();
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.12"]).await;
    assert_eq!(case.seen(false, "").len(), 2, "{:?}", case.server.seen());
    assert!(case.seen(true, "/services").len() >= 2);
}

#[tokio::test]
async fn a_bookmark_says_where_the_next_watch_begins() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;
    wait_for_watches(&case, 1).await;

    // Elsewhere much happens, of which this watch sees nothing.
    for number in 0..20 {
        case.server.put(service("other", &format!("peer{number}")));
    }
    case.server.bookmark();
    // Both watches have it once something that came later has arrived.
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.12"]).await;
    case.server.put(service("other", "last"));
    case.server.bookmark();
    case.server.compact();
    case.server.cut();

    put(&case.server, "peer2", &["10.1.0.13"]);
    let all = ["peer0 10.1.0.11", "peer1 10.1.0.12", "peer2 10.1.0.13"];
    case.until(&all).await;
}

/// Waits until each source has been watched so often.
async fn wait_for_watches(case: &Case, count: usize) {
    let all_watch = || {
        case.seen(true, "/services").len() >= count
            && case.seen(true, "/endpointslices").len() >= count
    };
    let watching = async {
        while !all_watch() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, watching).await.expect("no watch begins");
}

/// The API server was away while its history went.
async fn gone(status: bool) {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;
    wait_for_watches(&case, 1).await;

    case.server.stop().await;
    case.server.delete(&service("fabric", "peer0"));
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.server.compact();
    if status {
        case.server.fail("/services?&watch=true", Fault::Gone);
        case.server.fail("/endpointslices?&watch=true", Fault::Gone);
    }
    case.server.resume().await.unwrap();

    // The names of before stay until the new list is there.
    let before = case.until(&["peer1 10.1.0.12"]).await;
    for event in before {
        if let Event::Names { names, .. } = event {
            assert!(!names.hosts.is_empty());
        }
    }
    assert!(case.seen(false, "/services").len() >= 2);
}

#[tokio::test]
async fn a_version_that_is_too_old_is_listed_again_by_an_event() {
    gone(false).await;
}

#[tokio::test]
async fn a_version_that_is_too_old_is_listed_again_by_a_status() {
    gone(true).await;
}

#[tokio::test]
async fn a_busy_server_is_asked_again_when_it_says() {
    let mut case = Case::new(|server, _| {
        put(server, "peer0", &["10.1.0.11"]);
        server.fail("/services", Fault::Busy(2));
    })
    .await;
    case.until_away("429").await;
    case.until(&["peer0 10.1.0.11"]).await;

    let lists = case.seen(false, "/services");
    assert!(lists[1].at - lists[0].at >= Duration::from_secs(2));
}

#[tokio::test]
async fn a_forbidden_or_broken_list_is_reported_and_retried() {
    let mut case = Case::new(|server, _| {
        put(server, "peer0", &["10.1.0.11"]);
        server.fail("/services", Fault::Forbidden);
        server.fail("/services", Fault::Broken);
    })
    .await;
    case.until_away("403 services is forbidden: User").await;
    case.until_away("500").await;
    case.until_back().await;
    case.until(&["peer0 10.1.0.11"]).await;
}

#[tokio::test]
async fn a_watch_that_is_forbidden_is_asked_for_again() {
    let mut case = Case::new(|server, _| {
        put(server, "peer0", &["10.1.0.11"]);
        server.fail("/services?&watch=true", Fault::Forbidden);
    })
    .await;
    case.until_away("403").await;
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.12"]).await;
}

#[tokio::test]
async fn while_the_server_is_away_names_stay() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;

    case.server.stop().await;
    case.until_away("Connection refused").await;
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.server.resume().await.unwrap();
    let before = case.until(&["peer0 10.1.0.11", "peer1 10.1.0.12"]).await;
    let other = before
        .iter()
        .find(|event| matches!(event, Event::Names { .. }));
    if let Some(Event::Names { names, .. }) = other {
        assert!(!names.hosts.is_empty(), "{before:?}");
    }
}

#[tokio::test]
async fn the_token_is_the_one_in_the_file() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;

    case.server.set_token("second");
    case.server.cut();
    case.until_away("401").await;
    fs::write(case.dir.join("token"), "second\n").unwrap();
    put(&case.server, "peer1", &["10.1.0.12"]);
    case.until(&["peer0 10.1.0.11", "peer1 10.1.0.12"]).await;
}

#[tokio::test]
async fn a_server_that_the_ca_does_not_vouch_for_gets_no_token() {
    let other = std::env::temp_dir().join(format!("ringway-services-ca-{}", std::process::id()));
    fs::create_dir(&other).unwrap();
    let right = ApiServer::start(&other).await.unwrap();

    let mut case = Case::new(|server, settings| {
        put(server, "peer0", &["10.1.0.11"]);
        let ca = settings.access.credentials.join("ca.crt");
        fs::copy(&ca, ca.with_file_name("ca.right")).unwrap();
        fs::copy(other.join("ca.crt"), ca).unwrap();
    })
    .await;
    case.until_away("certificate").await;
    assert!(case.server.seen().is_empty());

    // A CA is replaced while the gateway runs.
    fs::copy(case.dir.join("ca.right"), case.dir.join("ca.crt")).unwrap();
    case.until(&["peer0 10.1.0.11"]).await;
    drop(right);
    fs::remove_dir_all(other).unwrap();
}

#[tokio::test]
async fn the_files_of_the_pod_may_come_later() {
    let mut case = Case::new(|server, settings| {
        put(server, "peer0", &["10.1.0.11"]);
        let namespace = settings.access.credentials.join("namespace");
        fs::remove_file(namespace).unwrap();
    })
    .await;
    case.until_away("namespace cannot be read: No such file")
        .await;
    fs::write(case.dir.join("namespace"), "fabric\n").unwrap();
    case.until(&["peer0 10.1.0.11"]).await;
}

#[tokio::test]
async fn changes_are_gathered_for_a_second() {
    let mut case = Case::new(|server, _| put(server, "peer0", &["10.1.0.11"])).await;
    case.until(&["peer0 10.1.0.11"]).await;

    let begin = Instant::now();
    for last in 0..200 {
        put(&case.server, "peer0", &[&format!("10.1.0.{last}")]);
    }
    let before = case.until(&["peer0 10.1.0.199"]).await;
    let published = before
        .iter()
        .filter(|event| matches!(event, Event::Names { .. }));
    let most = begin.elapsed().as_secs() + 1;
    assert!(published.count() as u64 <= most);
}
