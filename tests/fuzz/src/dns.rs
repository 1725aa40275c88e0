//! The DNS server: questions, zone files, zones and differences of other organizations.

use std::sync::LazyLock;

use hickory_proto::op::Message;
use ringway_dns::answer::MAX_UDP;
use ringway_dns::delta::{self, DeltaError};
use ringway_dns::replica::MAX_SIZE;
use ringway_dns::{Name, Outcome, Transport, Zone, ZoneSet, answer};

/// The zone that questions are asked of and differences are applied to.
pub const ZONE: &str = "$TTL 5\n@ SOA gw h 1 60 10 600 5\n@ NS gw\ngw A 10.0.0.1\na A 10.0.0.2\n\
    b CNAME a\nc DNAME d\nx.d TXT \"x\"\n*.w MX 1 a\nsub NS ns.sub\nns.sub A 10.0.0.3\n\
    _s._tcp SRV 0 0 1 a\n";
/// Its name.
pub const APEX: &str = "org1.example";

/// Every sample and its changes are below this name.
pub fn origin() -> Name {
    Name::from_text(APEX).expect("a name")
}

/// [`ZONE`].
pub fn zone() -> Zone {
    Zone::from_text(ZONE, Some(&origin())).expect("a zone")
}

/// A question as it comes from anybody, over UDP and TCP. True if it was answered.
pub fn message(data: &[u8]) -> bool {
    static ZONES: LazyLock<ZoneSet> = LazyLock::new(|| ZoneSet::of([zone()]));
    let mut response = Vec::new();
    let answered = [
        (Transport::Udp, MAX_UDP),
        (Transport::Tcp, usize::from(u16::MAX)),
    ]
    .map(|(transport, limit)| {
        let outcome = answer(&ZONES, data, transport, &mut response);
        match outcome {
            Outcome::Silent => assert!(data.len() < 12 || data[2] & 0x80 != 0, "{data:02x?}"),
            Outcome::Answered(_) => {
                assert!(
                    data[2] & 0x80 == 0 && response[2] & 0x80 != 0,
                    "a reply to a reply: {data:02x?}"
                );
                assert!(
                    response[..2] == data[..2] && response.len() <= limit,
                    "{data:02x?}"
                );
                assert!(
                    Message::from_vec(&response).is_ok(),
                    "{data:02x?} {response:02x?}"
                );
            }
            other => {
                panic!("{other:?} for {data:02x?}: no client is limited and no name forwarded")
            }
        }
        outcome != Outcome::Silent
    });
    assert_eq!(answered[0], answered[1], "{data:02x?}");
    answered[0]
}

/// A zone file: what is read is written again as text and as a replica, and reads back as the same.
/// True if it is a zone.
pub fn zone_file(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    let Ok(zone) = Zone::from_text(&text, Some(&origin())) else {
        return false;
    };
    let bytes = zone.encode();
    let again = Zone::from_text(&zone.to_text(), None);
    let again =
        again.unwrap_or_else(|faults| panic!("{text:?} gives {:?}: {faults:?}", zone.to_text()));
    assert_eq!(again.encode(), bytes, "{text:?}");
    if let Ok(apex) = zone.apex().to_string().trim_end_matches('.').parse() {
        assert_eq!(
            Zone::decode(&bytes, &apex).map(|zone| zone.encode()),
            Ok(bytes),
            "{text:?}"
        );
    }
    true
}

/// A zone as another organization sends it. True if it is one.
pub fn replica(data: &[u8]) -> bool {
    let Ok(zone) = Zone::decode(data, &APEX.parse().expect("a name")) else {
        return false;
    };
    assert_eq!(zone.encode(), data, "a zone has one encoding");
    true
}

/// What another organization says has changed in its zone. True if it makes anything.
pub fn difference(data: &[u8]) -> bool {
    static OLD: LazyLock<Vec<u8>> = LazyLock::new(|| zone().encode());
    match delta::apply(&OLD, data) {
        Ok(made) => {
            assert!(made.len() <= MAX_SIZE);
            replica(&made);
            true
        }
        Err(DeltaError::Format | DeltaError::Fit | DeltaError::Size) => false,
    }
}
