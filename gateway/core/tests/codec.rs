//! Laws of the control stream's encoding: a written message reads back, in whatever pieces it
//! arrives, and no bytes can do more than end the session.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use ringway_config::{Asked, Digest, Opening, OrgId, Prefix, ZoneName};
use ringway_core::message::{
    MAX_CHUNK, MAX_FRAME, MAX_PREFIXES, MAX_RECORDS, MAX_VERDICT_TEXT, SiteSettings,
};
use ringway_core::{
    Aead, Answer, BootId, ByeCode, Decoder, FragmentMessage, FramingError, HeldRecord, Hello,
    Incoming, Kind, Lane, Message, NodeAway, PolicyMessage, PolicyVerdict, Rank, Refuse,
    RefuseReason, Relay, Secret, ServicesOrigin, SessionIndex, SiblingMessage, SiblingState,
    ZoneMessage,
};

fn prefix() -> impl Strategy<Value = Prefix> {
    let v4 = (any::<[u8; 4]>(), 0u8..=32)
        .prop_map(|(octets, len)| Prefix::holding(IpAddr::from(octets), len));
    let v6 = (any::<[u8; 16]>(), 0u8..=128)
        .prop_map(|(octets, len)| Prefix::holding(IpAddr::from(octets), len));
    prop_oneof![v4, v6].prop_map(|prefix| prefix.expect("the family has the length"))
}

