//! TLS settings that carry [`Trust::verify`]: TLS 1.3 only, certificates on both sides, no
//! resumption.
//!
//! Owns every security-relevant setting of TLS: versions, key exchange, 0-RTT, tickets, hints, and
//! the recording of refusals. The gateway owns sockets and time limits.
//!
//! The trust is read at each handshake, so the settings follow reloads. A handshake alone is not
//! sufficient: a client does not know yet that it was accepted, and the trust may have changed
//! since. So the gateway verifies the chain again before it accepts a `Hello`.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ringway_config::GatewayId;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::certificate::Certificate;
use super::local::Identity;
use super::refusal::Refusal;
use super::trust::Trust;
use super::verify::{Role, shortened, signature_algorithms};

/// The ALPN name of the control protocol over QUIC (gateway/PROTOCOL.md).
pub const ALPN: &[u8] = b"ringway/1";
/// For APIs that require a server name. It is never sent and never compared.
pub const SERVER_NAME: &str = "gateway.ringway.invalid";

/// A refused peer, for the log and for `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The unverified URI in its leaf, shortened and escaped.
    pub claimed: Option<String>,
    /// The reason.
    pub refusal: Refusal,
}

/// Holds the last refusal. The peer's address is not known inside a handshake. So a caller that
/// logs it uses separate settings for each handshake, and takes the refusal when the handshake has
/// failed.
#[derive(Debug, Default)]
pub struct LastRefusal(Mutex<Option<Refused>>);

impl LastRefusal {
    /// Takes the refusal, if there is one.
    pub fn take(&self) -> Option<Refused> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn record(&self, refused: Refused) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }
}

/// Settings for accepting connections. `alpn` is the only protocol offered.
pub fn server_config(
    trust: Arc<ArcSwap<Trust>>,
    identity: &Identity,
    alpn: &[u8],
    log: Arc<LastRefusal>,
) -> ServerConfig {
    let verifier = Arc::new(Verifier {
        trust,
        dialled: None,
        log,
    });

    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3 suites")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![alpn.to_vec()];

    // A resumed session would skip the certificate checks, so resumption is disabled.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    config
}

/// Settings for dialling: accepts only the gateway `dialled`.
pub fn client_config(
    trust: Arc<ArcSwap<Trust>>,
    identity: &Identity,
    dialled: GatewayId,
    alpn: &[u8],
    log: Arc<LastRefusal>,
) -> ClientConfig {
    let verifier = Arc::new(Verifier {
        trust,
        dialled: Some(dialled),
        log,
    });

    // rustls's verifier would require a DNS name, which our certificates do not have, and use one
    // set of roots for all organizations.
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3 suites")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified())));
    config.alpn_protocols = vec![alpn.to_vec()];

    // As in `server_config`: a resumed session would skip the certificate checks.
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;

    // SNI is sent in clear: an observer could read the name.
    config.enable_sni = false;
    config
}

/// aws-lc-rs, with the post-quantum hybrid key exchange first and one classical group.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // The hybrid protects recorded traffic from a later quantum computer. X25519 alone is for peers
    // whose library lacks the hybrid.
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
    ];
    Arc::new(provider)
}

/// [`Trust::verify`] behind rustls's traits, for both roles.
#[derive(Debug)]
struct Verifier {
    trust: Arc<ArcSwap<Trust>>,
    dialled: Option<GatewayId>,
    log: Arc<LastRefusal>,
}

impl Verifier {
    fn verify(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        role: Role,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let chain: Vec<_> = std::iter::once(leaf)
            .chain(intermediates)
            .cloned()
            .collect();

        // Loaded for each handshake, because a reload replaces the trust while these settings stay.
        let trust = self.trust.load();
        let Err(refusal) = trust.verify(&chain, role, self.dialled.as_ref(), now) else {
            return Ok(());
        };

        // rustls sends the alert; details that it does not contain stay in the log.
        let error = refusal.certificate_error();
        self.log.record(Refused {
            claimed: claimed(leaf),
            refusal,
        });
        Err(error.into())
    }

    fn verify_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, leaf, signed, &signature_algorithms())
    }
}

/// TLS 1.2 is disabled, so rustls never asks for its signatures.
fn no_tls12() -> rustls::Error {
    rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into()
}

fn claimed(leaf: &CertificateDer<'_>) -> Option<String> {
    // The name is unverified, and only for the log.
    let leaf = Certificate::read(leaf).ok()?;
    leaf.uris.first().map(|uri| shortened(uri))
}

impl ClientCertVerifier for Verifier {
    /// Empty, so that a scanner learns no member's name.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.verify(leaf, intermediates, Role::Client, now)
            .map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // rustls would check the name that it sends as SNI; ours is a placeholder. `dialled` has
        // the expected identity, and the records have the revocations.
        self.verify(leaf, intermediates, Role::Server, now)
            .map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _leaf: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verify_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        signature_algorithms().supported_schemes()
    }
}
