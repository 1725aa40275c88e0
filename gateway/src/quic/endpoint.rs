//! The QUIC endpoint: quinn's settings for a gateway, and the keys that outlive a restart.
//! `ringway-identity` decides which peers may connect, and [`super::link`] handles a connection's
//! content.
//!
//! quinn's defaults suit a web server. One control stream per peer needs far less, and a stranger
//! could fill every larger buffer.

use std::io;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use quinn::crypto::HandshakeTokenKey;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
    ValidationTokenConfig,
};
use quinn_proto::HashedConnectionIdGenerator;
use ringway_config::disk::{self, Access, open_to_others};
use ringway_config::{Digest, Fault, GatewayId, Place, reading};
use ringway_identity::tls::{self, LastRefusal};
use ringway_identity::{Identity, Trust};

use super::socket::{DemuxSocket, Inlet};

/// Bytes of control messages that a peer may send before we read them.
const RECEIVE_WINDOW: u32 = 256 * 1024;

/// Bytes of control messages that may wait for a slow peer's acknowledgement.
const SEND_WINDOW: u64 = 1024 * 1024;

/// Initials that may wait for [`super::accept`].
const MAX_INCOMING: usize = 64;

/// The data path's probes detect a dead peer much earlier; this limit is for the control stream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Three of these fit into [`IDLE_TIMEOUT`].
const KEEP_ALIVE: Duration = Duration::from_secs(3);

/// Binds quinn to the tunnel's socket. Must run inside a tokio runtime.
pub fn open(
    socket: &UdpSocket,
    keys: &EndpointKeys,
    tls: &Tls,
) -> anyhow::Result<(Endpoint, Inlet)> {
    // Each handshake gets its own settings; these only enable the server.
    let server = tls.server(Arc::new(LastRefusal::default())).config;
    let (demux, inlet) = DemuxSocket::new(socket).context("cannot use the tunnel's UDP socket")?;

    let endpoint = Endpoint::new_with_abstract_socket(
        keys.config(),
        Some(server),
        demux,
        Arc::new(TokioRuntime),
    )?;
    Ok((endpoint, inlet))
}

/// The limits of a connection between gateways: one stream, few bytes, a keep-alive now and then.
pub fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .max_concurrent_bidi_streams(1u8.into())
        .max_concurrent_uni_streams(0u8.into())
        .stream_receive_window(RECEIVE_WINDOW.into())
        .receive_window(RECEIVE_WINDOW.into())
        .send_window(SEND_WINDOW)
        // No DATAGRAM frames (RFC 9221): packets travel outside QUIC.
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(
            IDLE_TIMEOUT
                .try_into()
                .expect("ten seconds fit a QUIC varint"),
        ))
        .keep_alive_interval(Some(KEEP_ALIVE))
        // A lost Initial is resent after three times this, so that a peer that is back connects
        // soon.
        .initial_rtt(Duration::from_millis(100))
        // The mesh probes the MTU of the data path; packets of the control stream stay at 1200
        // bytes.
        .mtu_discovery_config(None);
    Arc::new(config)
}

/// TLS settings for single handshakes, from the trust and the identity in force at their start.
pub struct Tls {
    trust: Arc<ArcSwap<Trust>>,
    identity: Arc<ArcSwap<Identity>>,
    /// Authenticates the token of a Retry, which proves the client's address.
    tokens: Arc<dyn HandshakeTokenKey>,
}

impl Tls {
    /// Reads `trust` and `identity` again for each handshake.
    pub fn new(
        trust: Arc<ArcSwap<Trust>>,
        identity: Arc<ArcSwap<Identity>>,
    ) -> anyhow::Result<Tls> {
        let mut key = [0; 64];
        ensure!(
            aws_lc_rs::rand::fill(&mut key).is_ok(),
            "the system has no random bytes"
        );
        // New at each start: a Retry is answered at once, so its token need not outlive the
        // process.
        let salt = aws_lc_rs::hkdf::Salt::new(aws_lc_rs::hkdf::HKDF_SHA256, &[]);

        Ok(Tls {
            trust,
            identity,
            tokens: Arc::new(salt.extract(&key)),
        })
    }

    /// True if a gateway of a member has the name `claimed`, which anyone may have invented.
    pub fn names_a_member(&self, claimed: Option<&str>) -> bool {
        let trust = self.trust.load();
        claimed.is_some_and(|claimed| trust.names_a_member(claimed))
    }

    /// Settings for accepting one handshake. Refusals are reported to `log`.
    pub fn server(&self, log: Arc<LastRefusal>) -> Server {
        let identity = self.identity.load();
        let tls = tls::server_config(self.trust.clone(), &identity, tls::ALPN, log);
        let tls = QuicServerConfig::try_from(tls)
            .expect("TLS 1.3 has the cipher suite of QUIC's Initials");

        // No NEW_TOKEN frames (RFC 9000, section 8.1.3): with a token from an earlier connection, a
        // stranger could skip the Retry under load.
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);