fn prefixes() -> impl Strategy<Value = BTreeSet<Prefix>> {
    btree_set(prefix(), 0..40)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn site_settings() -> impl Strategy<Value = SiteSettings> {
    let addresses = btree_set(any::<IpAddr>(), 0..32);
    let digests = [0, 1].map(|_| prop::option::of(digest()));

    (addresses, digests).prop_map(|(virtual_addresses, [rules, nodes])| SiteSettings {
        virtual_addresses,
        rules,
        nodes,
    })
}

fn held() -> impl Strategy<Value = HeldRecord> {
    (any::<u64>(), digest()).prop_map(|(serial, digest)| HeldRecord { serial, digest })
}

fn records() -> impl Strategy<Value = BTreeMap<OrgId, HeldRecord>> {
    let org = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?".prop_map(|text| text.parse().expect("a label"));
    btree_map(org, held(), 0..20)
}

fn zone() -> impl Strategy<Value = ZoneName> {
    "[a-z0-9]{1,10}(\\.[a-z0-9]{1,20}){1,4}".prop_map(|text| text.parse().expect("a name"))
}

fn hello() -> impl Strategy<Value = Hello> {
    let aead = prop_oneof![
        Just(Aead::Aes128Gcm),
        Just(Aead::Aes256Gcm),
        Just(Aead::ChaCha20Poly1305)
    ];
    let lane = (1..=u32::MAX, aead).prop_map(|(index, aead)| Lane {
        index: SessionIndex(index),
        aead,
    });
    let fields = (
        1u16..,
        any::<u64>(),
        any::<[u8; 16]>(),
        any::<u64>(),
        vec(lane, 1..5),
        records(),
    );
    fields.prop_map(|(newest, features, boot, replaces, lanes, records)| Hello {
        versions: (1, newest),
        features,
        boot: BootId(boot),
        replaces,
        lanes,
        records,
    })
}

fn message() -> impl Strategy<Value = Message> {
    let reason = any::<u16>().prop_map(RefuseReason::from);
    let refuse = (
        proptest::option::of(any::<u16>().prop_map(RefuseReason::from)),
        btree_map(prefix(), reason, 0..20),
    );
    let claims = || (any::<u64>(), prefixes());
    prop_oneof![
        hello().prop_map(Message::Hello),
        claims().prop_map(|(serial, prefixes)| Message::Announce { serial, prefixes }),
        claims().prop_map(|(serial, prefixes)| Message::Withdraw { serial, prefixes }),
        refuse.prop_map(|(whole, refused)| Message::Refuse(Refuse { whole, refused })),
        records().prop_map(|records| Message::Records { records }),
        (zone(), any::<u32>(), digest(), any::<u32>()).prop_map(|(apex, serial, digest, size)| {
            Message::Zone(ZoneMessage::Offer {
                apex,
                serial,
                digest,
                size,
            })
        }),
        (
            zone(),
            any::<u32>(),
            proptest::option::of((any::<u32>(), digest()))
        )
            .prop_map(|(apex, serial, have)| Message::Zone(ZoneMessage::Fetch {
                apex,
                serial,
                have
            })),
        (
            zone(),
            any::<u32>(),
            proptest::option::of(any::<u32>()),
            any::<u32>(),
            any::<bool>(),
            vec(any::<u8>(), 0..200)
        )
            .prop_map(|(apex, serial, from, offset, last, bytes)| Message::Zone(
                ZoneMessage::Data {
                    apex,
                    serial,
                    from,
                    offset,
                    last,
                    bytes
                }
            )),
        fragment().prop_map(|message| Message::Zone(ZoneMessage::Fragment(message))),
        rank().prop_map(Message::Rank),
        (sibling(), any::<[u8; 32]>()).prop_map(|(state, secret)| {
            let secret = Secret(secret);
            Message::Sibling(SiblingMessage { state, secret })
        }),
        relay().prop_map(Message::Relay),
        btree_set(any::<(IpAddr, u16)>(), 0..8).prop_map(|list| {
            let ported = list.into_iter().filter(|(_, port)| *port != 0);
            Message::Addresses(ported.map(SocketAddr::from).collect())
        }),
        site_settings().prop_map(Message::SiteSettings),
        policy().prop_map(Message::Policy),
        any::<u16>().prop_map(|code| Message::Bye {
            code: ByeCode::from(code)
        }),
    ]
}

fn policy() -> impl Strategy<Value = PolicyMessage> {
    let service = (0..4_u8, any::<u16>()).prop_map(|(kind, value)| match kind {
        0 => Asked::Tcp(value),
        1 => Asked::Udp(value),
        2 => Asked::Echo,
        _ => Asked::Protocol(value as u8),
    });
    let opening =
        (any::<(IpAddr, IpAddr)>(), service).prop_map(|((source, destination), service)| Opening {
            source,
            destination,
            service,
        });
    let verdict = prop_oneof![
        Just(PolicyVerdict::Allowed),
        Just(PolicyVerdict::Denied),
        Just(PolicyVerdict::NotTold)
    ];
    let node = prop_oneof![
        Just(None),
        Just(Some(NodeAway::Down)),
        Just(Some(NodeAway::Silent))
    ];

    prop_oneof![
        (any::<u64>(), opening)
            .prop_map(|(number, opening)| PolicyMessage::Question { number, opening }),
        (any::<u64>(), verdict, node).prop_map(|(number, verdict, node)| PolicyMessage::Answer {
            number,
            verdict,
            node,
        }),
    ]
}

fn rank() -> impl Strategy<Value = Rank> {
    let fields = any::<(u64, u32)>();
    fields.prop_map(|(epoch, preference)| Rank { epoch, preference })
}

fn sibling() -> impl Strategy<Value = SiblingState> {
    let fields = (rank(), any::<(bool, bool, bool, u16, u64)>());
    fields.prop_map(
        |(rank, (is_active, hands_over, no_carrier, tunnels, serial))| SiblingState {
            rank,
            is_active,
            hands_over,
            no_carrier,
            tunnels,
            serial,
        },
    )
}

fn relay() -> impl Strategy<Value = Relay> {
    let name = || "[a-z]{1,63}".prop_map(|name| name.parse().expect("a label"));
    let org = "[a-z]{1,63}".prop_map(|name| name.parse().expect("a label"));
    let fields = (
        org,
        name(),
        name(),
        any::<[u8; 16]>(),
        proptest::option::of((sibling(), digest())),
    );
    fields.prop_map(|(org, from, to, nonce, answer)| Relay {
        org,
        from,
        to,
        nonce,
        answer: answer.map(|(state, proof)| Answer { state, proof }),
    })
}

fn fragment() -> impl Strategy<Value = FragmentMessage> {
    let services = (digest(), any::<bool>());
    let services = services.prop_map(|(source, is_current)| ServicesOrigin { source, is_current });
    let services = proptest::option::of(services);
    let maybe_digest = || proptest::option::of(digest());
    let data = (
        digest(),
        maybe_digest(),
        any::<u32>(),
        any::<bool>(),
        vec(any::<u8>(), 0..200),
    );

    prop_oneof![
        (digest(), any::<u32>(), services).prop_map(|(digest, size, services)| {
            FragmentMessage::Offer {
                digest,
                size,
                services,
            }
        }),
        (digest(), maybe_digest())
            .prop_map(|(digest, have)| FragmentMessage::Fetch { digest, have }),
        data.prop_map(
            |(digest, from, offset, last, bytes)| FragmentMessage::Data {
                digest,
                from,
                offset,
                last,
                bytes,
            }
        ),
        (digest(), any::<bool>(), proptest::option::of("\\PC{0,40}")).prop_map(
            |(digest, taken, text)| FragmentMessage::Verdict {
                digest,
                taken,
                text,
            }
        ),
    ]
}

/// All messages of a stream that arrives in pieces of `size` bytes.
fn read(stream: &[u8], size: usize) -> Result<Vec<Incoming>, FramingError> {
    let mut decoder = Decoder::default();
    let mut found = Vec::new();

    for piece in stream.chunks(size) {
        decoder.push(piece);
        while let Some(incoming) = decoder.next()? {
            found.push(incoming);
        }
    }
    Ok(found)
}

proptest! {
    #[test]
    fn messages_read_back_in_whatever_pieces_they_arrive(
        messages in vec(message(), 0..6),
        size in 1usize..300,
    ) {
        let stream: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let expected: Vec<_> = messages.into_iter().map(Incoming::Message).collect();
        prop_assert_eq!(read(&stream, size), Ok(expected));
    }

    #[test]
    fn arbitrary_bytes_never_panic(stream in vec(any::<u8>(), 0..400), size in 1usize..50) {
        _ = read(&stream, size);
    }

    #[test]
    fn arbitrary_bodies_of_every_kind_never_panic(
        kind in 0u16..20,
        body in vec(any::<u8>(), 0..200),
    ) {
        prop_assert!(read(&frame(kind, &body), 64).is_ok());
    }

    #[test]
    fn a_flipped_byte_changes_at_most_its_own_message(

        messages in vec(message(), 2..5),
        which in any::<prop::sample::Index>(),
        flip in 1u8..,
    ) {
        let mut stream: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
        let first = messages[0].encode().len();
        // The frame's length stays as it is.
        let at = 4 + which.index(first - 4);
        stream[at] ^= flip;
        let found = read(&stream, 100).expect("the framing is whole");
        // The kind itself may have become unknown, or the message may have a form of another kind.
        let rest: Vec<_> = messages[1..].iter().cloned().map(Incoming::Message).collect();

        prop_assert!(found.ends_with(&rest) && found.len() - rest.len() <= 1);
    }
}

fn frame(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 2).to_be_bytes();
    [&length[..], &kind.to_be_bytes(), body].concat()
}

