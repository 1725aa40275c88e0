//! Behaviour with and without the feature `kube`.

use std::path::Path;

use super::*;

/// A configuration with `[dns.kubernetes]`, whose site has 10.1.0.0/16 and fd00:1::/48.
fn config() -> Config {
    let case = "../config/tests/cases/kubernetes/gateway.toml";
    Config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(case)).unwrap()
}

fn names(names: &[(&str, &[&str])]) -> ServiceNames {
    let names = names.iter().map(|(name, addresses)| {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        (name.parse().unwrap(), addresses.collect())
    });
    ServiceNames(names.collect())
}

#[test]
fn names_of_before_lose_addresses_that_are_no_longer_ours() {
    let stored = names(&[
        (
            "peer0.acme.consortium.example",
            &["10.1.0.11", "10.9.0.11", "fd00:1::11"],
        ),
        ("peer1.acme.consortium.example", &["10.9.0.12"]),
    ]);
    let mut config = config();
    assert_eq!(
        ours(&stored, &config),
        names(&[(
            "peer0.acme.consortium.example",
            &["10.1.0.11", "fd00:1::11"]
        )])
    );

    config.dns.kubernetes = None;
    assert_eq!(ours(&stored, &config), ServiceNames::default());
}

#[test]
fn only_gateways_of_our_site_count() {
    let mut config = config();
    let mut other = config.own.gateways[0].clone();
    other.name = "gw9".parse().unwrap();
    other.site = "elsewhere".parse().unwrap();
    let here = config.own.gateways[0].name.clone();
    let there = other.name.clone();
    config.own.gateways.push(other);

    let origin = |byte| ServicesOrigin {
        source: Digest([byte; 32]),
        is_current: true,
    };
    let gone = "gone".parse().unwrap();
    let origins = [(&here, origin(1)), (&there, origin(2)), (&gone, origin(3))];
    assert_eq!(of_siblings(origins.into_iter(), &config), [origin(1)]);
}

#[test]
fn a_program_that_follows_nothing_refuses_the_table() {
    let mut config = config();
    let fault = missing(&config).map(|fault| fault.to_string());
    assert_eq!(fault.is_none(), cfg!(feature = "kube"));
    if let Some(fault) = fault {
        assert!(
            fault.contains("gateway.toml:12:1: this ringway was built without"),
            "{fault}"
        );
    }

    config.dns.kubernetes = None;
    assert!(missing(&config).is_none());
}

#[tokio::test]
async fn names_shadowed_by_files_are_reported_until_they_are_gone() {
    let attention = Attention::default();
    let (events, _queue) = mpsc::channel(1);
    let tasks = Tasks::default();
    let kubernetes = Kubernetes::new(Arc::default(), attention.clone(), events, tasks);

    let taken: Vec<Name> = (0..10)
        .map(|number| Name::from_text(&format!("peer{number}.acme.example")).unwrap())
        .collect();
    kubernetes.note_derived(&taken, None);
    let what = attention.list()[TAKEN].what.clone();
    assert!(what.ends_with("peer7.acme.example, 2 more"), "{what}");
    kubernetes.note_derived(&[], None);
    assert!(attention.list().is_empty());
}

#[cfg(feature = "kube")]
#[tokio::test]
async fn names_stay_while_the_api_server_is_away_and_go_with_the_table() {
    let attention = Attention::default();
    let (events, _queue) = mpsc::channel(16);
    let stored = names(&[("peer0.acme.consortium.example", &["10.1.0.11"])]);
    let known = Arc::new(stored.clone());
    let tasks = Tasks::default();
    let mut kubernetes = Kubernetes::new(known, attention.clone(), events, tasks.clone());
    let mut config = config();
    assert!(!kubernetes.follow(&config));
    assert!(!kubernetes.follow(&config));

    let reason = "no answer within 30 s".to_owned();
    assert!(!kubernetes.note(Event::Away { reason }));
    assert_eq!(**kubernetes.names(), stored);
    assert!(
        attention.list()[AWAY]
            .what
            .contains("stay as they are: no answer")
    );
    assert!(!kubernetes.note(Event::Back));
    assert!(attention.list().is_empty());

    let next = names(&[("peer1.acme.consortium.example", &["10.1.0.12"])]);
    let findings = vec!["Service fabric/x: no endpoint is ready".to_owned()];
    let event = Event::Names {
        names: next.0.clone(),
        findings,
    };
    assert!(kubernetes.note(event.clone()));
    assert!(!kubernetes.note(event.clone()));
    assert_eq!(**kubernetes.names(), next);
    assert!(attention.list()[FINDINGS].what.contains("fabric/x"));

    config.dns.kubernetes = None;
    assert!(kubernetes.follow(&config));
    assert!(kubernetes.names().0.is_empty());
    assert!(attention.list().is_empty());
    // A task that was stopped may have said something before.
    assert!(!kubernetes.note(event));
    tasks.end().await;
}

