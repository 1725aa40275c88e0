use super::*;
use crate::keys::{Aead, Secret};
use crate::outlet::MAX_RETRIES;
use crate::peer::Peer;
use crate::session::Path;
use crate::shutdown::Shutdown;
use crate::udp::recording::{Recording, Sent};

const PLAIN: TrafficClass = TrafficClass(0);

fn session() -> Arc<Outgoing> {
    let path = Path::new("192.0.2.1:4600".parse().unwrap(), None);
    let secret = Secret::new([7; 48]);
    Arc::new(Outgoing::new(
        9,
        Aead::Aes128Gcm,
        &secret,
        path,
        Arc::new(Peer::new()),
    ))
}

#[test]
fn only_the_last_segment_is_shorter() {
    let session = session();
    let mut batch = GsoBatch::new();
    assert!(batch.accepts(&session, 101, PLAIN));

    batch.append(&session, 100, PLAIN);
    assert!(batch.accepts(&session, 100, PLAIN));
    assert!(batch.accepts(&session, 60, PLAIN));
    assert!(!batch.accepts(&session, 101, PLAIN));

    batch.append(&session, 60, PLAIN);
    assert!(!batch.accepts(&session, 60, PLAIN));
    assert!(!batch.accepts(&session, 100, PLAIN));
}

#[test]
fn a_batch_goes_to_one_peer() {
    let mut batch = GsoBatch::new();
    batch.append(&session(), 100, PLAIN);
    assert!(!batch.accepts(&session(), 100, PLAIN));
}

#[test]
fn a_batch_has_one_traffic_class() {
    let session = session();
    let mut batch = GsoBatch::new();
    batch.append(&session, 100, TrafficClass(0xb9));
    assert!(batch.accepts(&session, 100, TrafficClass(0xb9)));
    assert!(
        !batch.accepts(&session, 100, TrafficClass(0xb8)),
        "other ECN"
    );
    assert!(
        !batch.accepts(&session, 100, TrafficClass(0x01)),
        "other DSCP"
    );
}

#[test]
fn a_batch_ends_where_the_kernel_would_refuse_it() {
    let session = session();
    for (len, max_segments, expected) in [
        (100, MAX_SEGMENTS, MAX_SEGMENTS),
        (1452, MAX_SEGMENTS, MAX_SEND / 1452),
        (100, 1, 1),
    ] {
        let mut batch = GsoBatch::new();
        batch.max_segments = max_segments;
        while batch.accepts(&session, len, PLAIN) {
            batch.append(&session, len, PLAIN);
        }
        assert_eq!(batch.count, expected, "{len} bytes");
    }
}

const VIDEO: TrafficClass = TrafficClass(0x89);

/// A batch, and a socket that refuses sends of `refuses`.
struct Bench {
    batch: GsoBatch,
    session: Arc<Outgoing>,
    udp: Recording,
    shutdown: Shutdown,
}

impl Bench {
    fn new(refuses: fn(&Sent) -> Option<i32>) -> Bench {
        Bench {
            batch: GsoBatch::new(),
            session: session(),
            udp: Recording::new(refuses),
            shutdown: Shutdown::new().unwrap(),
        }
    }

    /// Pushes a packet of `len` bytes in the class `VIDEO`.
    fn push(&mut self, len: usize) -> Result<(), DropReason> {
        let outlet = Outlet {
            udp: &self.udp,
            shutdown: &self.shutdown,
            retries: MAX_RETRIES,
        };
        let packet = Plaintext {
            number: self.session.reserve(1).unwrap(),
            checksum: Checksum::Complete,
            class: VIDEO,
            len,
        };
        let write = |segment: &mut [u8]| assert_eq!(segment.len(), len);
        self.batch.push(&outlet, &self.session, &packet, write)
    }

    fn flush(&mut self) -> Vec<Sent> {
        self.batch.flush(&Outlet {
            udp: &self.udp,
            shutdown: &self.shutdown,
            retries: MAX_RETRIES,
        });
        self.udp.take()
    }

    /// Packets and bytes that count as sent, and packets that were dropped for `reason`.
    fn counted(&self, reason: DropReason) -> (u64, u64, u64) {
        let counts = self.session.counters().snapshot();
        (counts.tx_packets, counts.tx_bytes, counts.dropped(reason))
    }
}

/// Length, segment size, and whether it went in fragments. Each has the class.
fn shapes(sent: &[Sent]) -> Vec<(usize, Option<u16>, bool)> {
    assert!(sent.iter().all(|sent| sent.class == VIDEO), "{sent:?}");
    let shapes = sent.iter();
    shapes
        .map(|sent| (sent.bytes.len(), sent.segment, sent.fragments.is_some()))
        .collect()
}

