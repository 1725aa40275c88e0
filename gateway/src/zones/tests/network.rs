//! Many replicators, and a network between them that loses sessions with everything in flight,
//! delays messages and jobs, starts sessions before the earlier ones have ended, and restarts
//! gateways, also from old snapshots. In the end, every gateway answers every organization's zone
//! from what its gateways contribute at that time, and nothing else.

use std::collections::VecDeque;

use super::*;

const GATEWAYS: [&str; 5] = ["gw.org0", "a.org1", "b.org1", "a.org2", "b.org2"];
const RUNS: u64 = 10;
const STEPS: usize = 400;

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}

struct Node {
    id: &'static str,
    scratch: Scratch,
    replicator: Replicator,
    fragment: Zone,
    jobs: Vec<Reply>,
}

/// One session; each end knows it by the same number.
struct Session {
    conn: ConnId,
    ends: [usize; 2],
    /// What is on its way to each end, in order.
    queues: [VecDeque<ZoneMessage>; 2],
}

struct Network {
    rng: Rng,
    nodes: Vec<Node>,
    sessions: Vec<Session>,
    started: u64,
    now: Moment,
    records: Consortium,
}

fn random_fragment(rng: &mut Rng, gateway: &str) -> Zone {
    let mut records = String::new();
    for _ in 0..rng.below(6) {
        let host = ["x", "y", "z.x"][rng.below(3)];
        let address = rng.below(4);
        records.push_str(&format!("{host} A 10.0.0.{address}\n"));
    }
    if rng.below(3) == 0 {
        records.push_str("alias CNAME x\n");
    }
    fragment(gateway, &records)
}

