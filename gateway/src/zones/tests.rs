//! A replicator whose peers the test plays, and a network of many.

mod copies;
mod hostile;
mod network;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ringway_config::{Digest, GatewayName};
use ringway_core::message::FRAGMENTS;
use ringway_core::{Decoder, Incoming, Message, PeerSession, SessionRank};
use ringway_dns::explain::{Response, query_message};
use ringway_dns::rdata::kind;
use ringway_dns::{AllowedAddresses, Hold, Name, Transport, answer_in_full};

use super::organization::Terms;
use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn id(text: &str) -> GatewayId {
    text.parse().unwrap()
}

fn zone_name(text: &str) -> ZoneName {
    text.parse().unwrap()
}

fn apex(org: &str) -> ZoneName {
    zone_name(&format!("{org}.example.test"))
}

/// What a gateway contributes: these records, and what every zone needs.
fn fragment(gateway: &str, records: &str) -> Zone {
    at_serial(gateway, 0, records)
}

fn at_serial(gateway: &str, serial: u32, records: &str) -> Zone {
    let id = id(gateway);
    let text = format!(
        "$TTL 5\n@ SOA {0} h {serial} 60 10 600 5\n@ NS {0}\n{records}\n",
        id.name
    );
    let apex = Name::from(&apex(id.org.as_str()));
    Zone::from_text(&text, Some(&apex)).unwrap()
}

/// A directory that is removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ringway-names-{}-{count}", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The records of a consortium: each organization's gateways.
type Consortium = BTreeMap<OrgId, BTreeSet<GatewayName>>;

fn consortium(gateways: &[&str]) -> Consortium {
    let mut orgs = Consortium::new();
    for gateway in gateways {
        let id = id(gateway);
        orgs.entry(id.org).or_default().insert(id.name);
    }
    orgs
}

fn terms(org: &OrgId, gateways: &BTreeSet<GatewayName>) -> Terms {
    let within = AllowedAddresses::Within(vec!["10.0.0.0/8".parse().unwrap()]);
    Terms {
        apex: apex(org.as_str()),
        gateways: gateways.clone(),
        revoked_keys: BTreeSet::new(),
        allowed: gateways
            .iter()
            .map(|name| (name.clone(), within.clone()))
            .collect(),
    }
}

impl Replicator {
    /// The daemon of `me`, which has just started with the state in `dir`.
    fn start(
        me: &str,
        dir: &std::path::Path,
        records: &Consortium,
        own: Zone,
        now: Moment,
    ) -> Self {
        let me = id(me);
        let zones = Arc::new(Zones::new());
        let others: Vec<ZoneName> = records
            .keys()
            .filter(|org| **org != me.org)
            .map(|org| apex(org.as_str()))
            .collect();
        zones.set_expected(&apex(me.org.as_str()), &others);

        let attention = Attention::default();
        let heard = Hold::open(&dir.join("heard"), now).unwrap();
        let serials = ZoneSerials::new(dir.to_owned(), apex(me.org.as_str()), attention.clone());
        let copies = Arc::new(FragmentStore::open(&dir.join("zones")).unwrap());
        let mut replicator = Replicator {
            zones,
            store: Store::new(copies.clone()),
            copies,
            serials,
            attention,
            me,
            domain: zone_name("example.test"),
            own: Own::new(Arc::new(own)),
            legacy: None,
            needs_legacy: false,
            peers: BTreeMap::new(),
            checks: Checks::default(),
            orgs: BTreeMap::new(),
            keeping: Keeping::new(heard, HOUR, now.monotonic),
            refusals: BTreeMap::new(),
            answers: BTreeMap::new(),
            reported: BTreeMap::new(),
        };
        for (org, gateways) in records {
            let organization = Organization::new(org.clone(), terms(org, gateways));
            replicator.add(organization);
        }
        replicator.begin(now);
        replicator
    }

