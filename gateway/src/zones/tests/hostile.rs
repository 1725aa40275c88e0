//! Owners that mean ill: whatever they send, nothing changes, and each is reported.

use ringway_dns::transfer;

use super::*;
use crate::zones::organization::MAX_TOTAL;

/// What a malicious owner does.
struct Malicious {
    name: &'static str,
    offer: Offer,
    /// What is sent once the offer was taken.
    sent: Vec<u8>,
    /// What the status must say about it.
    refusal: &'static str,
}

fn offer(bytes: &[u8]) -> Offer {
    Offer {
        serial: 0,
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
    }
}

fn good() -> Vec<u8> {
    fragment("a.org1", "peer0 A 10.1.0.9").encode()
}

/// Fragments that are not what their owner may contribute.
fn malicious_fragments() -> Vec<Malicious> {
    let good = good();
    let other = fragment("gw.org2", "peer0 A 10.1.0.9").encode();
    let numbered = at_serial("a.org1", 9, "peer0 A 10.1.0.9").encode();

    // Names are written below the apex: one outside it needs a broken label.
    let mut outside = good.clone();
    let at = good.windows(6).position(|at| at == b"\x05peer0").unwrap();
    outside[at] = 0x45;

    let mut million = good.clone();
    let name = Name::from_text("org1.example.test").unwrap();
    let count = 4 + name.as_wire().len();
    million[count..count + 4].copy_from_slice(&1_000_000u32.to_be_bytes());

    let cut = good[..good.len() - 1].to_vec();
    let attempt = |name, sent: Vec<u8>, refusal| Malicious {
        name,
        offer: offer(&sent),
        sent,
        refusal,
    };
    vec![
        attempt(
            "another's",
            other,
            "it is the zone org2.example.test, not org1.example.test",
        ),
        attempt("a name outside", outside, "not a zone of this format"),
        attempt("cut off", cut, "not a zone of this format"),
        attempt(
            "a million records",
            million,
            "1000000 records; a zone may have at most 100000",
        ),
        attempt(
            "with a serial",
            numbered,
            "the zone has serial 9; offered was 0",
        ),
    ]
}

/// Good fragments under an offer that is not theirs, or not acceptable.
fn malicious_offers() -> Vec<Malicious> {
    let good = good();
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let huge = Offer {
        size: u64::from(u32::MAX),
        ..offer(&good)
    };

    vec![
        Malicious {
            name: "a wrong hash",
            offer: offer(&good),
            sent: damaged,
            refusal: "digest is not the one offered",
        },
        Malicious {
            name: "shorter than offered",
            offer: offer(&good),
            sent: good[..good.len() - 1].to_vec(),
            refusal: "does not fit a zone of",
        },
        Malicious {
            name: "huge",
            offer: huge,
            sent: good,
            refusal: "4294967295 octets offered",
        },
    ]
}

#[test]
fn nothing_that_a_malicious_owner_sends_changes_a_zone_and_both_ends_learn_why() {
    let attempts = malicious_fragments().into_iter().chain(malicious_offers());
    for attempt in attempts {
        let name = attempt.name;
        let mut stand = Stand::new(&["gw.org0", "a.org1", "gw.org2"]);
        let from_a = sender("a.org1", 1);
        stand.push(&from_a, &mut owner(fragment("a.org1", "x A 10.1.0.1")));
        let before = stand.replicator.zones.zone(&apex("org1")).unwrap();

        let told = stand.receive(&from_a, &attempt);

        let after = stand.replicator.zones.zone(&apex("org1")).unwrap();
        assert!(Arc::ptr_eq(&after, &before), "{name}");
        assert!(
            stand.replicator.zones.zone(&apex("org2")).is_none(),
            "{name}"
        );
        let refusal = stand.replicator.refusal(&from_a.id.org).unwrap_or_default();
        assert!(
            refusal.starts_with("a.org1: ") && refusal.contains(attempt.refusal),
            "{name}: {refusal}"
        );
        assert!(told.contains(attempt.refusal), "{name}: {told}");
    }
}