#[cfg(feature = "kube")]
#[tokio::test]
async fn names_are_left_out_while_a_sibling_has_later_ones() {
    let mut scene = Scene::start();
    let current = ServicesOrigin {
        source: OURS,
        is_current: true,
    };
    let earlier = ServicesOrigin {
        is_current: false,
        ..current
    };
    let elsewhere = ServicesOrigin {
        source: Digest([8; 32]),
        ..current
    };
    assert_eq!(scene.kubernetes.origin(), Some(earlier), "those of before");

    // Both are connected: both publish.
    scene.list();
    assert!(!scene.compare(&[current], PATIENCE));
    assert_eq!(scene.kubernetes.origin(), Some(current));

    scene.lose();
    assert_eq!(scene.kubernetes.origin(), Some(earlier));
    assert!(!scene.compare(&[earlier, elsewhere], PATIENCE));
    assert!(!scene.compare(&[current], Duration::ZERO));
    assert!(!scene.compare(&[current], PATIENCE / 2));
    // The sibling loses it too, within the patience: neither relies on the other.
    assert!(!scene.compare(&[earlier], PATIENCE));
    assert!(!scene.compare(&[current], PATIENCE));
    assert!(scene.compare(&[current], PATIENCE));
    assert!(scene.kubernetes.answered().0.is_empty());
    assert_eq!(scene.kubernetes.origin(), None);
    assert!(scene.said().contains("those of another gateway"));

    // What it has known last is still later than ours.
    assert!(!scene.compare(&[elsewhere, earlier], PATIENCE));
    assert!(scene.compare(&[elsewhere], Duration::ZERO));
    assert_eq!(scene.kubernetes.answered().0.len(), 1);
    assert!(scene.said().contains("stay as they are: no answer"));

    assert!(!scene.compare(&[current], Duration::ZERO));
    assert!(scene.compare(&[current], PATIENCE));
    assert!(scene.kubernetes.note(Event::Back));
    assert_eq!(scene.kubernetes.answered().0.len(), 1);
    assert_eq!(scene.kubernetes.origin(), Some(current));
    assert!(scene.attention.list().is_empty());
    scene.tasks.end().await;
}

#[cfg(feature = "kube")]
#[tokio::test]
async fn a_cluster_without_names_is_known_to_have_none() {
    let mut scene = Scene::start();
    scene.list();
    let none = Event::Names {
        names: BTreeMap::new(),
        findings: Vec::new(),
    };
    assert!(scene.kubernetes.note(none));
    assert!(scene.kubernetes.origin().unwrap().is_current);

    // An earlier state without names must not keep the names of a sibling out.
    scene.lose();
    assert_eq!(scene.kubernetes.origin(), None);
    scene.tasks.end().await;
}

#[cfg(feature = "kube")]
const OURS: Digest = Digest([7; 32]);

/// A gateway with a name of before that follows `OURS`.
#[cfg(feature = "kube")]
struct Scene {
    kubernetes: Kubernetes,
    attention: Attention,
    tasks: Tasks,
    now: Instant,
    _queue: mpsc::Receiver<watch::Event>,
}

#[cfg(feature = "kube")]
impl Scene {
    fn start() -> Scene {
        let attention = Attention::default();
        let tasks = Tasks::default();
        let (events, queue) = mpsc::channel(16);
        let stored = Arc::new(names(&[("peer0.acme.consortium.example", &["10.1.0.11"])]));
        let mut kubernetes = Kubernetes::new(stored, attention.clone(), events, tasks.clone());

        kubernetes.follow(&config());
        kubernetes.source = Some(OURS);
        Scene {
            kubernetes,
            attention,
            tasks,
            now: Instant::now(),
            _queue: queue,
        }
    }

    /// The API server answers with the names that are known.
    fn list(&mut self) {
        let names = self.kubernetes.names().0.clone();
        let findings = Vec::new();
        assert!(self.kubernetes.note(Event::Names { names, findings }));
    }

    fn lose(&mut self) {
        let reason = "no answer within 30 s".to_owned();
        assert!(self.kubernetes.note(Event::Away { reason }));
    }

    /// Compares with `siblings` when `time` has passed.
    fn compare(&mut self, siblings: &[ServicesOrigin], time: Duration) -> bool {
        self.now += time;
        self.kubernetes.compare(siblings, self.now)
    }

    fn said(&self) -> String {
        self.attention.list()[AWAY].what.clone()
    }
}