    /// Does what `replies` ask for, but for messages, which are returned.
    fn settle(&mut self, replies: Vec<Reply>, now: Moment) -> Vec<Reply> {
        let mut left = Vec::new();
        let mut pending = replies;
        while let Some(reply) = pending.pop() {
            match reply {
                Reply::Check(check) => {
                    pending.extend(self.handle_checked(check.run(), now.monotonic));
                }
                Reply::Merge(merge) => pending.extend(self.handle_merged(merge.run(), now)),
                Reply::Store(store) => store.run().unwrap(),
                message => left.push(message),
            }
        }
        left
    }

    /// Our fragment becomes `zone` at once.
    fn become_at_once(&mut self, zone: Zone, now: Moment) -> Vec<Reply> {
        let zone = Arc::new(zone);
        self.own.adopt(zone.clone());
        self.hold_own(zone);
        let mut replies: Vec<Reply> = self.changed(&self.me.org.clone()).into_iter().collect();

        while let Some(preparation) = self.prepare_own() {
            replies.extend(self.handle_prepared(preparation.run()));
        }
        self.settle(replies, now)
    }
}

/// A gateway's replication; the test plays the peers.
struct Stand {
    replicator: Replicator,
    now: Moment,
    records: Consortium,
    scratch: Scratch,
}

impl Stand {
    /// `gw.org0` in a consortium of these gateways.
    fn new(gateways: &[&str]) -> Stand {
        let scratch = Scratch::new();
        let records = consortium(gateways);
        let now = Moment::now();
        let own = fragment("gw.org0", "host A 10.0.0.1");
        Stand {
            replicator: Replicator::start("gw.org0", &scratch.0, &records, own, now),
            now,
            records,
            scratch,
        }
    }

    fn restart(&mut self) {
        let own = fragment("gw.org0", "host A 10.0.0.1");
        let dir = &self.scratch.0;
        self.replicator = Replicator::start("gw.org0", dir, &self.records, own, self.now);
    }

    fn handle(&mut self, sender: Sender, message: ZoneMessage) -> Vec<Reply> {
        let replies = self.replicator.handle(sender, message, self.now.monotonic);
        self.replicator.settle(replies, self.now)
    }

    /// Gives what `owner` has, as far as it is asked for, and returns what is said about it.
    fn push(&mut self, sender: &Sender, owner: &mut Own) -> Vec<FragmentMessage> {
        let replies = self.handle(sender.clone(), offer_of(owner));
        self.serve(sender, owner, replies)
    }

    /// Answers fetches among `replies` with what `owner` has.
    fn serve(
        &mut self,
        sender: &Sender,
        owner: &mut Own,
        replies: Vec<Reply>,
    ) -> Vec<FragmentMessage> {
        let mut said = Vec::new();
        let mut pending = replies;
        while let Some(reply) = pending.pop() {
            let Reply::Message(_, ZoneMessage::Fragment(message)) = reply else {
                continue;
            };
            let FragmentMessage::Fetch { digest, have } = message else {
                said.push(message);
                continue;
            };
            if digest == owner.offer.digest {
                let load = owner.since(have);
                pending.extend(self.send(sender, &load));
            }
        }
        said
    }

    fn send(&mut self, sender: &Sender, load: &Load) -> Vec<Reply> {
        let mut decoder = Decoder::default();
        let mut replies = Vec::new();
        for chunk in load.iter() {
            decoder.push(chunk);
            while let Some(Incoming::Message(Message::Zone(chunk))) = decoder.next().unwrap() {
                replies.extend(self.handle(sender.clone(), chunk));
            }
        }
        replies
    }