#[test]
fn the_largest_messages_fit_a_frame() {
    let host = |number: usize| Prefix::host(IpAddr::from((number as u128).to_be_bytes()));
    let all: BTreeSet<Prefix> = (0..MAX_PREFIXES).map(host).collect();
    let org = |number: usize| format!("{number:063}").parse().expect("a label");
    let records: BTreeMap<OrgId, HeldRecord> = (0..MAX_RECORDS)
        .map(|number| (org(number), Digest([1; 32]).into()))
        .collect();
    let label = "a".repeat(63);
    let apex: ZoneName = [&label[..], &label, &label, &label[..61]]
        .join(".")
        .parse()
        .expect("a name");
    let refused = all
        .iter()
        .map(|prefix| (*prefix, RefuseReason::TooMany))
        .collect();
    let lane = Lane {
        index: SessionIndex(1),
        aead: Aead::Aes128Gcm,
    };
    let hello = Hello {
        versions: (1, 1),
        features: 0,
        boot: BootId([0; 16]),
        replaces: 0,
        lanes: vec![lane; 16],
        records: records.clone(),
    };
    for message in [
        Message::Hello(hello),
        Message::Announce {
            serial: 1,
            prefixes: all,
        },
        Message::Refuse(Refuse {
            whole: None,
            refused,
        }),
        Message::Records { records },
        Message::Zone(ZoneMessage::Data {
            apex,
            serial: 1,
            from: Some(0),
            offset: 0,
            last: true,
            bytes: vec![7; MAX_CHUNK],
        }),
    ] {
        let stream = message.encode();
        assert!(stream.len() - 4 <= MAX_FRAME);
        assert_eq!(read(&stream, 1000), Ok(vec![Incoming::Message(message)]));
    }
}

