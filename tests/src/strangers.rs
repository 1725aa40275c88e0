//! [`Strangers`]: hosts of many networks that begin handshakes with a gateway and then fall silent.
//!
//! ```text
//!   quinn ── 127.0.0.1 ── relay, from an address of its own on the WAN ──► gateway
//!                           ◄── a Retry passes, everything else is dropped
//! ```
//! With the Retry's token each of them proves its address, so that it gets a place, and keeps it
//! for as long as the gateway waits for the rest of the handshake.

use std::future::pending;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, anyhow};
use arc_swap::ArcSwap;
use quinn::{ClientConfig, Endpoint};
use ringway::prepare::prepare;
use ringway::quic::endpoint::Tls;
use ringway_config::GatewayId;
use ringway_identity::tls::{LastRefusal, SERVER_NAME};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;

use crate::{Scene, inside};

/// Handshakes that each of them has under way.
const EACH: usize = 5;

/// What marks a Retry in a first byte (RFC 9000, section 17.2.5).
const RETRY: u8 = 0xf0;

/// Strangers at work until this is dropped.
pub struct Strangers {
    counts: Arc<Vec<Counts>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What one of them was sent.
#[derive(Debug, Default)]
struct Counts {
    retries: AtomicUsize,
    /// Parts of a handshake that has begun.
    answers: AtomicUsize,
}

impl Strangers {
    /// `count` of them on the WAN, each in a /24 of its own, against `peer` at `target`. Their
    /// first messages are those of the gateway whose `gateway.toml` is `config`.
    pub fn start(
        scene: &Scene,
        count: u8,
        config: PathBuf,
        peer: &GatewayId,
        target: SocketAddr,
    ) -> Strangers {
        let addresses: Vec<_> = (0..count)
            .map(|number| Ipv4Addr::new(198, 18, number, 7))
            .collect();
        for address in &addresses {
            let add = ["address", "add", &format!("{address}/32"), "dev", "lo"];
            scene.output("wan", "ip", &add);
        }

        let counts: Arc<Vec<_>> = Arc::new(addresses.iter().map(|_| Counts::default()).collect());
        let (stop, stopped) = oneshot::channel();
        let peer = peer.clone();
        let shared = counts.clone();
        let thread = inside::spawn(scene, "wan", move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                tokio::select! {
                    result = crowd(&addresses, &shared, config, peer, target) => {
                        result.expect("strangers dial");
                    }
                    _ = stopped => {}
                }
            });
        });

        Strangers {
            counts,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// How many of them have proved their address, and have had a handshake begun.
    pub fn waiting(&self) -> usize {
        let is_waiting = |counts: &&Counts| {
            counts.retries.load(Ordering::Relaxed) > 0 && counts.answers.load(Ordering::Relaxed) > 0
        };
        self.counts.iter().filter(is_waiting).count()
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            _ = thread.join();
        }
    }
}

async fn crowd(
    addresses: &[Ipv4Addr],
    counts: &Arc<Vec<Counts>>,
    config: PathBuf,
    peer: GatewayId,
    target: SocketAddr,
) -> Result<()> {
    let prepared = prepare(&config)
        .await
        .map_err(|faults| anyhow!("{faults}"))?;
    let tls = Tls::new(
        Arc::new(ArcSwap::from_pointee(prepared.trust)),
        Arc::new(ArcSwap::from_pointee(prepared.identity)),
    )?;
    let settings = tls.client(peer, Arc::new(LastRefusal::default())).config;

    for (number, address) in addresses.iter().enumerate() {
        let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let relay = inside.local_addr()?;
        let outside = UdpSocket::bind((IpAddr::from(*address), 0)).await?;
        outside.connect(target).await.context("the WAN's routes")?;
        tokio::spawn(forward(inside, outside, counts.clone(), number));

        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into())?;
        for _ in 0..EACH {
            tokio::spawn(dial(endpoint.clone(), settings.clone(), relay));
        }
    }
    pending().await
}

/// Begins a handshake, and another one when it has failed.
async fn dial(endpoint: Endpoint, settings: ClientConfig, relay: SocketAddr) {
    while let Ok(connecting) = endpoint.connect_with(settings.clone(), relay, SERVER_NAME) {
        // It ends with a timeout: nothing that belongs to it comes back.
        _ = connecting.await;
    }
}

async fn forward(
    inside: UdpSocket,
    outside: UdpSocket,
    counts: Arc<Vec<Counts>>,
    number: usize,
) -> io::Result<()> {
    let counts = &counts[number];
    let mut dialler = None;
    let (mut there, mut back) = ([0; 2048], [0; 2048]);
    loop {
        tokio::select! {
            received = inside.recv_from(&mut there) => {
                let (len, from) = received?;
                dialler = Some(from);
                outside.send(&there[..len]).await?;
            }
            received = outside.recv(&mut back) => {
                let len = received?;
                if back[0] & RETRY != RETRY {
                    counts.answers.fetch_add(1, Ordering::Relaxed);
                } else if let Some(dialler) = dialler {
                    counts.retries.fetch_add(1, Ordering::Relaxed);
                    inside.send_to(&back[..len], dialler).await?;
                }
            }
        }
    }
}