    fn after(&self, time: Duration) -> Moment {
        Moment {
            wall: self.now.wall + time,
            monotonic: self.now.monotonic + time,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.after(time);
        let look = self.replicator.look(self.now);
        let replies = self.replicator.settle(look.replies, self.now);
        assert!(replies.is_empty(), "{replies:?}");
        if let Some(heard) = look.heard {
            heard.write().unwrap();
        }
    }

    /// The response code and the first address for a name of org1.
    fn ask(&self, host: &str) -> (String, Option<String>) {
        ask(&self.replicator.zones, host)
    }

    fn serial(&self, org: &str) -> Option<u32> {
        let zone = self.replicator.zones.zone(&apex(org))?;
        Some(zone.serial())
    }
}

/// The response code and the first address for `host.org1`.
fn ask(zones: &Zones, host: &str) -> (String, Option<String>) {
    let name = Name::from_text(&format!("{host}.org1.example.test")).unwrap();
    let query = query_message(&name, kind::A);
    let mut message = Vec::new();
    answer_in_full(&zones.load(), &query, Transport::Tcp, &mut message);

    let response = Response::parse(&message).unwrap();
    let address = response.sections[0]
        .iter()
        .find(|record| record.kind == kind::A)
        .and_then(|record| record.data.first_chunk::<4>())
        .map(|octets| Ipv4Addr::from(*octets).to_string());
    (response.status(), address)
}

fn sender(gateway: &str, conn: u64) -> Sender {
    Sender {
        conn: ConnId(conn),
        id: id(gateway),
        session: PeerSession {
            features: FRAGMENTS,
            rank: SessionRank::new(conn, true, ConnId(conn)),
        },
        keys: vec![Digest::of(gateway.as_bytes())],
    }
}

fn owner(zone: Zone) -> Own {
    Own::new(Arc::new(zone))
}

fn offer_of(owner: &Own) -> ZoneMessage {
    ZoneMessage::Fragment(FragmentMessage::Offer {
        digest: owner.offer.digest,
        size: owner.offer.size as u32,
    })
}

fn answered(address: &str) -> (String, Option<String>) {
    ("NOERROR".into(), Some(address.into()))
}

fn failed(rcode: &str) -> (String, Option<String>) {
    (rcode.into(), None)
}

const TWO: [&str; 3] = ["gw.org0", "a.org1", "b.org1"];

#[test]
fn the_names_of_both_gateways_of_an_organization_are_answered() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "a A 10.1.0.1\nonly-a A 10.1.0.2"));
    let mut b = owner(fragment("b.org1", "b A 10.2.0.1\nonly-b A 10.2.0.2"));

    let said = stand.push(&sender("a.org1", 1), &mut a);
    assert!(
        matches!(said[..], [FragmentMessage::Verdict { taken: true, .. }]),
        "{said:?}"
    );
    stand.push(&sender("b.org1", 2), &mut b);
    for (host, address) in [("only-a", "10.1.0.2"), ("only-b", "10.2.0.2")] {
        assert_eq!(stand.ask(host), answered(address));
    }
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));

    // A change at one of them leaves the other's names alone.
    a = owner(fragment("a.org1", "a A 10.1.0.1\nonly-a A 10.1.0.3"));
    stand.push(&sender("a.org1", 1), &mut a);
    assert_eq!(stand.ask("only-a"), answered("10.1.0.3"));
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
}

#[test]
fn a_name_that_a_missing_gateway_may_have_fails_until_it_has_been_silent_for_ten_minutes() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2\n*.w A 10.1.0.3"));
    let from_a = sender("a.org1", 1);
    stand.push(&from_a, &mut a);

    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    assert_eq!(stand.ask("x.w"), failed("SERVFAIL"), "b may have this name");

    stand.pass(hold::ABSENT - Duration::from_secs(10));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    stand.pass(Duration::from_secs(20));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));
    assert_eq!(stand.ask("x.w"), answered("10.1.0.3"));

    // A copy on disk counts, whatever its owner does.
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2"));
    stand.push(&sender("b.org1", 2), &mut b);
    stand.restart();
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));
}

#[test]
fn names_of_a_gateway_that_was_silent_for_longer_than_the_hold_fail_and_the_others_do_not() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2\nboth A 10.1.0.3"));
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2\nboth A 10.2.0.3"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.push(&sender("b.org1", 2), &mut b);

    stand.replicator.forget(ConnId(2));
    stand.pass(HOUR - Duration::from_secs(60));
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
    stand.pass(Duration::from_secs(120));
    assert_eq!(stand.ask("only-b"), failed("SERVFAIL"));
    assert_eq!(stand.ask("both"), answered("10.1.0.3"));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));

    stand.replicator.forget(ConnId(1));
    stand.pass(2 * HOUR);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));

    // It is back, with the same names.
    stand.push(&sender("a.org1", 3), &mut a);
    stand.pass(Duration::from_secs(10));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    assert_eq!(stand.ask("only-b"), failed("SERVFAIL"));
}

