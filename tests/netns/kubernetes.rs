//! Names of Kubernetes Services, from the double of an API server beside a gateway to the hosts of
//! another organization. Needs the feature `kube`; tests/campaign runs it.

mod siblings;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use ringway_apiserver::{ApiServer, Certificates};
use ringway_tests::scene::{append, eventually, replace};
use ringway_tests::{Scene, inside};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";
const NAME: &str = "service.org1.consortium.example";
/// Each with its own gateway's DNS server.
const ASKERS: [(&str, &str); 2] = [
    ("peer0.org1", "@10.10.1.1"),
    ("orderer0.org0", "@10.10.0.1"),
];

#[test]
fn services_have_names_at_every_member_as_long_as_endpoints_are_ready() {
    let mut scene = Scene::new("kubernetes", RINGWAY);
    let server = Server::beside(&scene);
    server.send(Order::Put(service()));
    server.send(Order::Put(slice([true, true])));
    append(&scene.config(GATEWAY), &server.table());
    scene.reload(GATEWAY);
    wait_until_answered(&scene, &["10.10.1.11", "10.10.1.12"]);

    let begin = Instant::now();
    server.send(Order::Put(slice([true, false])));
    wait_until_answered(&scene, &["10.10.1.11"]);
    println!(
        "result: an endpoint that is not ready is gone at both members after {} ms",
        begin.elapsed().as_millis()
    );
    server.send(Order::Put(foreign()));
    eventually("the foreign address to be said", 20, || {
        attention(&scene).contains("192.0.2.7 is in no prefix of this site")
    });

    server.send(Order::Put(service()));
    eventually("nothing to be wrong with the Service", 20, || {
        !attention(&scene).contains("192.0.2.7")
    });

    // Neither its absence nor a restart meanwhile takes the name away.
    server.send(Order::Stop);
    eventually("the API server to be missed", 40, || {
        attention(&scene).contains("names of Kubernetes Services stay as they are")
    });
    wait_until_answered(&scene, &["10.10.1.11"]);
    scene.kill(GATEWAY).expect("it runs");
    scene.start(GATEWAY).expect("it starts");
    scene.wait_until_joined().expect("the tunnels come up");
    wait_until_answered(&scene, &["10.10.1.11"]);

    server.send(Order::Put(slice([false, true])));
    server.send(Order::Resume);
    wait_until_answered(&scene, &["10.10.1.12"]);
    eventually("nothing to be wrong with the API server", 20, || {
        !attention(&scene).contains("stay as they are")
    });
    replace(&scene.config(GATEWAY), &server.table(), "");
    scene.reload(GATEWAY);
    wait_until_answered(&scene, &[]);
    scene.close();
}

#[test]
fn a_name_in_the_file_is_not_a_services() {
    let scene = Scene::new("kubernetes-file", RINGWAY);
    let server = Server::beside(&scene);
    server.send(Order::Put(service()));
    server.send(Order::Put(slice([true, true])));
    let host = "\n[[dns.host]]\nname = \"service\"\naddresses = \"10.10.1.13\"\n";
    append(&scene.config(GATEWAY), host);
    append(&scene.config(GATEWAY), &server.table());
    scene.reload(GATEWAY);

    eventually("it to be said", 20, || {
        attention(&scene).contains("are as in the files")
    });
    wait_until_answered(&scene, &["10.10.1.13"]);
    scene.close();
}

enum Order {
    Put(Value),
    Stop,
    Resume,
}

/// A server on loopback of the gateway's machine, on a thread of its own.
struct Server {
    orders: Sender<Order>,
    credentials: PathBuf,
    url: String,
}

impl Server {
    fn beside(scene: &Scene) -> Server {
        Server::of_cluster(&Certificates::new(), scene, GATEWAY)
    }

    fn of_cluster(cluster: &Certificates, scene: &Scene, gateway: &str) -> Server {
        let credentials = scene.beside(gateway, "credentials");
        std::fs::create_dir(&credentials).expect("a directory");
        let (orders, received) = channel();
        let (sender, url) = channel();

        let dir = credentials.clone();
        let cluster = cluster.clone();
        inside::spawn(scene, gateway, move || {
            serve(cluster, &dir, &received, &sender);
        });
        Server {
            orders,
            credentials,
            url: url.recv().expect("the server runs"),
        }
    }

    fn send(&self, order: Order) {
        self.orders.send(order).expect("the server runs");
    }

    fn table(&self) -> String {
        format!(
            "\n[dns.kubernetes]\nserver = {:?}\ncredentials = {:?}\n",
            self.url,
            self.credentials.display().to_string()
        )
    }
}

fn serve(
    cluster: Certificates,
    dir: &std::path::Path,
    orders: &Receiver<Order>,
    url: &Sender<String>,
) {
    // The thread waits for orders while the others of the runtime would not be in the namespace.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let local = runtime.block_on(ApiServer::of_cluster(cluster, dir));
    let mut server = local.expect("loopback is up");
    url.send(server.url()).expect("the test waits for it");

    loop {
        match orders.try_recv() {
            Ok(Order::Put(object)) => server.put(object),
            Ok(Order::Stop) => runtime.block_on(server.stop()),
            Ok(Order::Resume) => {
                let resumed = runtime.block_on(server.resume());
                resumed.expect("the port is free");
            }
            Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            Err(std::sync::mpsc::TryRecvError::Empty) => {
                // Meanwhile it serves.
                let pause = std::time::Duration::from_millis(10);
                runtime.block_on(async { tokio::time::sleep(pause).await });
            }
        }
    }
}

fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "service",
            "namespace": "fabric",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "annotations": {"ringway.io/name": "service"}
        },
        "spec": {"type": "ClusterIP", "clusterIP": "None"}
    })
}

fn slice(ready: [bool; 2]) -> Value {
    let endpoints: Vec<Value> = ["10.10.1.11", "10.10.1.12"]
        .iter()
        .zip(ready)
        .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
        .collect();

    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "metadata": {
            "name": "service-x7k2p",
            "namespace": "fabric",
            "labels": {"kubernetes.io/service-name": "service"}
        },
        "endpoints": endpoints
    })
}

/// The Service with an address that is not this site's besides.
fn foreign() -> Value {
    let mut service = service();
    service["metadata"]["annotations"]["ringway.io/address"] = json!("192.0.2.7 10.10.1.11");
    service
}

fn attention(scene: &Scene) -> String {
    scene.status(GATEWAY)["attention"].to_string()
}

fn wait_until_answered(scene: &Scene, expected: &[&str]) {
    for (host, server) in ASKERS {
        eventually(&format!("{expected:?} at {host}"), 30, || {
            let printed = scene.output_of_any_exit(host, "dig", &["+short", server, NAME]);
            let mut answered: Vec<&str> = printed.lines().collect();
            answered.sort_unstable();
            answered == expected
        });
    }
}
