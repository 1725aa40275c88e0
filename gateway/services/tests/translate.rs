//! Names of a cluster, from the JSON of its API server.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::IpAddr;

use ringway_config::{DnsName, OwnZone};
use ringway_services::{Change, Cluster, Key, Names, Object, Terms, limits, translate};
use serde_json::{Value, json};

const APEX: &str = "acme.consortium.example";

fn terms() -> Terms {
    let zone = OwnZone::new(
        &"acme".parse().unwrap(),
        &"consortium.example".parse().unwrap(),
    );
    Terms {
        reserved: [zone.absolute("gw1").unwrap(), zone.absolute("@").unwrap()].into(),
        zone,
        prefixes: vec![
            "10.1.0.0/16".parse().unwrap(),
            "fd00:1::/48".parse().unwrap(),
        ],
    }
}

/// A Service as the API server sends it, with what names are not made of.
fn service(name: &str, annotations: Value, spec: Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": "fabric",
            "uid": "0b6f7c0e-6f6e-4f0f-9f43-0f5a3a1e0b11",
            "resourceVersion": "1871",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": {"app": name},
            "annotations": annotations,
            "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:x": {}}}]
        },
        "spec": spec,
        "status": {"loadBalancer": {}}
    })
}

fn named(name: &str) -> Value {
    let spec = json!({"type": "ClusterIP", "clusterIP": "172.20.0.9", "ports": [{"port": 7051}]});
    service(name, json!({"ringway.io/name": name}), spec)
}

/// An EndpointSlice with these endpoints.
fn slice(of: &str, number: u32, endpoints: Value) -> Value {
    json!({
        "addressType": "IPv4",
        "metadata": {
            "name": format!("{of}-{number}"),
            "namespace": "fabric",
            "resourceVersion": "1900",
            "labels": {
                "kubernetes.io/service-name": of,
                "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"
            }
        },
        "endpoints": endpoints,
        "ports": [{"name": "", "port": 7051, "protocol": "TCP"}]
    })
}

fn ready(addresses: &[&str]) -> Value {
    addresses
        .iter()
        .map(|address| {
            json!({
                "addresses": [address],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "nodeName": "node1"
            })
        })
        .collect()
}

fn node(name: &str, address: &str, is_ready: bool) -> Value {
    json!({
        "metadata": {"name": name, "resourceVersion": "7", "labels": {}},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": address},
                {"type": "ExternalIP", "address": "203.0.113.9"},
                {"type": "Hostname", "address": name}
            ],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": if is_ready { "True" } else { "Unknown" }}
            ]
        }
    })
}

/// A cluster of these objects, listed.
fn cluster(services: &[Value], slices: &[Value], nodes: Option<&[Value]>) -> Cluster {
    let mut cluster = Cluster::new(3, nodes.is_some());
    let services = services.iter().map(|json| Object::Service(read(json)));
    let slices = slices.iter().map(|json| Object::Slice(read(json)));
    let nodes = nodes.unwrap_or_default().iter();
    let nodes = nodes.map(|json| Object::Node(read(json)));

    list(&mut cluster, 0, services);
    list(&mut cluster, 1, slices);
    list(&mut cluster, 2, nodes);
    cluster
}

fn list(cluster: &mut Cluster, source: usize, objects: impl Iterator<Item = Object>) {
    cluster.apply(source, Change::Listing);
    for object in objects {
        cluster.apply(source, Change::Listed(object));
    }
    cluster.apply(source, Change::Complete);
}

fn read<T: serde::de::DeserializeOwned>(json: &Value) -> T {
    // Through text, as it comes: a value borrows nothing.
    serde_json::from_str(&json.to_string()).unwrap()
}

fn names_of(services: &[Value], slices: &[Value]) -> Names {
    translate(&cluster(services, slices, None), &terms())
}

fn of(names: &Names, name: &str) -> Vec<String> {
    let name: DnsName = format!("{name}.{APEX}").parse().unwrap();
    let addresses = names.hosts.get(&name).into_iter().flatten();
    addresses.map(IpAddr::to_string).collect()
}

fn findings(names: &Names) -> Vec<String> {
    names.findings.iter().map(ToString::to_string).collect()
}

#[test]
fn a_service_has_the_addresses_of_its_ready_endpoints_of_both_families() {
    let slices = [
        slice("peer0", 1, ready(&["10.1.0.11", "10.1.0.12"])),
        slice("peer0", 2, ready(&["fd00:1::11"])),
        slice("other", 1, ready(&["10.1.0.99"])),
    ];
    let names = names_of(&[named("peer0")], &slices);

    assert_eq!(
        of(&names, "peer0"),
        ["10.1.0.11", "10.1.0.12", "fd00:1::11"]
    );
    assert!(names.findings.is_empty(), "{:?}", names.findings);
    assert_eq!(names.hosts.len(), 1);
}