#[test]
fn a_message_beyond_a_cap_is_malformed() {
    let fetch = Message::Zone(ZoneMessage::Fetch {
        apex: "a.example".parse().expect("a name"),
        serial: 1,
        have: None,
    });
    let data = frame(
        Kind::ZoneData as u16,
        &[
            &fetch.encode()[6..],
            &field(5, &[0; 4]),
            &field(6, &[1]),
            &field(7, &vec![0; MAX_CHUNK + 1]),
        ]
        .concat(),
    );
    let hosts: Vec<u8> = (0..=MAX_PREFIXES as u32)
        .flat_map(|n| [&[4, 32][..], &n.to_be_bytes()].concat())
        .collect();
    let announce = frame(
        Kind::Announce as u16,
        &[field(1, &[0; 8]), field(2, &hosts)].concat(),
    );
    for stream in [data, announce] {
        let found = read(&stream, 1000).expect("the framing is whole");
        assert!(matches!(found[..], [Incoming::Malformed { .. }]));
    }
}

/// How the fields that carry differences look to a version that does not know them.
#[test]
fn an_older_version_never_mistakes_a_difference_for_a_zone_but_reads_every_fetch() {
    let apex: ZoneName = "a.example".parse().expect("a name");
    let fetch = |have| {
        Message::Zone(ZoneMessage::Fetch {
            apex: apex.clone(),
            serial: 2,
            have,
        })
        .encode()
    };
    let data = |from| {
        let (apex, bytes) = (apex.clone(), vec![7; 9]);
        Message::Zone(ZoneMessage::Data {
            apex,
            serial: 2,
            from,
            offset: 0,
            last: true,
            bytes,
        })
        .encode()
    };
    // The field comes last, behind those that the older version knows.
    assert_eq!(
        fetch(Some((1, Digest([1; 32]))))[fetch(None).len()..][..2],
        [0x00, 8],
        "may be skipped"
    );
    assert_eq!(
        data(Some(1))[data(None).len()..][..2],
        [0x80, 9],
        "must be known"
    );
}

#[test]
fn a_verdicts_text_is_cut_at_a_whole_character_and_a_longer_one_is_malformed() {
    let verdict = |text: String| {
        Message::Zone(ZoneMessage::Fragment(FragmentMessage::Verdict {
            digest: Digest([1; 32]),
            taken: false,
            text: Some(text),
        }))
    };

    let cut = read(&verdict("é".repeat(300)).encode(), 100).expect("the framing is whole");
    assert_eq!(cut, [Incoming::Message(verdict("é".repeat(256)))]);

    let fields = [
        field(0x8003, &[1; 32]),
        field(0x800a, &[0]),
        field(11, &[b'x'; MAX_VERDICT_TEXT + 1]),
    ];
    let stream = frame(Kind::FragmentVerdict as u16, &fields.concat());
    let found = read(&stream, 100).expect("the framing is whole");
    assert!(matches!(found[..], [Incoming::Malformed { .. }]));
}

