//! A replicator whose peers the test plays, and a network of many.

mod copies;
mod hostile;
mod network;
mod owners;
mod services;
mod silence;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use ringway_config::{Digest, GatewayName};
use ringway_core::message::FRAGMENTS;
use ringway_core::{Decoder, Incoming, Message, PeerSession, SessionRank};
use ringway_dns::explain::{Response, query_message};
use ringway_dns::rdata::kind;
use ringway_dns::{AllowedAddresses, Hold, Name, Transport, Zone, answer_in_full};

use super::organization::{Held, Terms};
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
            contacts: Contacts::new(heard, HOUR, now.monotonic),
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
        let update = self.replicator.update_ages(self.now);
        let replies = self.replicator.settle(update.replies, self.now);
        assert!(replies.is_empty(), "{replies:?}");
        if let Some(heard) = update.heard {
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
        services: owner.services,
    })
}

fn answered(address: &str) -> (String, Option<String>) {
    ("NOERROR".into(), Some(address.into()))
}

fn failed(rcode: &str) -> (String, Option<String>) {
    (rcode.into(), None)
}

const TWO: [&str; 3] = ["gw.org0", "a.org1", "b.org1"];