#[test]
fn a_batch_leaves_in_one_send_and_a_lone_packet_without_a_segment_size() {
    let mut bench = Bench::new(|_| None);
    for len in [100, 100, 60] {
        bench.push(len).unwrap();
    }
    assert_eq!(
        shapes(&bench.flush()),
        [(260 + 3 * OVERHEAD, Some(132), false)]
    );
    assert_eq!(bench.counted(DropReason::TooBig), (3, 260, 0));

    bench.push(100).unwrap();
    assert_eq!(shapes(&bench.flush()), [(132, None, false)]);
    assert!(bench.flush().is_empty(), "nothing is left");
    assert_eq!(bench.counted(DropReason::TooBig), (4, 360, 0));
}

#[test]
fn what_cannot_share_a_send_is_sent_before() {
    let mut bench = Bench::new(|_| None);
    for len in [60, 100, 100] {
        bench.push(len).unwrap();
    }
    assert_eq!(shapes(&bench.udp.take()), [(92, None, false)]);
    assert_eq!(shapes(&bench.flush()), [(264, Some(132), false)]);
}

#[test]
fn a_packet_longer_than_the_path_goes_alone_and_in_fragments() {
    let mut bench = Bench::new(|_| None);
    let longest = bench.session.max_packet();
    bench.push(longest).unwrap();
    bench.push(longest + 1).unwrap();
    let sent = bench.udp.take();
    assert_eq!(
        shapes(&sent),
        [
            (longest + OVERHEAD, None, false),
            (longest + 1 + OVERHEAD, None, true)
        ]
    );
    // The number of the packet, which no other one has within the time of a reassembly.
    assert_eq!(sent[1].fragments, Some(1));
    assert!(bench.flush().is_empty(), "it is gone from the batch");
    let bytes = 2 * longest as u64 + 1;
    assert_eq!(bench.counted(DropReason::TooBig), (2, bytes, 0));
}

#[test]
fn a_packet_that_no_send_takes_is_refused_and_the_others_go() {
    let mut bench = Bench::new(|_| None);
    bench.push(100).unwrap();
    assert_eq!(bench.push(MAX_SEND - OVERHEAD + 1), Err(DropReason::TooBig));
    assert_eq!(shapes(&bench.flush()), [(132, None, false)]);
}

#[test]
fn segments_that_the_kernel_cannot_cut_leave_one_by_one() {
    // Whether later ones are batched again.
    for (error, goes_on) in [
        (libc::EIO, false),
        (libc::EINVAL, true),
        (libc::EMSGSIZE, true),
    ] {
        let mut bench = Bench::new(match error {
            libc::EIO => |sent| sent.segment.map(|_| libc::EIO),
            libc::EINVAL => |sent| sent.segment.map(|_| libc::EINVAL),
            _ => |sent| sent.segment.map(|_| libc::EMSGSIZE),
        });
        for len in [100, 100, 60] {
            bench.push(len).unwrap();
        }
        let alone = [(132, None, false), (132, None, false), (92, None, false)];
        assert_eq!(shapes(&bench.flush()), alone, "{error}");
        assert_eq!(bench.counted(DropReason::TooBig), (3, 260, 0), "{error}");

        bench.push(100).unwrap();
        bench.push(100).unwrap();
        let is_sent_at_once = bench.udp.take().len() == 1;
        assert_eq!(is_sent_at_once, !goes_on, "{error}");
    }
}

#[test]
fn a_datagram_for_which_the_link_has_become_too_small_goes_in_fragments() {
    let mut bench = Bench::new(|sent| {
        let is_too_long = sent.fragments.is_none() && sent.bytes.len() > 100;
        is_too_long.then_some(libc::EMSGSIZE)
    });
    for len in [100, 100, 60] {
        bench.push(len).unwrap();
    }
    let sent = bench.flush();
    assert_eq!(
        shapes(&sent),
        [(132, None, true), (132, None, true), (92, None, false)]
    );
    assert_eq!([sent[0].fragments, sent[1].fragments], [Some(0), Some(1)]);
}

#[test]
fn every_packet_of_a_batch_that_is_lost_is_counted() {
    for (refuses, reason) in [
        (
            (|_| Some(libc::ENOBUFS)) as fn(&Sent) -> Option<i32>,
            DropReason::SocketFull,
        ),
        (|_| Some(libc::EPERM), DropReason::Unreachable),
    ] {
        let mut bench = Bench::new(refuses);
        for len in [100, 100, 60] {
            bench.push(len).unwrap();
        }
        assert!(bench.flush().is_empty());
        assert_eq!(bench.counted(reason), (0, 0, 3), "{reason}");
    }
}