#[test]
fn a_headless_service_has_them_too() {
    let spec = json!({"clusterIP": "None", "clusterIPs": ["None"], "selector": {"app": "peer0"}});
    let headless = service("peer0", json!({"ringway.io/name": "peer0"}), spec);

    let names = names_of(&[headless], &[slice("peer0", 1, ready(&["10.1.0.11"]))]);
    assert_eq!(of(&names, "peer0"), ["10.1.0.11"]);
}

#[test]
fn an_endpoint_counts_unless_it_is_not_ready() {
    let endpoints = json!([
        {"addresses": ["10.1.0.1"], "conditions": {"ready": true}},
        {"addresses": ["10.1.0.2"], "conditions": {}},
        {"addresses": ["10.1.0.3"]},
        {"addresses": ["10.1.0.4"], "conditions": {"ready": false}},
        {"addresses": ["10.1.0.5"], "conditions":
            {"ready": false, "serving": true, "terminating": true}},
        {"addresses": ["10.1.0.6"], "conditions": null},
        {"addresses": ["peer0.example"], "conditions": {"ready": true}},
        {"addresses": [], "conditions": {"ready": true}},
    ]);

    let names = names_of(&[named("peer0")], &[slice("peer0", 1, endpoints)]);
    assert_eq!(
        of(&names, "peer0"),
        ["10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.6"]
    );
}

#[test]
fn without_a_ready_endpoint_a_name_does_not_exist() {
    let none = json!([{"addresses": ["10.1.0.4"], "conditions": {"ready": false}}]);
    let mut balanced = named("peer0");
    balanced["spec"]["type"] = json!("LoadBalancer");
    balanced["status"]["loadBalancer"] = json!({"ingress": [{"ip": "10.1.5.5"}]});

    for (service, slices) in [
        (named("peer0"), vec![slice("peer0", 1, none.clone())]),
        (named("peer0"), vec![slice("peer0", 1, Value::Null)]),
        (named("peer0"), vec![]),
        (balanced, vec![slice("peer0", 1, none)]),
    ] {
        let names = names_of(&[service], &slices);
        assert!(names.hosts.is_empty());
        assert_eq!(
            findings(&names),
            ["Service fabric/peer0: no endpoint is ready, so that its names are left out"]
        );
    }
}

#[test]
fn a_load_balancer_has_what_the_cloud_gave_it() {
    let mut service = named("peer0");
    service["spec"]["type"] = json!("LoadBalancer");
    let slices = [slice("peer0", 1, ready(&["10.1.0.11"]))];
    assert_eq!(
        findings(&names_of(&[service.clone()], &slices)),
        ["Service fabric/peer0: its load balancer has no address yet"]
    );

    service["status"]["loadBalancer"] = json!({"ingress": [
        {"ip": "10.1.5.5", "ipMode": "VIP"},
        {"hostname": "a.elb.example"},
        {"ip": "10.2.5.5"},
    ]});
    let names = names_of(&[service], &slices);
    assert_eq!(of(&names, "peer0"), ["10.1.5.5"]);
    assert_eq!(
        findings(&names),
        [
            "Service fabric/peer0: its load balancer has the name \"a.elb.example\" instead of an \
             address; write its address to ringway.io/address",
            "Service fabric/peer0: 10.2.5.5 is in no prefix of this site, and members could not \
             reach it; it is left out"
        ]
    );
}

#[test]
fn a_node_port_is_reached_at_the_ready_nodes() {
    let mut service = named("peer0");
    service["spec"] = json!({"type": "NodePort", "externalTrafficPolicy": "Cluster"});
    let slices = [slice("peer0", 1, ready(&["10.1.0.11"]))];
    let mut excluded = node("node4", "10.1.9.4", true);
    excluded["metadata"]["labels"] =
        json!({"node.kubernetes.io/exclude-from-external-load-balancers": ""});
    let nodes = [
        node("node1", "10.1.9.1", true),
        node("node2", "10.1.9.2", true),
        node("node3", "10.1.9.3", false),
        excluded,
    ];
    let at = |service: &Value, nodes: Option<&[Value]>| {
        let services = std::slice::from_ref(service);
        translate(&cluster(services, &slices, nodes), &terms())
    };

    assert_eq!(
        of(&at(&service, Some(&nodes)), "peer0"),
        ["10.1.9.1", "10.1.9.2"]
    );
    service["spec"]["externalTrafficPolicy"] = json!("Local");
    assert_eq!(of(&at(&service, Some(&nodes)), "peer0"), ["10.1.9.1"]);
    assert_eq!(
        findings(&at(&service, Some(&nodes[1..]))),
        ["Service fabric/peer0: no node is ready and passes its packets on"]
    );
    assert!(findings(&at(&service, None))[0].contains("write nodes = true"));

    // A load balancer of our own stands before the nodes.
    service["metadata"]["annotations"]["ringway.io/address"] = json!("10.1.200.1, fd00:1::200");
    assert_eq!(
        of(&at(&service, None), "peer0"),
        ["10.1.200.1", "fd00:1::200"]
    );
}

