//! A thread that hangs in one batch is seen, by the device for the sending one and by the sink for
//! the receiving one.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use ringway_dataplane::*;

use super::gateways::{TIMEOUT, address};
use super::packets::{self, Family};

const LIMIT: Duration = Duration::from_secs(5);

/// A thread that comes to it waits while the test holds it.
#[derive(Clone, Default)]
struct Gate(Arc<Mutex<()>>);

impl Gate {
    fn pass(&self) {
        drop(self.0.lock().unwrap());
    }
}

/// A device whose reads wait at a gate.
struct Gated {
    tun: ChannelTun,
    gate: Gate,
}

impl Tun for Gated {
    fn segments_udp(&self) -> bool {
        self.tun.segments_udp()
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.gate.pass();
        self.tun.read(buffer)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<()> {
        self.tun.write(parts)
    }
}

impl AsFd for Gated {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tun.as_fd()
    }
}

/// A sink whose QUIC datagrams wait at a gate.
#[derive(Clone)]
struct GatedSink(Gate);

impl ControlSink for GatedSink {
    fn quic(&mut self, _: &[u8], _: SocketAddr, _: Option<IpAddr>, _: Option<u8>) -> bool {
        self.0.pass();
        true
    }

    fn event(&mut self, _: Event) -> bool {
        true
    }
}

/// Looks again and again, each time two limits later by its own clock.
struct Looks {
    dataplane: Dataplane,
    now: Instant,
}

impl Looks {
    fn has_stalled(&mut self) -> bool {
        self.now += 2 * LIMIT;
        self.dataplane.has_stalled(LIMIT, self.now)
    }

    fn wait_until(&mut self, is_stalled: bool) {
        let deadline = Instant::now() + TIMEOUT;
        while self.has_stalled() != is_stalled {
            assert!(Instant::now() < deadline, "in vain: {is_stalled}");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_thread_that_hangs_is_seen_and_one_that_waits_is_not() {
    let network = ChannelNetwork::new();
    let udp = Arc::new(network.bind(address(1), 16).unwrap());
    let stranger = network.bind(address(2), 16).unwrap();
    let (tun, host) = ChannelTun::new(16).unwrap();
    let at_device = Gate::default();
    let at_sink = Gate::default();
    let tun = Gated {
        tun,
        gate: at_device.clone(),
    };
    let shared = Shared {
        snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(SiteNo(1)))),
        counters: Arc::new(Counters::new()),
        filter: harness::filter(udp.now()),
    };
    let sink = GatedSink(at_sink.clone());
    let mut looks = Looks {
        dataplane: Dataplane::start_on([(tun, udp)], &shared, sink).unwrap(),
        now: Instant::now(),
    };
    looks.wait_until(false);

    let quic = [0xc0; 100];
    let to_us = Path::new(address(1), None);
    for is_sending in [true, false] {
        let gate = if is_sending { &at_device } else { &at_sink };
        let held = gate.0.lock().unwrap();
        if is_sending {
            assert!(host.send(&packets::udp(Family::V4, 1, 2, b"x")));
        } else {
            stranger.send(&to_us, &quic, None).unwrap();
        }
        looks.wait_until(true);
        assert!(looks.has_stalled(), "and it stays so");
        drop(held);
        looks.wait_until(false);
    }
}