impl Stand {
    /// Takes the offer, and then what is sent if it was asked for. Returns the last refusal that
    /// the owner was told.
    fn receive(&mut self, sender: &Sender, attempt: &Malicious) -> String {
        let digest = attempt.offer.digest;
        let offer = FragmentMessage::Offer {
            digest,
            size: attempt.offer.size as u32,
            services: None,
        };
        let mut replies = self.handle(sender.clone(), ZoneMessage::Fragment(offer));

        for chunk in transfer::chunks(&attempt.sent) {
            let data = FragmentMessage::Data {
                digest,
                from: None,
                offset: chunk.offset as u32,
                last: chunk.last,
                bytes: chunk.bytes.to_vec(),
            };
            replies.extend(self.handle(sender.clone(), ZoneMessage::Fragment(data)));
        }

        let refusals = replies.into_iter().filter_map(|reply| match reply {
            Reply::Message(
                _,
                ZoneMessage::Fragment(FragmentMessage::Verdict {
                    taken: false, text, ..
                }),
            ) => text,
            _ => None,
        });
        refusals.last().unwrap_or_default()
    }
}

#[test]
fn nobody_contributes_to_the_zone_of_another_organization() {
    let mut stand = Stand::new(&["gw.org0", "a.org1", "gw.org2"]);
    let mut old = sender("gw.org2", 1);
    old.session.features = 0;
    let theirs = Legacy::of(&apex("org1"), &Arc::new(fragment("a.org1", "x A 10.1.0.1")));

    assert!(stand.handle(old.clone(), theirs.message()).is_empty());
    stand.send(&old, &theirs.whole);
    assert!(stand.replicator.zones.zone(&apex("org1")).is_none());
    let refusal = stand.replicator.refusal(&old.id.org).unwrap();
    assert!(refusal.contains("offers org1.example.test, which is not its own"));

    // A gateway that no record lists.
    let stranger = sender("c.org1", 2);
    let said = stand.push(&stranger, &mut owner(fragment("c.org1", "x A 10.1.0.1")));
    assert!(said.is_empty() && stand.replicator.peers.is_empty());
}

#[test]
fn fragments_of_an_organization_share_one_limit_and_the_lowest_names_stay() {
    let mut org = Organization::new(
        "org1".parse().unwrap(),
        terms(&"org1".parse().unwrap(), &BTreeSet::new()),
    );
    let zone = Arc::new(fragment("a.org1", ""));
    for name in ["c", "a", "b"] {
        let held = Held {
            zone: zone.clone(),
            digest: Digest::of(b""),
            size: MAX_TOTAL / 2,
            received: SystemTime::UNIX_EPOCH,
            keys: Vec::new(),
            is_expired: false,
            services: None,
        };
        org.held.insert(name.parse().unwrap(), held);
    }

    let dropped = org.drop_beyond_total(None);
    assert_eq!(dropped, ["c".parse().unwrap()]);
    assert_eq!(org.held.len(), 2);
}

#[test]
fn a_slow_fragment_transfer_is_abandoned_and_late_messages_have_no_effect() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let from_a = sender("a.org1", 1);
    let slow = owner(fragment("a.org1", "x TXT some-text\n"));
    let piece = |offset: u32| {
        ZoneMessage::Fragment(FragmentMessage::Data {
            digest: slow.offer.digest,
            from: None,
            offset,
            last: false,
            bytes: vec![0],
        })
    };
    stand.handle(from_a.clone(), offer_of(&slow));
    let start = stand.now.monotonic;

    for offset in 0.. {
        stand.now = stand.after(Duration::from_secs(1));
        let now = stand.now.monotonic;
        stand.replicator.handle_timeout(now);
        if stand.replicator.refusal(&from_a.id.org).is_some() {
            break;
        }
        stand.handle(from_a.clone(), piece(offset));
    }
    let passed = stand.now.monotonic - start;
    assert_eq!(passed, transfer::time_for(slow.offer.size));

    let mut next = owner(fragment("a.org1", "x A 10.1.0.1"));
    stand.handle(from_a.clone(), piece(99));
    stand.push(&from_a, &mut next);
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));
    assert_eq!(stand.replicator.refusal(&from_a.id.org), None);
}