#[test]
fn an_annotation_says_where_the_addresses_come_from() {
    let mut service = named("peer0");
    service["spec"]["type"] = json!("NodePort");
    let slices = [slice("peer0", 1, ready(&["10.1.0.11"]))];
    service["metadata"]["annotations"]["ringway.io/from"] = json!("endpoints");
    assert_eq!(
        of(&names_of(&[service.clone()], &slices), "peer0"),
        ["10.1.0.11"]
    );

    service["metadata"]["annotations"]["ringway.io/from"] = json!("pods");
    let wrong = names_of(&[service.clone()], &slices);
    assert!(findings(&wrong)[0].contains("\"pods\" in ringway.io/from is none of endpoints"));

    service["metadata"]["annotations"]["ringway.io/address"] = json!("10.1.0.5 10.1.0");
    let wrong = names_of(&[service], &slices);
    assert_eq!(of(&wrong, "peer0"), ["10.1.0.5"]);
    assert!(findings(&wrong)[1].contains("\"10.1.0\" in ringway.io/address is no address"));
}

#[test]
fn an_alias_has_no_addresses() {
    let mut service = named("peer0");
    service["spec"] = json!({"type": "ExternalName", "externalName": "peer0.beta.example"});
    let names = names_of(&[service], &[slice("peer0", 1, ready(&["10.1.0.1"]))]);
    assert!(names.hosts.is_empty());
    assert!(findings(&names)[0].contains("ExternalName"));
}

#[test]
fn names_are_relative_or_absolute_and_ours() {
    let text = "Peer0, peer0.west peer0.acme.consortium.example peer0.beta.consortium.example \
                www.example.org. -x gw1 @ a\u{1b}[2J";
    let mut service = named("peer0");
    service["metadata"]["annotations"]["ringway.io/name"] = json!(text);

    let names = names_of(&[service], &[slice("peer0", 1, ready(&["10.1.0.11"]))]);
    let given: Vec<&str> = names.hosts.keys().map(DnsName::as_str).collect();
    assert_eq!(
        given,
        [
            "peer0.acme.consortium.example",
            "peer0.west.acme.consortium.example"
        ]
    );
    assert_eq!(
        findings(&names),
        [
            "Service fabric/peer0: \"peer0.beta.consortium.example\" is no name of our zone; write \
             a name such as peer0",
            "Service fabric/peer0: \"www.example.org.\" is no name of our zone; write a name such \
             as peer0",
            "Service fabric/peer0: \"-x\" is no name of our zone; write a name such as peer0",
            "Service fabric/peer0: gw1.acme.consortium.example is named by the files alone",
            "Service fabric/peer0: acme.consortium.example is named by the files alone",
            "Service fabric/peer0: \"a\\u{1b}[2J\" is no name of our zone; write a name such as \
             peer0",
        ]
    );
}

#[test]
fn the_oldest_service_keeps_a_name() {
    let mut old = named("zz");
    old["metadata"]["creationTimestamp"] = json!("2025-12-31T23:59:59Z");
    old["metadata"]["annotations"]["ringway.io/name"] = json!("peer0");
    let young = named("peer0");
    let slices = [
        slice("peer0", 1, ready(&["10.1.0.11"])),
        slice("zz", 1, ready(&["10.1.0.22"])),
    ];

    for services in [[old.clone(), young.clone()], [young, old]] {
        let names = names_of(&services, &slices);
        assert_eq!(of(&names, "peer0"), ["10.1.0.22"]);
        assert_eq!(
            findings(&names),
            [
                "Service fabric/peer0: peer0.acme.consortium.example belongs to the older Service \
              fabric/zz; rename one"
            ]
        );
    }
}

