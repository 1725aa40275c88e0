//! Sequences of packets in both directions, with new rules, other sizes and time in between.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use ringway_config::{
    Allow, Egress, OnDenied, Origin, Place, Policy, PortRange, Prefix, Service, Target,
};
use ringway_filter::{
    Filter, FlowProtocol, FlowRecord, RemoteSite, Rules, RulesSpec, Settings, Verdict, Waiting,
};

const GRACE: Duration = Duration::from_secs(120);

/// One step for each opcode: its length follows (1 byte), then its bytes. True if a packet passed.
///
/// Whatever came before: under rules that allow nothing, what arrives passes only to a host that
/// has sent something itself, or of whose flow another gateway has told; and UDP that passes once
/// passes a second time.
pub fn sequence(data: &[u8]) -> bool {
    let mut world = World::new();
    let mut rest = data;
    let mut has_passed = false;

    while let [opcode, len, tail @ ..] = rest {
        let (bytes, behind) = tail.split_at(usize::from(*len).min(tail.len()));
        rest = behind;
        match opcode % 8 {
            0 | 1 => has_passed |= world.arrives(u32::from(opcode / 8 % 4), bytes),
            2 | 3 => has_passed |= world.leaves(bytes),
            4 => world.change_rules(opcode / 8),
            5 => world.wait(bytes),
            6 => world.import(bytes),
            _ => world.change_settings(opcode / 8),
        }
    }
    world.look();
    has_passed
}

struct World {
    filter: Filter,
    rules: Rules,
    waiting: Waiting,
    now: Instant,
    /// True under rules that allow nothing, for so long that no fragment remembers others.
    is_closed: bool,
    changed: Instant,
    senders: HashSet<IpAddr>,
}

impl World {
    fn new() -> World {
        let began = Instant::now();
        let spec = spec(0);
        let settings = Settings {
            flows: 64,
            grace: GRACE,
            grace_port: 32768,
        };
        World {
            filter: Filter::new(&settings, [5; 16], began),
            rules: Rules::compile(&spec),
            waiting: Waiting::new(),
            now: began + GRACE,
            is_closed: true,
            changed: began,
            senders: HashSet::new(),
        }
    }

    fn arrives(&mut self, from: u32, packet: &[u8]) -> bool {
        let verdict = self.filter.arrives(&self.rules, from, packet, self.now);
        match verdict {
            Verdict::Pass => {
                let is_settled = self.now >= self.changed + Duration::from_secs(6);
                if self.is_closed && is_settled {
                    let to = destination(packet);
                    assert!(self.senders.contains(&to), "{to} never sent: {packet:02x?}");
                }
                // A FIN or RST shortens the life of its flow; nothing else does.
                if is_udp(packet) {
                    let again = self.filter.arrives(&self.rules, from, packet, self.now);
                    assert_eq!(again, Verdict::Pass, "{packet:02x?}");
                }
            }
            Verdict::WaitForFirstFragment => {
                self.waiting.hold(from, packet, self.now);
            }
            Verdict::Drop(_) | Verdict::Reject(_) | Verdict::HandedOver => {}
        }
        self.waiting
            .release(&self.filter, &self.rules, self.now, |_, packet| {
                assert!(packet.len() >= 20);
            });
        verdict == Verdict::Pass
    }

    fn leaves(&mut self, packet: &[u8]) -> bool {
        let verdict = self.filter.leaves(&self.rules, packet, self.now);
        if verdict != Verdict::Pass {
            return false;
        }

        self.senders.insert(source(packet));
        true
    }

    fn change_rules(&mut self, which: u8) {
        self.rules = Rules::replace(&self.rules, &spec(which));
        self.is_closed = which.is_multiple_of(8);
        self.changed = self.now;
    }

    fn wait(&mut self, bytes: &[u8]) {
        let [seconds, ..] = bytes else {
            return;
        };
        // Up to five hours.
        self.now += Duration::from_secs(u64::from(*seconds) * u64::from(*seconds) / 4);
    }

    fn import(&mut self, bytes: &[u8]) {
        let Some((ports, rest)) = bytes.split_first_chunk::<5>() else {
            return;
        };
        let Some((addresses, _)) = rest.split_first_chunk::<8>() else {
            return;
        };

        let [a, b, c, d, e, f, g, h] = *addresses;
        let local = IpAddr::from([a, b, c, d]);
        let record = FlowRecord {
            protocol: match ports[4] % 3 {
                0 => FlowProtocol::Tcp,
                1 => FlowProtocol::Udp,
                _ => FlowProtocol::Echo,
            },
            local: (local, u16::from_be_bytes([ports[0], ports[1]])).into(),
            remote: ([e, f, g, h], u16::from_be_bytes([ports[2], ports[3]])).into(),
            ack: Some(7),
            idle: 0,
        };
        if self.filter.import(&self.rules, &record, self.now) {
            assert!(local.to_string().starts_with("10.1."), "{record:?}");
            self.senders.insert(local);
        }
    }