impl Network {
    fn new(seed: u64) -> Network {
        let mut rng = Rng(seed);
        let now = Moment::now();
        let records = consortium(&GATEWAYS);
        let nodes = GATEWAYS
            .iter()
            .map(|id| {
                let scratch = Scratch::new();
                let fragment = random_fragment(&mut rng, id);
                let replicator = Replicator::start(id, &scratch.0, &records, fragment.clone(), now);
                Node {
                    id,
                    scratch,
                    replicator,
                    fragment,
                    jobs: Vec::new(),
                }
            })
            .collect();

        Network {
            rng,
            nodes,
            sessions: Vec::new(),
            started: 0,
            now,
            records,
        }
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0 | 1 => self.start_session(),
            2 => self.end_session(),
            3 => self.change(),
            4 => self.restart(),
            5..=7 => self.run_job(),
            8 => self.pass(Duration::from_millis(700)),
            _ => self.deliver(),
        }
    }

    fn start_session(&mut self) {
        let a = self.rng.below(self.nodes.len());
        let b = self.rng.below(self.nodes.len());
        if a != b {
            self.connect(a, b);
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.started += 1;
        let session = Session {
            conn: ConnId(self.started),
            ends: [a, b],
            queues: Default::default(),
        };
        self.sessions.push(session);

        let last = self.sessions.len() - 1;
        self.offer(last, 0);
        self.offer(last, 1);
    }

    /// One end offers its fragment to the other.
    fn offer(&mut self, session: usize, end: usize) {
        let session = &mut self.sessions[session];
        let node = &mut self.nodes[session.ends[end]];
        let (offer, _) = node.replicator.offer(true);
        session.queues[1 - end].extend(offer);
    }

    fn end_session(&mut self) {
        if !self.sessions.is_empty() {
            let index = self.rng.below(self.sessions.len());
            self.end(index);
        }
    }

    /// Everything in flight is lost. An end that has another session offers again on the newest.
    fn end(&mut self, index: usize) {
        let Session { conn, ends, .. } = self.sessions.swap_remove(index);
        for end in ends {
            self.nodes[end].replicator.forget(conn);
        }

        let newest = self.newest_between(ends);
        if let Some(newest) = newest {
            self.offer(newest, 0);
            self.offer(newest, 1);
        }
    }

    fn newest_between(&self, ends: [usize; 2]) -> Option<usize> {
        let mut sorted = ends;
        sorted.sort_unstable();
        let between = self.sessions.iter().enumerate().filter(|(_, session)| {
            let mut ends = session.ends;
            ends.sort_unstable();
            ends == sorted
        });
        between
            .max_by_key(|(_, session)| session.conn)
            .map(|(index, _)| index)
    }

    /// A gateway's files change; sometimes back to what they were.
    fn change(&mut self) {
        let index = self.rng.below(self.nodes.len());
        let zone = random_fragment(&mut self.rng, self.nodes[index].id);
        let now = self.now;
        let node = &mut self.nodes[index];
        node.fragment = zone.clone();
        let replies = node.replicator.become_at_once(zone, now);
        self.enqueue(index, replies);
    }

    /// The daemon dies and starts again, sometimes with files of a while ago.
    fn restart(&mut self) {
        let index = self.rng.below(self.nodes.len());
        while let Some(at) = self
            .sessions
            .iter()
            .position(|session| session.ends.contains(&index))
        {
            self.end(at);
        }

        if self.rng.below(2) == 0 {
            self.nodes[index].fragment = random_fragment(&mut self.rng, self.nodes[index].id);
        }
        let node = &mut self.nodes[index];
        let fragment = node.fragment.clone();
        node.jobs.clear();
        node.replicator =
            Replicator::start(node.id, &node.scratch.0, &self.records, fragment, self.now);
    }

    fn run_job(&mut self) {
        let index = self.rng.below(self.nodes.len());
        let count = self.nodes[index].jobs.len();
        if count == 0 {
            return;
        }

        let job = self.rng.below(count);
        let now = self.now;
        let node = &mut self.nodes[index];
        let replies = match node.jobs.swap_remove(job) {
            Reply::Check(check) => node.replicator.handle_checked(check.run(), now.monotonic),
            Reply::Merge(merge) => node.replicator.handle_merged(merge.run(), now),
            Reply::Store(store) => {
                store.run().unwrap();
                Vec::new()
            }
            other => panic!("{other:?} is no job"),
        };
        self.enqueue(index, replies);
    }

    fn pass(&mut self, time: Duration) {
        self.now = Moment {
            wall: self.now.wall + time,
            monotonic: self.now.monotonic + time,
        };
        for index in 0..self.nodes.len() {
            let now = self.now;
            let replicator = &mut self.nodes[index].replicator;
            let mut replies = replicator.update_ages(now).replies;
            replies.extend(replicator.handle_timeout(now.monotonic));
            self.enqueue(index, replies);
        }
    }

    fn deliver(&mut self) {
        if self.sessions.is_empty() {
            return;
        }
        let index = self.rng.below(self.sessions.len());
        let end = self.rng.below(2);
        self.deliver_on(index, end);
    }

    /// True if there was something to deliver.
    fn deliver_on(&mut self, index: usize, end: usize) -> bool {
        let session = &mut self.sessions[index];
        let Some(message) = session.queues[end].pop_front() else {
            return false;
        };
        let to = session.ends[end];
        let from = self.nodes[session.ends[1 - end]].id;

        let sender = sender(from, session.conn.0);
        let now = self.now.monotonic;
        let replies = self.nodes[to].replicator.handle(sender, message, now);
        self.enqueue(to, replies);
        true
    }

    fn enqueue(&mut self, node: usize, replies: Vec<Reply>) {
        for reply in replies {
            match reply {
                Reply::Message(conn, message) => self.send(node, conn, [message]),
                Reply::Stream(conn, load) => {
                    let messages = decoded(&load);
                    self.send(node, conn, messages);
                }
                Reply::OfferToAll => self.offer_to_all(node),
                job => self.nodes[node].jobs.push(job),
            }
        }
    }

    fn send(&mut self, node: usize, conn: ConnId, messages: impl IntoIterator<Item = ZoneMessage>) {
        let session = self.sessions.iter_mut().find(|one| one.conn == conn);
        let Some(session) = session else { return };
        let end = usize::from(session.ends[0] == node);
        session.queues[end].extend(messages);
    }

    /// On the session in use with each peer.
    fn offer_to_all(&mut self, node: usize) {
        for other in 0..self.nodes.len() {
            if let Some(session) = self.newest_between([node, other]) {
                let end = usize::from(self.sessions[session].ends[1] == node);
                self.offer(session, end);
            }
        }
    }

    /// Everybody is connected, and everything arrives.
    fn settle(&mut self) {
        while !self.sessions.is_empty() {
            self.end(0);
        }
        for a in 0..self.nodes.len() {
            for b in 0..a {
                self.connect(a, b);
            }
        }

        for _ in 0..200 {
            let mut active = false;
            for index in 0..self.sessions.len() {
                active |= self.deliver_on(index, 0) | self.deliver_on(index, 1);
            }
            while self.nodes.iter().any(|node| !node.jobs.is_empty()) {
                active = true;
                self.run_job();
            }
            if !active {
                self.pass(Duration::from_secs(6));
            }
        }
    }

    fn expected(&self, org: &str) -> Vec<u8> {
        let org: OrgId = org.parse().unwrap();
        let fragments: BTreeMap<GatewayName, Arc<Zone>> = self
            .nodes
            .iter()
            .filter(|node| id(node.id).org == org)
            .map(|node| (id(node.id).name, Arc::new(node.fragment.clone())))
            .collect();
        let terms = terms(&org, &self.records[&org]);
        let name = Name::from(&apex(org.as_str()));
        let union = ringway_dns::unite(&name, &fragments, &terms.allowed).unwrap();
        union.zone.encode()
    }
}

fn decoded(load: &Load) -> Vec<ZoneMessage> {
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    for chunk in load.iter() {
        decoder.push(chunk);
        while let Some(Incoming::Message(Message::Zone(message))) = decoder.next().unwrap() {
            messages.push(message);
        }
    }
    messages
}

#[test]
fn in_the_end_every_gateway_answers_what_the_owners_have() {
    for seed in 0..RUNS {
        let mut network = Network::new(seed);
        for _ in 0..STEPS {
            network.step();
        }
        network.settle();

        for org in ["org0", "org1", "org2"] {
            let expected = network.expected(org);
            for node in &network.nodes {
                let zone = node.replicator.zones.zone(&apex(org)).unwrap();
                let content = Zone::clone(&zone).with_serial(0).encode();
                assert!(content == expected, "seed {seed}: {org} at {}", node.id);
                assert!(node.replicator.refusals.is_empty(), "seed {seed}");
            }
        }
    }
}