#[test]
fn a_short_hold_survives_a_crash() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let minute = Duration::from_secs(60);
    stand.replicator.keeping.hold = minute;
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    for _ in 0..100 {
        stand.pass(Duration::from_secs(6));
    }

    // A crash, and half of the hold without a daemon.
    stand.now = stand.after(minute / 2);
    stand.restart();
    stand.replicator.keeping.hold = minute;
    stand.pass(Duration::from_secs(6));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    stand.pass(minute);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
}

#[test]
fn an_owner_that_came_back_before_a_crash_does_not_count_as_silent_since_long_ago() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.pass(Duration::from_secs(6));
    stand.replicator.forget(ConnId(1));
    stand.pass(2 * HOUR);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));

    stand.push(&sender("a.org1", 2), &mut a);
    stand.pass(Duration::from_millis(100));
    stand.restart();
    stand.pass(Duration::from_secs(6));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
}

#[test]
fn a_revoked_gateway_or_key_loses_its_names_at_once_and_after_a_restart() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.push(&sender("b.org1", 2), &mut b);
    let org1: OrgId = "org1".parse().unwrap();

    let gateways = BTreeSet::from(["a".parse().unwrap()]);
    let now = stand.now;
    let without_b = terms(&org1, &gateways);
    _ = stand.replicator.adopt_terms(&org1, without_b.clone(), now);
    assert_eq!(stand.ask("only-b"), failed("NXDOMAIN"));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));

    let key = Digest::of(b"a.org1");
    let without_key = Terms {
        revoked_keys: BTreeSet::from([key]),
        ..without_b
    };
    _ = stand
        .replicator
        .adopt_terms(&org1, without_key.clone(), now);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    assert!(stand.push(&sender("a.org1", 1), &mut a).is_empty());

    let mut restarted = Organization::new(org1.clone(), without_key);
    stand.replicator.restore(&mut restarted);
    assert!(restarted.held.is_empty(), "the copy has the revoked key");

    // With another key, the same names are good.
    let mut renewed = sender("a.org1", 3);
    renewed.keys = vec![Digest::of(b"another")];
    stand.push(&renewed, &mut a);
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
}

#[test]
fn the_owner_is_right_whatever_it_had_before() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let mut newer = owner(fragment("a.org1", "x A 10.1.0.2"));
    let mut older = owner(fragment("a.org1", "x A 10.1.0.1"));
    stand.push(&sender("a.org1", 1), &mut newer);
    let first = stand.serial("org1").unwrap();

    // Restored from a snapshot: an earlier version on a new session.
    stand.push(&sender("a.org1", 2), &mut older);
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));
    // Our own numbers go on, for those that follow us.
    assert!(stand.serial("org1").unwrap() > first);

    // What comes late on the older session is not the owner's word any more.
    let late = stand.push(&sender("a.org1", 1), &mut newer);
    assert!(late.is_empty(), "{late:?}");
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));

    // Once the newer session has ended, it is.
    stand.replicator.forget(ConnId(2));
    stand.push(&sender("a.org1", 1), &mut newer);
    assert_eq!(stand.ask("x"), answered("10.1.0.2"));
}

#[test]
fn only_what_changed_is_sent_to_a_peer_that_has_the_version_before() {
    let hosts = |count: u32| {
        let hosts: String = (0..count).map(|i| format!("h{i} A 10.1.0.9\n")).collect();
        fragment("a.org1", &hosts)
    };
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let from_a = sender("a.org1", 1);
    let mut a = owner(hosts(1000));
    stand.push(&from_a, &mut a);
    let before = a.offer.digest;

    a.adopt(Arc::new(hosts(1001)));
    let preparation = a.prepare().unwrap();
    assert!(a.replace(preparation.run()));
    let delta = a.since(Some(before));
    assert!(delta.concat().len() < 300 && a.whole.concat().len() > 10_000);
    stand.push(&from_a, &mut a);
    assert_eq!(stand.ask("h1000"), answered("10.1.0.9"));
}