#[test]
fn what_a_service_may_request_is_bounded() {
    let many: Vec<String> = (0..40).map(|number| format!("peer{number}")).collect();
    let mut service = named("peer0");
    service["metadata"]["annotations"]["ringway.io/name"] = json!(many.join(" "));
    let addresses: Vec<String> = (0..100).map(|last| format!("10.1.0.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let slices = [slice("peer0", 1, ready(&addresses))];

    let wide = names_of(&[service.clone()], &slices);
    assert_eq!(wide.hosts.len(), limits::NAMES_OF_A_SERVICE);
    assert_eq!(of(&wide, "peer0").len(), limits::ADDRESSES);
    assert_eq!(wide.findings.len(), 2);

    service["metadata"]["annotations"]["ringway.io/name"] = json!("a ".repeat(3000));
    let long = names_of(&[service.clone()], &slices);
    assert!(long.hosts.is_empty());
    assert!(findings(&long)[0].contains("more than 4096 bytes"));

    service["metadata"]["annotations"]["ringway.io/name"] = json!(" ,");
    assert!(findings(&names_of(&[service], &slices))[0].contains("is empty"));
}

#[test]
fn a_cluster_has_an_end() {
    let count = limits::NAMES + 100;
    let services: Vec<Value> = (0..count)
        .map(|number| named(&format!("peer{number}")))
        .collect();
    let slices: Vec<Value> = (0..count)
        .map(|number| slice(&format!("peer{number}"), 1, ready(&["10.1.0.11"])))
        .collect();
    let names = names_of(&services, &slices);
    assert_eq!(names.hosts.len(), limits::NAMES);
    assert_eq!(names.findings.len(), limits::FINDINGS);
    assert_eq!(names.more_findings, 100 - limits::FINDINGS);

    let addresses: Vec<String> = (0..64).map(|last| format!("10.1.0.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let slices: Vec<Value> = (0..count)
        .map(|number| slice(&format!("peer{number}"), 1, ready(&addresses[..32])))
        .collect();
    let wide = names_of(&services, &slices);
    assert_eq!(wide.records, limits::RECORDS);
    assert!(findings(&wide)[0].contains("would have more than 8000 addresses"));

    let addresses: Vec<&str> = vec!["10.1.0.11"; 1000];
    let slices: Vec<Value> = (0..110)
        .map(|number| slice("peer0", number, ready(&addresses)))
        .collect();
    let cut = cluster(&[named("peer0")], &slices, None);
    assert!(cut.is_cut());
    assert_eq!(of(&translate(&cut, &terms()), "peer0"), ["10.1.0.11"]);
}

#[test]
fn what_was_listed_stays_until_the_next_list_is_complete() {
    let slices = [slice("peer0", 1, ready(&["10.1.0.11"]))];
    let mut cluster = cluster(&[named("peer0")], &slices, None);
    assert!(cluster.is_complete());

    cluster.apply(0, Change::Listing);
    cluster.apply(0, Change::Listed(Object::Service(read(&named("peer1")))));
    assert_eq!(of(&translate(&cluster, &terms()), "peer0"), ["10.1.0.11"]);
    assert!(cluster.apply(0, Change::Complete));
    assert!(translate(&cluster, &terms()).hosts.is_empty());
}

#[test]
fn nothing_is_complete_before_each_source_was_listed() {
    let mut cluster = Cluster::new(2, false);
    list(&mut cluster, 0, [].into_iter());
    assert!(!cluster.is_complete());
    list(&mut cluster, 1, [].into_iter());
    assert!(cluster.is_complete());
}

#[test]
fn changes_are_those_of_what_names_are_made_of() {
    let slices = [slice("peer0", 1, ready(&["10.1.0.11"]))];
    let mut cluster = cluster(&[named("peer0")], &slices, None);
    let applied = |json: &Value| Change::Applied(Object::Service(read(json)));

    // The same again, and one that asks for nothing.
    assert!(!cluster.apply(0, applied(&named("peer0"))));
    let plain = service("plain", Value::Null, json!({}));
    assert!(!cluster.apply(0, applied(&plain)));

    // The annotation is taken away, and given again.
    let bare = service("peer0", json!({"other": "x"}), json!({}));
    assert!(cluster.apply(0, applied(&bare)));
    assert!(translate(&cluster, &terms()).hosts.is_empty());
    assert!(cluster.apply(0, applied(&named("peer0"))));
    assert_eq!(of(&translate(&cluster, &terms()), "peer0"), ["10.1.0.11"]);

    let key = Key {
        namespace: "fabric".into(),
        name: "peer0".into(),
    };
    assert!(cluster.apply(0, Change::Deleted(key.clone())));
    assert!(!cluster.apply(0, Change::Deleted(key)));
    assert!(translate(&cluster, &terms()).hosts.is_empty());
}
