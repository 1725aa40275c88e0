//! Two replicators and whatever comes between them; and owners that mean ill.

use std::path::PathBuf;

use ringway_config::Digest;
use ringway_core::{Decoder, Incoming, Message};
use ringway_dns::{Name, transfer};

use super::*;

const CONN: ConnId = ConnId(1);

fn name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

fn zone(apex: &str, serial: u32) -> Zone {
    hosts(apex, serial, 1)
}

fn hosts(apex: &str, serial: u32, count: u32) -> Zone {
    let hosts: String = (0..count)
        .map(|i| format!("peer{i} A 10.1.0.9\n"))
        .collect();
    let text = format!("$TTL 5\n@ SOA ns h {serial} 60 10 600 5\n{hosts}");
    Zone::from_text(&text, Some(&Name::from_text(apex).unwrap())).unwrap()
}

impl Own {
    /// Takes `zone` in its place at once.
    fn become_at_once(&mut self, zone: Zone) -> bool {
        let preparation = self.prepare(Arc::new(zone)).unwrap();
        self.replace(preparation.run())
    }
}

/// A gateway's replication; the test plays the peers.
struct Stand {
    replicator: Replicator,
    dir: PathBuf,
    now: Instant,
}

impl Stand {
    /// Of org0; the zones of org1 and org2 are expected.
    fn new(test: &str) -> Stand {
        let zones = Arc::new(Zones::new());
        zones.set_expected(
            &name("org0.example.test"),
            &[name("org1.example.test"), name("org2.example.test")],
        );
        let own = Own::new(
            name("org0.example.test"),
            Arc::new(hosts("org0.example.test", 7, 100)),
        );
        let dir = std::env::temp_dir().join(format!("ringway-zones-{test}-{}", std::process::id()));
        let copies = Arc::new(ReplicaStore::open(&dir).unwrap());
        let heard = Hold::open(&dir.join("heard"), Moment::now()).unwrap();
        let keeping = Keeping::new(heard, Duration::from_secs(3600));
        Stand {
            replicator: Replicator::of(zones, copies, name("example.test"), own, keeping),
            dir,
            now: Instant::now(),
        }
    }

    fn handle(&mut self, peer: &str, message: ZoneMessage) -> Option<Reply> {
        self.replicator
            .handle(CONN, &peer.parse().unwrap(), message, self.now)
    }

    /// The same, with every check that follows.
    fn hand(&mut self, peer: &str, message: ZoneMessage) {
        let mut replies: Vec<Reply> = self.handle(peer, message).into_iter().collect();

        while let Some(reply) = replies.pop() {
            if let Reply::Check(check) = reply {
                replies.extend(self.replicator.handle_checked(check.run(), self.now));
            }
        }
    }

    /// Gives what `owner` has; true if it was asked for.
    fn push(&mut self, peer: &str, owner: &Own) -> bool {
        let Some(fetch) = self.handle(peer, offer_of(owner)) else {
            return false;
        };
        assert!(
            matches!(fetch, Reply::Message(CONN, ZoneMessage::Fetch { .. })),
            "{fetch:?}"
        );
        self.send(peer, &owner.whole);
        true
    }

    fn send(&mut self, peer: &str, load: &Load) {
        let mut decoder = Decoder::default();
        for chunk in load.iter() {
            decoder.push(chunk);
            while let Some(Incoming::Message(Message::Zone(chunk))) = decoder.next().unwrap() {
                self.hand(peer, chunk);
            }
        }
    }

    fn served(&self, apex: &str) -> Option<Arc<Zone>> {
        self.replicator.zones.zone(&name(apex))
    }

