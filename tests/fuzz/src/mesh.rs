//! The mesh core: any bytes as a sequence of inputs, possible ones and others, on virtual time.
//!
//! One byte chooses the input, the following ones its arguments; where the bytes end, arguments are
//! 0. [`Harness`] carries out the mesh's actions and asserts what must hold after every input.

#[path = "mesh/harness.rs"]
mod harness;
#[path = "mesh/scene.rs"]
mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use harness::Harness;
use ringway_config::{Asked, Digest, Opening};
use ringway_core::message::{Answer, Relay, SIBLINGS, SiblingMessage, SiblingState, SiteSettings};
use ringway_core::{
    Aead, BootId, ByeCode, ConnectionError, DialId, Hello, Lane, Message, NodeAway, Offer,
    PolicyMessage, PolicyVerdict, Rank, Refuse, RefuseReason, Role, Secret, SessionIndex,
    TrustError, ZoneMessage,
};

/// Most inputs in one sequence, so that no sequence takes long.
const MAX_INPUTS: usize = 256;

/// A sequence of inputs, and a shutdown after them. True if a session came up on the way.
pub fn mesh(data: &[u8]) -> bool {
    let mut bytes = Bytes(data);
    let mut harness = Harness::new();

    for _ in 0..MAX_INPUTS {
        if bytes.0.is_empty() || harness.has_drained() {
            break;
        }
        input(&mut harness, &mut bytes);
        harness.check();
    }

    harness.shut_down();
    harness.sessions_came_up()
}

fn input(harness: &mut Harness, bytes: &mut Bytes<'_>) {
    match bytes.next() % 16 {
        0 => harness.connect(bytes.next(), Role::Accepter),
        1 => harness.connect(bytes.next(), Role::Dialler),
        2..=4 => {
            let conn = harness.conn(bytes.next());
            let message = message(bytes);
            harness.bytes(conn, &message.encode());
        }
        5 => {
            let conn = harness.conn(bytes.next());
            let length = bytes.next();
            harness.bytes(conn, bytes.take(length.into()));
        }
        6 => {
            let conn = harness.conn(bytes.next());
            harness.disconnect(conn, ConnectionError::Reset);
        }
        7 => {
            let conn = harness.conn(bytes.next());
            harness.input(|mesh, now| mesh.handle_untrusted(conn, TrustError::SiteChanged, now));
        }
        8 => harness.fail_dial(DialId(bytes.next().into())),
        9 => {
            let session = SessionIndex(bytes.u32());
            let probe = bytes.next().into();
            harness.input(|mesh, now| mesh.handle_echo(session, probe, now));
        }
        10 => {
            let session = harness.index(bytes.next());
            harness.input(|mesh, now| mesh.handle_moved(session, now));
        }
        11 => {
            let conn = harness.conn(bytes.next());
            harness.input(|mesh, now| mesh.handle_silent(conn, now));
        }
        12 => harness.change_membership(bytes.next()),
        13 => {
            let which = bytes.next();
            harness.input(|mesh, now| match which % 4 {
                0 => mesh.handle_clock_jump(now),
                1 => mesh.handle_host_changed(now),
                2 => mesh.handle_identity_changed(now),
                _ => mesh.handle_timeout(now),
            });
        }
        // From 0 to 8 s.
        14 => harness.pass(
            Duration::from_millis(u64::from(bytes.next()) * 32),
            bytes.next(),
        ),
        _ => harness.begin_shutdown(bytes.next()),
    }
}