        let mut config = ServerConfig::new(Arc::new(tls), self.tokens.clone());
        config
            .transport_config(transport())
            .validation_token_config(tokens)
            .max_incoming(MAX_INCOMING)
            // Bytes buffered for waiting Initials: for each, and for all.
            .incoming_buffer_size(64 * 1024)
            .incoming_buffer_size_total(1024 * 1024);

        Server {
            config,
            certificate: identity.fingerprint(),
        }
    }

    /// Settings for dialling only `peer`. Refusals are reported to `log`.
    pub fn client(&self, peer: GatewayId, log: Arc<LastRefusal>) -> Client {
        let identity = self.identity.load();
        let tls = tls::client_config(self.trust.clone(), &identity, peer, tls::ALPN, log);
        let tls = QuicClientConfig::try_from(tls)
            .expect("TLS 1.3 has the cipher suite of QUIC's Initials");

        let mut config = ClientConfig::new(Arc::new(tls));
        config.transport_config(transport());

        Client {
            config,
            certificate: identity.fingerprint(),
        }
    }
}

/// Settings for accepting one handshake.
pub struct Server {
    /// Settings for quinn.
    pub config: ServerConfig,
    /// Fingerprint of our certificate.
    pub certificate: Digest,
}

/// Settings for one dial.
pub struct Client {
    /// Settings for quinn.
    pub config: ClientConfig,
    /// Fingerprint of our certificate.
    pub certificate: Digest,
}

/// The stateless-reset key and the connection-id key (RFC 9000, section 10.3). They are kept across
/// restarts, so that peers recognize a restarted daemon's resets and redial at once.
#[derive(Clone)]
pub struct EndpointKeys([u8; EndpointKeys::LEN]);

impl EndpointKeys {
    /// 64 bytes of HMAC-SHA-256 key, 8 bytes of connection-id key.
    const LEN: usize = 72;

    /// Loads the keys from the state directory `dir`, or makes new ones if they are missing,
    /// damaged or exposed. Also returns whether they are stored for the next start. Blocks.
    pub fn load_or_make(dir: &Path) -> anyhow::Result<(EndpointKeys, io::Result<()>)> {
        if let Some(fault) = Self::exposed(dir) {
            tracing::warn!(reason = %fault, "The keys of the QUIC endpoint are replaced");
            return Self::make(dir);
        }
        let bytes = reading::read_own(&Self::file(dir)).ok();

        match bytes.and_then(|bytes| bytes.try_into().ok()) {
            Some(keys) => Ok((EndpointKeys(keys), Ok(()))),
            // With new keys, peers notice the restart later; there is no other harm.
            None => Self::make(dir),
        }
    }

    /// The fault of keys in `dir` that other users can read: they may have been copied.
    pub fn exposed(dir: &Path) -> Option<Fault> {
        let file = Self::file(dir);
        let mode = open_to_others(&file.metadata().ok()?)?;

        Some(Fault {
            message: format!(
                "others may use these keys, which can end this gateway's connections (mode \
                 {mode:04o}); the next start makes new ones, or rm {}",
                file.display()
            ),
            place: Place::whole(&file),
        })
    }

    fn file(dir: &Path) -> PathBuf {
        dir.join("endpoint-keys")
    }

    fn make(dir: &Path) -> anyhow::Result<(EndpointKeys, io::Result<()>)> {
        let mut keys = [0; Self::LEN];
        ensure!(
            aws_lc_rs::rand::fill(&mut keys).is_ok(),
            "the system has no random bytes"
        );
        let keys = EndpointKeys(keys);
        let stored = keys.store(dir);
        Ok((keys, stored))
    }

    /// Stores the keys in the state directory `dir`. Blocks.
    pub fn store(&self, dir: &Path) -> io::Result<()> {
        // The reset key allows anyone to end our connections (RFC 9000, section 10.3).
        disk::replace(&Self::file(dir), &self.0, Access::Owner)
    }

    fn config(&self) -> EndpointConfig {
        let (reset, id) = self.0.split_at(64);
        let id = u64::from_be_bytes(id.try_into().expect("72 bytes less 64 are 8"));

        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, reset)));
        config
            // The fixed bit distinguishes QUIC from data packets, so it must not be greased (RFC
            // 9287).
            .grease_quic_bit(false)
            .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id)));
        config
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn endpoint_keys_outlive_a_restart_and_a_broken_or_missing_file_is_replaced() {
        let dir =
            std::env::temp_dir().join(format!("ringway-endpoint-keys-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        let load = || EndpointKeys::load_or_make(&dir).unwrap();
        let (made, stored) = load();
        assert!(stored.is_ok());
        assert_eq!(load().0.0, made.0);

        let file = EndpointKeys::file(&dir);
        fs::write(&file, b"short").unwrap();
        let (other, stored) = load();
        assert!(stored.is_ok() && other.0 != made.0);
        assert_eq!(load().0.0, other.0);

        // Other users could read them and may have copied them.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(EndpointKeys::exposed(&dir).is_some());
        let (again, stored) = load();
        assert!(stored.is_ok() && again.0 != other.0);
        assert!(EndpointKeys::exposed(&dir).is_none());
        fs::remove_dir_all(&dir).unwrap();

        assert!(EndpointKeys::load_or_make(&dir).unwrap().1.is_err());
    }
}