#[test]
fn what_is_left_out_is_told_to_its_owner_and_both_see_it() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "x A 10.1.0.1\nbad A 169.254.169.254"));
    let mut b = owner(fragment("b.org1", "x CNAME y"));
    let said = stand.push(&sender("a.org1", 1), &mut a);
    let [
        FragmentMessage::Verdict {
            taken: true,
            text: Some(text),
            ..
        },
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert!(
        text.starts_with("not answered: bad.org1.example.test A of a"),
        "{text}"
    );
    assert_eq!(stand.ask("bad").1, None);

    stand.push(&sender("b.org1", 2), &mut b);
    let fragments = stand.replicator.fragments(&apex("org1"));
    let left_out: Vec<&String> = fragments.iter().flat_map(|one| &one.left_out).collect();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!(stand.ask("x"), answered("10.1.0.1"));
}

#[test]
fn a_refusal_of_our_names_reaches_the_status_until_they_are_taken() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let verdict = |digest, taken, text: Option<&str>| {
        ZoneMessage::Fragment(FragmentMessage::Verdict {
            digest,
            taken,
            text: text.map(str::to_owned),
        })
    };
    let digest = stand.replicator.own.offer.digest;
    let from_a = sender("a.org1", 1);

    stand.handle(from_a.clone(), verdict(digest, false, Some("no \u{1b}[2J")));
    let answers = stand.replicator.answers();
    assert_eq!(answers, [(id("a.org1"), "no \\u{1b}[2J".to_owned())]);
    assert_eq!(stand.replicator.attention.names("names").len(), 1);

    stand.handle(from_a, verdict(digest, true, None));
    assert!(stand.replicator.answers().is_empty());
    assert!(stand.replicator.attention.names("names").is_empty());
}

#[test]
fn a_gateway_that_knows_no_fragments_gets_the_union_and_its_zone_counts_as_its_fragment() {
    let mut stand = Stand::new(&["gw.org0", "gw2.org0", "a.org1"]);
    let (none_yet, reply) = stand.replicator.offer(false);
    assert!(
        none_yet.is_none(),
        "it would replace a whole zone by a part"
    );
    let replies = stand
        .replicator
        .settle(reply.into_iter().collect(), stand.now);
    assert!(matches!(replies[..], [Reply::OfferToAll]));
    assert!(stand.replicator.offer(false).0.is_none(), "gw2 is missing");

    let mut second = owner(fragment("gw2.org0", "second A 10.0.0.2"));
    stand.push(&sender("gw2.org0", 1), &mut second);
    let (Some(ZoneMessage::Offer { serial, .. }), None) = stand.replicator.offer(false) else {
        panic!("no offer")
    };
    let mut old = sender("a.org1", 2);
    old.session.features = 0;
    let fetch = ZoneMessage::Fetch {
        apex: apex("org0"),
        serial,
        have: None,
    };
    let sent = stand.handle(old.clone(), fetch);
    let [Reply::Stream(_, load)] = &sent[..] else {
        panic!("{sent:?}")
    };
    let union = stand.replicator.zones.zone(&apex("org0")).unwrap();
    assert!(load.concat().ends_with(&union.encode()[20..]));

    // Its zones have serials; a lower one is as good.
    for (serial, address) in [(9, "10.1.0.9"), (3, "10.1.0.3")] {
        let zone = Arc::new(at_serial("a.org1", serial, &format!("x A {address}")));
        let theirs = Legacy::of(&apex("org1"), &zone);
        let wanted = stand.handle(old.clone(), theirs.message());
        assert!(matches!(
            wanted[..],
            [Reply::Message(_, ZoneMessage::Fetch { .. })]
        ));
        stand.send(&old, &theirs.whole);
        assert_eq!(stand.ask("x"), answered(address));
    }
}