fn message(bytes: &mut Bytes<'_>) -> Message {
    match bytes.next() % 12 {
        0 | 1 => Message::Hello(hello(bytes)),
        2 => Message::Announce {
            serial: bytes.next().into(),
            prefixes: scene::prefixes(bytes.next()),
        },
        3 => Message::Withdraw {
            serial: bytes.next().into(),
            prefixes: scene::prefixes(bytes.next()),
        },
        4 => {
            let reason = RefuseReason::from(u16::from(bytes.next()));
            let prefixes = scene::prefixes(bytes.next());
            Message::Refuse(Refuse {
                whole: (bytes.next() % 2 == 1).then_some(reason),
                refused: prefixes
                    .into_iter()
                    .map(|prefix| (prefix, reason))
                    .collect(),
            })
        }
        5 => {
            let org = scene::org(bytes.next());
            let records = BTreeMap::from([(org, Digest([bytes.next(); 32]).into())]);
            Message::Records { records }
        }
        6 => Message::Zone(ZoneMessage::Fetch {
            apex: "a.mesh.example".parse().expect("a name"),
            serial: bytes.next().into(),
            have: None,
        }),
        7 => Message::Bye {
            code: ByeCode::from(u16::from(bytes.next())),
        },
        8 => Message::Rank(rank(bytes)),
        9 => {
            let state = sibling(bytes);
            // It is a different one from time to time.
            let secret = Secret([state.tunnels as u8; 32]);
            Message::Sibling(SiblingMessage { state, secret })
        }
        10 => Message::Relay(relay(bytes)),
        _ => match bytes.next() % 8 {
            3 | 7 => Message::Policy(policy(bytes)),
            5 => Message::Offer(Offer {
                prefixes: scene::prefixes(bytes.next()),
                resolvers: BTreeSet::new(),
            }),
            6 => {
                let addresses = addresses(bytes).into_iter();
                Message::SiteSettings(SiteSettings {
                    virtual_addresses: addresses.map(|address| address.ip()).collect(),
                    rules: None,
                    nodes: None,
                })
            }
            _ => Message::Addresses(addresses(bytes)),
        },
    }
}

fn policy(bytes: &mut Bytes<'_>) -> PolicyMessage {
    let number = bytes.next().into();

    match bytes.next() % 2 {
        0 => PolicyMessage::Question {
            number,
            opening: Opening {
                source: [10, 1, 0, bytes.next()].into(),
                destination: [10, 2, 0, bytes.next()].into(),
                service: Asked::Tcp(bytes.next().into()),
            },
        },
        _ => PolicyMessage::Answer {
            number,
            verdict: PolicyVerdict::Allowed,
            node: Some(NodeAway::Down).filter(|_| bytes.next().is_multiple_of(2)),
        },
    }
}

fn rank(bytes: &mut Bytes<'_>) -> Rank {
    // 255 stands for the largest number, at which counting on must not overflow.
    let epoch = match bytes.next() {
        255 => u64::MAX,
        254 => (1 << 62) - 1,
        number => number.into(),
    };

    Rank {
        epoch,
        preference: bytes.next().into(),
    }
}

fn sibling(bytes: &mut Bytes<'_>) -> SiblingState {
    let rank = rank(bytes);
    let state = bytes.next();

    SiblingState {
        rank,
        is_active: state & 1 != 0,
        hands_over: state & 2 != 0,
        no_carrier: state & 4 != 0,
        tunnels: u16::from(state >> 3),
        serial: u64::from(bytes.next()),
    }
}

fn relay(bytes: &mut Bytes<'_>) -> Relay {
    let org = scene::org(bytes.next());
    let [from, to] = [bytes.next(), bytes.next()].map(scene::name);
    let nonce = bytes.next();
    let answer = (nonce % 2 == 1).then(|| Answer {
        state: sibling(bytes),
        proof: Digest([nonce; 32]),
    });

    Relay {
        org,
        from,
        to,
        nonce: [nonce; 16],
        answer,
    }
}

fn addresses(bytes: &mut Bytes<'_>) -> BTreeSet<SocketAddr> {
    let count = bytes.next() % 9;
    // Inside our site, in that of another member, and in nobody's.
    let address = |bytes: &mut Bytes<'_>| [10, bytes.next() % 4, 0, bytes.next()];

    (0..count)
        .map(|_| SocketAddr::from((address(bytes), 4600)))
        .collect()
}

fn hello(bytes: &mut Bytes<'_>) -> Hello {
    let boot = bytes.next();
    // One in four does not know of siblings.
    let features = if boot >> 2 & 3 == 3 { 0 } else { SIBLINGS };
    // 255 stands for the largest number, at which counting on must not overflow.
    let replaces = match bytes.next() {
        255 => u64::MAX,
        number => number.into(),
    };
    let lane = Lane {
        index: SessionIndex(1 + u32::from(bytes.next())),
        aead: Aead::Aes256Gcm,
    };

    Hello {
        versions: (1, 1),
        features,
        boot: BootId([boot % 4; 16]),
        replaces,
        lanes: vec![lane],
        records: BTreeMap::new(),
    }
}

/// What is left of the data.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn next(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        (0..4).fold(0, |number, _| number << 8 | u32::from(self.next()))
    }

    /// The next `count` bytes, or as many as there are.
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
