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