    fn change_settings(&mut self, which: u8) {
        let settings = Settings {
            flows: 1 << (which % 12),
            grace: GRACE,
            grace_port: 32768,
        };
        self.filter.configure(&settings, self.now);
        self.filter.set_sharing(which.is_multiple_of(2));
        while self.filter.next_record().is_some() {}
    }

    fn look(&self) {
        let counts = self.filter.counts();
        let mut flows = 0;
        self.filter.for_each_tcp(
            &[prefix("0.0.0.0/0"), prefix("::/0")],
            self.now,
            &mut |flow| {
                assert!(
                    self.filter
                        .tcp_flow(flow.local, flow.remote, self.now)
                        .is_some()
                );
                flows += 1;
            },
        );
        assert!(flows <= counts.ours + counts.theirs);
        for denied in self.filter.denied(&self.rules) {
            assert!(denied.at <= self.now);
        }
    }
}

/// Rules by number; those that eight divides allow nothing.
fn spec(which: u8) -> RulesSpec {
    let remote = |number: u32, org: &str| RemoteSite {
        number,
        org: org.parse().expect("a name"),
        site: "east".parse().expect("a name"),
        prefixes: vec![
            prefix(&format!("10.{}.0.0/16", number + 1)),
            prefix(&format!("fd0{}::/32", number + 1)),
        ],
        has_gateways: number != 3,
        via: None,
    };
    let mut policy = Policy {
        allow: allowed(which % 8),
        ..Policy::default()
    };
    if which & 8 != 0 {
        policy.denied = OnDenied::Reject;
        policy.egress = Egress::Named;
    }

    RulesSpec {
        policy,
        former: Vec::new(),
        site: 0,
        own: vec![prefix("10.1.0.0/16"), prefix("fd01::/32")],
        sites: vec![remote(1, "beta"), remote(2, "gamma"), remote(3, "delta")],
        names: BTreeMap::from([(
            "peer0.acme.example".parse().expect("a name"),
            vec![IpAddr::from([10, 1, 0, 9])],
        )]),
        dns: vec!["10.1.0.1:53".parse().expect("an address")],
        gateway: vec![IpAddr::from([10, 1, 0, 1])],
        tunnel_port: 4600,
    }
}

fn allowed(which: u8) -> Option<Vec<Allow>> {
    let services = match which {
        0 => return Some(Vec::new()),
        1 => return None,
        2 => vec![Service::Tcp(vec![PortRange::one(7051)])],
        3 => vec![Service::Tcp(vec![]), Service::Udp(vec![])],
        4 => vec![Service::Icmp, Service::Udp(vec![PortRange::one(53)])],
        _ => (0..=255).map(Service::Protocol).collect(),
    };
    let from = match which {
        6 => Origin::Org("beta".parse().expect("a name")),
        7 => Origin::Prefix(prefix("10.2.0.0/24")),
        _ => Origin::All,
    };

    Some(vec![Allow {
        from: vec![from],
        to: vec![
            Target::Prefix(prefix("10.1.0.0/16")),
            Target::Prefix(prefix("fd01::/32")),
        ],
        services,
        place: Place::whole(Path::new("gateway.toml")),
    }])
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// The destination of a packet that passed.
fn destination(packet: &[u8]) -> IpAddr {
    if packet[0] >> 4 == 4 {
        IpAddr::from(*packet[16..].first_chunk::<4>().expect("20 bytes"))
    } else {
        IpAddr::from(*packet[24..].first_chunk::<16>().expect("40 bytes"))
    }
}

fn is_udp(packet: &[u8]) -> bool {
    let protocol = if packet[0] >> 4 == 4 {
        packet[9]
    } else {
        packet[6]
    };
    protocol == 17
}

fn source(packet: &[u8]) -> IpAddr {
    if packet[0] >> 4 == 4 {
        IpAddr::from(*packet[12..].first_chunk::<4>().expect("20 bytes"))
    } else {
        IpAddr::from(*packet[8..].first_chunk::<16>().expect("40 bytes"))
    }
}