    fn refusal(&self, apex: &str) -> &str {
        self.replicator.refusal(&name(apex)).unwrap_or_default()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // A copy may just be written there.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn owner(zone: Zone) -> Own {
    Own::new(
        name(zone.apex().to_string().trim_end_matches('.')),
        Arc::new(zone),
    )
}

fn offer_of(owner: &Own) -> ZoneMessage {
    let Offer {
        serial,
        digest,
        size,
    } = owner.offer;
    ZoneMessage::Offer {
        apex: owner.apex.clone(),
        serial,
        digest,
        size: size as u32,
    }
}

#[tokio::test]
async fn a_zone_is_taken_from_its_owner_and_from_nobody_else() {
    let mut stand = Stand::new("owner");
    let theirs = owner(zone("org1.example.test", 3));
    assert!(!stand.push("gw.org2", &theirs), "not the owner");
    assert!(
        stand
            .refusal("org2.example.test")
            .contains("offers org1.example.test, which is not its own")
    );
    assert!(
        !stand.push("gw.org1", &owner(zone("org0.example.test", 9))),
        "ours"
    );
    assert!(stand.served("org1.example.test").is_none());
    assert!(stand.push("gw.org1", &theirs));
    assert_eq!(stand.served("org1.example.test").unwrap().serial(), 3);
    assert!(
        stand.served("org0.example.test").is_none(),
        "nobody else's word"
    );
}

#[tokio::test]
async fn only_what_changed_is_sent_to_a_peer_that_has_the_version_before() {
    let mut stand = Stand::new("delta");
    let mut theirs = owner(hosts("org1.example.test", 3, 1000));
    stand.push("gw.org1", &theirs);
    assert!(theirs.become_at_once(hosts("org1.example.test", 4, 1001)));
    let Some(Reply::Message(
        _,
        ZoneMessage::Fetch {
            serial: 4, have, ..
        },
    )) = stand.handle("gw.org1", offer_of(&theirs))
    else {
        panic!("not fetched")
    };
    let delta = theirs.since(have);
    assert!(delta.concat().len() < 300 && theirs.whole.concat().len() > 20_000);
    stand.send("gw.org1", &delta);
    assert_eq!(stand.served("org1.example.test").unwrap().records(), 1002);
    assert_eq!(
        stand.served("org1.example.test").unwrap().digest(),
        theirs.offer.digest
    );
}

#[tokio::test]
async fn a_difference_that_lies_is_refused_and_then_the_whole_zone_taken() {
    let mut stand = Stand::new("lie");
    let mut theirs = owner(hosts("org1.example.test", 3, 100));
    stand.push("gw.org1", &theirs);
    let before = stand.served("org1.example.test").unwrap();
    theirs.become_at_once(hosts("org1.example.test", 4, 101));
    stand.handle("gw.org1", offer_of(&theirs));
    let mut other = owner(hosts("org1.example.test", 3, 100));
    other.become_at_once(hosts("org1.example.test", 4, 102));
    let lie = other.since(Some((3, before.digest())));
    assert!(!Arc::ptr_eq(&lie, &other.whole));
    stand.send("gw.org1", &lie);
    assert!(
        Arc::ptr_eq(&stand.served("org1.example.test").unwrap(), &before),
        "nothing changed"
    );
    assert!(
        stand
            .refusal("org1.example.test")
            .starts_with("gw.org1: the zone's digest")
    );
    let again = stand.replicator.handle_timeout(stand.now);
    assert!(
        matches!(
            again[..],
            [Reply::Message(
                CONN,
                ZoneMessage::Fetch {
                    serial: 4,
                    have: None,
                    ..
                }
            )]
        ),
        "{again:?}"
    );
    stand.send("gw.org1", &theirs.whole);
    assert_eq!(stand.served("org1.example.test").unwrap().records(), 102);
    assert_eq!(
        stand.refusal("org1.example.test"),
        "",
        "the refusal is over"
    );
}

/// A zone of a malicious owner.
struct Malicious {
    name: &'static str,
    offer: Offer,
    /// What is sent once the offer was taken.
    sent: Vec<u8>,
    /// What the status must say about it.
    refusal: &'static str,
}

fn malicious(name: &'static str, offer: Offer, sent: Vec<u8>, refusal: &'static str) -> Malicious {
    Malicious {
        name,
        offer,
        sent,
        refusal,
    }
}

fn offer(serial: u32, bytes: &[u8]) -> Offer {
    Offer {
        serial,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

/// Zones that are not what their owner may serve.
fn malicious_zones() -> Vec<Malicious> {
    let good = zone("org1.example.test", 9).encode();
    let other = zone("org2.example.test", 9).encode();

    // Names are written below the apex: one outside it needs a broken label.
    let mut outside = good.clone();
    let at = good.windows(6).position(|at| at == b"\x05peer0").unwrap();
    outside[at] = 0x45;

    let mut million = good.clone();
    let count = 4 + name_len("org1.example.test");
    million[count..count + 4].copy_from_slice(&1_000_000u32.to_be_bytes());

    let cut = good[..good.len() - 1].to_vec();
    vec![
        malicious(
            "another's zone",
            offer(9, &other),
            other,
            "it is the zone org2.example.test, not org1.example.test",
        ),
        malicious(
            "a name outside",
            offer(9, &outside),
            outside,
            "not a zone of this format",
        ),
        malicious("cut off", offer(9, &cut), cut, "not a zone of this format"),
        malicious(
            "a million records",
            offer(9, &million),
            million,
            "1000000 records; a zone may have at most 100000",
        ),
    ]
}

/// Good zones under an offer that is not theirs, or not acceptable.
fn malicious_offers() -> Vec<Malicious> {
    let good = zone("org1.example.test", 9).encode();
    let cut = good[..good.len() - 1].to_vec();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let huge = Offer {
        size: u64::from(u32::MAX),
        ..offer(9, &good)
    };

    vec![
        malicious(
            "a wrong hash",
            offer(9, &good),
            damaged,
            "digest is not the one offered",
        ),
        malicious(
            "another serial",
            offer(10, &good),
            good.clone(),
            "the zone has serial 9; offered was 10",
        ),
        malicious(
            "shorter than offered",
            offer(9, &good),
            cut,
            "does not fit a zone of",
        ),
        malicious(
            "an older serial",
            offer(2, &good),
            good.clone(),
            "serial 2 is not newer than 3",
        ),
        malicious(
            "a second zone of a serial",
            offer(3, &good),
            good.clone(),
            "serial 3 was given to two",
        ),
        malicious("a huge zone", huge, good, "4294967295 octets offered"),
    ]
}

fn name_len(text: &str) -> usize {
    Name::from_text(text).unwrap().as_wire().len()
}

#[tokio::test]
async fn nothing_that_a_malicious_owner_sends_changes_a_zone_and_each_is_reported() {
    let attempts = malicious_zones().into_iter().chain(malicious_offers());

    for attempt in attempts {
        let name = attempt.name;
        let mut stand = Stand::new(&name.replace(' ', "-"));
        stand.push("gw.org1", &owner(zone("org1.example.test", 3)));
        let before = stand.served("org1.example.test").unwrap();

        stand.receive(&attempt);

        assert!(
            Arc::ptr_eq(&stand.served("org1.example.test").unwrap(), &before),
            "{name}"
        );
        let refusal = stand.refusal("org1.example.test");
        assert!(
            refusal.starts_with("gw.org1: ") && refusal.contains(attempt.refusal),
            "{name}: {refusal}"
        );
        assert!(stand.served("org2.example.test").is_none(), "{name}");
    }
}

impl Stand {
    /// Takes the offer of org1, and then what is sent if it was asked for.
    fn receive(&mut self, attempt: &Malicious) {
        let apex = name("org1.example.test");
        let serial = attempt.offer.serial;
        let offer = ZoneMessage::Offer {
            apex: apex.clone(),
            serial,
            digest: attempt.offer.digest,
            size: attempt.offer.size as u32,
        };
        if self.handle("gw.org1", offer).is_none() {
            return;
        }

        for chunk in transfer::chunks(&attempt.sent) {
            let data = ZoneMessage::Data {
                apex: apex.clone(),
                serial,
                from: None,
                offset: chunk.offset as u32,
                last: chunk.last,
                bytes: chunk.bytes.to_vec(),
            };
            self.hand("gw.org1", data);
        }
    }
}

fn drop_of(serial: u32, offset: u32) -> ZoneMessage {
    let (apex, bytes) = (name("org1.example.test"), vec![0]);
    ZoneMessage::Data {
        apex,
        serial,
        from: None,
        offset,
        last: false,
        bytes,
    }
}

#[tokio::test]
async fn a_zone_that_drips_is_given_up_and_what_comes_late_disturbs_nothing() {
    let mut stand = Stand::new("drip");
    let theirs = owner(hosts("org1.example.test", 3, 100));
    stand.handle("gw.org1", offer_of(&theirs));
    let start = stand.now;
    let drops = (0..).find(|offset| {
        stand.now += Duration::from_secs(1);
        stand.replicator.handle_timeout(stand.now);
        let given_up = !stand.refusal("org1.example.test").is_empty();
        stand.hand("gw.org1", drop_of(3, *offset));
        given_up
    });
    assert_eq!(stand.now - start, transfer::time_for(theirs.offer.size));
    let said = format!(
        "gw.org1: only {} of {} octets came in time",
        drops.unwrap(),
        theirs.offer.size
    );
    assert_eq!(stand.refusal("org1.example.test"), said);
    assert!(stand.served("org1.example.test").is_none());

    let next = owner(zone("org1.example.test", 4));
    stand.handle("gw.org1", offer_of(&next));
    stand.hand("gw.org1", drop_of(3, 99));
    stand.send("gw.org1", &next.whole);
    assert_eq!(stand.served("org1.example.test").unwrap().serial(), 4);
}

#[tokio::test]
async fn an_organizations_zones_are_checked_one_at_a_time_and_a_late_result_is_dropped() {
    let mut stand = Stand::new("checks");
    let peers: Vec<GatewayId> = ["a.org1", "b.org1", "c.org1"]
        .map(|peer| peer.parse().unwrap())
        .into();
    let mut checks = Vec::new();
    for (i, peer) in peers.iter().enumerate() {
        let (conn, theirs) = (
            ConnId(i as u64),
            owner(zone("org1.example.test", 3 + i as u32)),
        );
        stand
            .replicator
            .handle(conn, peer, offer_of(&theirs), stand.now);
        let mut decoder = Decoder::default();
        decoder.push(&theirs.whole.concat());
        while let Some(Incoming::Message(Message::Zone(chunk))) = decoder.next().unwrap() {
            checks.extend(stand.replicator.handle(conn, peer, chunk, stand.now));
        }
    }
    let Some(Reply::Check(first)) = checks.pop() else {
        panic!("the first is checked")
    };
    assert!(checks.is_empty(), "the others wait, the last of them");
    let checked = first.run();
    assert!(
        checked.result.as_ref().unwrap().has_pointers(),
        "made here, for the loop to publish at once"
    );
    stand.replicator.forget(ConnId(0));
    let mut replies = stand.replicator.handle_checked(checked, stand.now);
    let Some(Reply::Check(last)) = replies.pop() else {
        panic!("the last is next")
    };
    assert!(replies.is_empty(), "nothing to store");
    assert!(
        stand.served("org1.example.test").is_none(),
        "its session is gone"
    );
    let replies = stand.replicator.handle_checked(last.run(), stand.now);
    assert!(matches!(replies.as_slice(), [Reply::Store(_)]));
    assert_eq!(stand.served("org1.example.test").unwrap().serial(), 5);
}

#[test]
fn the_versions_of_restored_copies_are_known_before_anybody_offers_another() {
    let mut stand = Stand::new("versions");
    let copy = zone("org1.example.test", 3);
    let version = (3, copy.digest());
    stand
        .replicator
        .zones
        .publish_replica(copy, SystemTime::now())
        .unwrap();
    stand.replicator.know_versions();
    assert_eq!(
        stand.replicator.versions,
        BTreeMap::from([(name("org1.example.test"), version)])
    );
}

#[test]
fn only_the_serial_on_offer_is_handed_out() {
    let mut stand = Stand::new("out");
    let mut fetch = |apex: &str, serial| {
        stand.handle(
            "gw.org1",
            ZoneMessage::Fetch {
                apex: name(apex),
                serial,
                have: None,
            },
        )
    };
    let reply = fetch("org0.example.test", 7);
    assert!(matches!(reply, Some(Reply::Stream(CONN, chunks)) if !chunks.is_empty()));
    assert!(fetch("org0.example.test", 6).is_none());
    assert!(fetch("org1.example.test", 7).is_none());
}

#[test]
fn while_a_new_version_of_our_zone_is_prepared_the_one_before_is_on_offer() {
    let mut stand = Stand::new("preparation");
    let own = |stand: &Stand, serial| {
        let zone = hosts("org0.example.test", serial, 100 + serial);
        stand
            .replicator
            .zones
            .publish_own(zone, SystemTime::now())
            .unwrap();
    };
    let offered = |stand: &Stand| match stand.replicator.offer() {
        ZoneMessage::Offer { serial, .. } => serial,
        other => panic!("no offer: {other:?}"),
    };
    own(&stand, 8);
    let preparation = stand.replicator.prepare_own().expect("it is another");
    own(&stand, 9);
    assert!(stand.replicator.prepare_own().is_none(), "one at a time");
    assert_eq!(offered(&stand), 7);
    let fetch = ZoneMessage::Fetch {
        apex: name("org0.example.test"),
        serial: 7,
        have: None,
    };
    assert!(matches!(
        stand.handle("gw.org1", fetch),
        Some(Reply::Stream(..))
    ));
    let reply = stand.replicator.handle_prepared(preparation.run());
    assert!(matches!(reply, Some(Reply::OfferToAll)));
    assert_eq!(offered(&stand), 8);
    let preparation = stand
        .replicator
        .prepare_own()
        .expect("it has changed meanwhile");
    let reply = stand.replicator.handle_prepared(preparation.run());
    assert!(matches!(reply, Some(Reply::OfferToAll)));
    assert_eq!(offered(&stand), 9);
    own(&stand, 9);
    let preparation = stand.replicator.prepare_own().expect("it was built again");
    let reply = stand.replicator.handle_prepared(preparation.run());
    assert!(reply.is_none(), "it is the same version");
    assert!(stand.replicator.prepare_own().is_none());
}