#[test]
fn unknown_kinds_are_skipped() {
    let bye = Message::Bye {
        code: ByeCode::Shutdown,
    };
    let stream = [frame(999, b"of a later version"), bye.encode()].concat();
    assert_eq!(read(&stream, 7), Ok(vec![Incoming::Message(bye)]));
}

#[test]
fn a_frame_too_long_or_too_short_ends_the_session() {
    assert_eq!(read(&[0, 1, 0, 1], 9), Err(FramingError::TooLong(65537)));
    assert_eq!(read(&[0, 0, 0, 1, 9], 9), Err(FramingError::TooShort(1)));
}

fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    [
        &tag.to_be_bytes()[..],
        &(value.len() as u32).to_be_bytes(),
        value,
    ]
    .concat()
}

fn held_records() -> BTreeMap<OrgId, HeldRecord> {
    [("a", 3), ("b", 4)]
        .map(|(org, serial)| {
            let digest = Digest([7; 32]);
            (org.parse().expect("a label"), HeldRecord { serial, digest })
        })
        .into()
}

#[test]
fn records_without_serials_are_records_and_a_list_of_another_length_is_malformed() {
    let records = held_records();
    let stream = Message::Records {
        records: records.clone(),
    }
    .encode();
    let message = Message::Records { records };
    assert_eq!(read(&stream, 1000), Ok(vec![Incoming::Message(message)]));

    // The serials are the last field: a tag, a length and two of them.
    let body = &stream[6..stream.len() - 22];
    let Ok(older) = read(&frame(5, body), 1000) else {
        panic!("not read");
    };
    let [Incoming::Message(Message::Records { records })] = &older[..] else {
        panic!("{older:?}");
    };
    assert!(records.len() == 2 && records.values().all(|held| held.serial == 0));

    for serials in [&[0; 8][..], &[0; 24], &[0; 15]] {
        let stream = [body, &field(2, serials)].concat();
        let found = read(&frame(5, &stream), 1000).expect("a whole frame");
        assert!(
            matches!(&found[..], [Incoming::Malformed { .. }]),
            "{found:?}"
        );
    }
}

/// The `Hello` that a gateway of version 0.1 sends, and the fields that it knows.
const HELLO_OF_0_1: (&[u8], &[u16]) = (
    include_bytes!("../../../tests/fuzz/corpus/control/seed-session"),
    &[1, 2, 3, 4, 5, 6],
);

#[test]
fn a_peer_of_version_0_1_is_understood_and_understands_us() {
    let (stream, known) = HELLO_OF_0_1;
    let found = read(stream, 1000).expect("whole frames");
    let Some(Incoming::Message(Message::Hello(theirs))) = found.first() else {
        panic!("{found:?}");
    };
    assert!(!theirs.records.is_empty());
    assert!(theirs.records.values().all(|held| held.serial == 0));

    let ours = Hello {
        records: held_records(),
        ..theirs.clone()
    };
    let stream = Message::Hello(ours).encode();
    let mut body = &stream[6..];
    while let [a, b, c, d, e, f, rest @ ..] = body {
        let tag = u16::from_be_bytes([*a, *b]);
        let length = u32::from_be_bytes([*c, *d, *e, *f]) as usize;
        // The top bit means that a receiver must know the field.
        let required = tag & 0x8000 != 0;
        assert!(
            !required || known.contains(&(tag & 0x7fff)),
            "field {tag:#x}"
        );
        body = &rest[length..];
    }
    assert!(body.is_empty());
}
