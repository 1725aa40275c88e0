//! Both ends of a handshake over QUIC on loopback: a gateway with the real settings, and a peer
//! that presents whatever it was given and accepts anybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint};
use ringway_config::Config;
use ringway_identity::tls::{self, LastRefusal, SERVER_NAME};
use ringway_identity::{Identity, Refused, Trust};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::world::Presented;

/// A gateway: the settings under test.
pub(crate) struct Gateway {
    pub(crate) trust: Arc<ArcSwap<Trust>>,
    pub(crate) identity: Identity,
    pub(crate) endpoint: Endpoint,
}

/// How a handshake ended at the gateway.
pub(crate) struct Ended {
    pub(crate) connection: Result<Connection, ConnectionError>,
    pub(crate) refused: Option<Refused>,
}

impl Gateway {
    pub(crate) fn start(config: &Config) -> Gateway {
        let trust = Trust::build(config).unwrap();
        let identity =
            Identity::load(&config.identity, &config.id, &trust, UnixTime::now()).unwrap();
        let trust = Arc::new(ArcSwap::from_pointee(trust));
        let settings = tls::server_config(
            trust.clone(),
            &identity,
            tls::ALPN,
            Arc::<LastRefusal>::default(),
        );
        Gateway {
            trust,
            identity,
            endpoint: endpoint(settings),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Accepts one connection with settings of its own, as the daemon does to know whom a refusal
    /// concerns.
    pub(crate) async fn accept(&self) -> Ended {
        let log = Arc::<LastRefusal>::default();
        let settings =
            tls::server_config(self.trust.clone(), &self.identity, tls::ALPN, log.clone());
        let incoming = self.endpoint.accept().await.unwrap();
        let connection = incoming
            .accept_with(Arc::new(quic(settings)))
            .unwrap()
            .await;
        Ended {
            connection,
            refused: log.take(),
        }
    }

    pub(crate) async fn dial(&self, address: SocketAddr, dialled: &str) -> Ended {
        let log = Arc::<LastRefusal>::default();
        let dialled = dialled.parse().unwrap();
        let trust = self.trust.clone();
        let settings = tls::client_config(trust, &self.identity, dialled, tls::ALPN, log.clone());
        let connection = connect(&self.endpoint, settings, address).await;
        Ended {
            connection,
            refused: log.take(),
        }
    }
}

/// A peer without any scruples.
pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    client: rustls::ClientConfig,
}

impl Peer {
    pub(crate) fn start(presented: Presented, alpn: &[u8]) -> Peer {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let key = provider
            .key_provider
            .load_private_key(presented.key)
            .unwrap();
        let certified = Arc::new(CertifiedKey::new(presented.chain, key));
        let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(Arc::new(Anybody(provider.clone())))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified.clone())));
        server.alpn_protocols = vec![alpn.to_vec()];
        let mut client = lax_client(&provider)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        client.alpn_protocols = vec![alpn.to_vec()];
        Peer {
            endpoint: endpoint(server),
            client,
        }
    }

    /// A peer that has no certificate at all.
    pub(crate) fn nobody(presented: Presented) -> Peer {
        let mut peer = Peer::start(presented, tls::ALPN);
        peer.client = lax_client(&Arc::new(aws_lc_rs::default_provider())).with_no_client_auth();
        peer.client.alpn_protocols = vec![tls::ALPN.to_vec()];
        peer
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    /// Dials; how the connection ended, from this side.
    pub(crate) async fn dial(&self, address: SocketAddr) -> ConnectionError {
        ending(connect(&self.endpoint, self.client.clone(), address).await).await
    }

    /// Accepts; how the connection ended, from this side.
    pub(crate) async fn accept(&self) -> ConnectionError {
        let incoming = self.endpoint.accept().await.unwrap();
        ending(incoming.await).await
    }
}

/// A client of TLS 1.3 has a connection before the server has seen its certificate.
async fn ending(connection: Result<Connection, ConnectionError>) -> ConnectionError {
    match connection {
        Ok(connection) => connection.closed().await,
        Err(error) => error,
    }
}

type WantsCertificate =
    rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert>;

fn lax_client(provider: &Arc<CryptoProvider>) -> WantsCertificate {
    rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider.clone())))
}

fn endpoint(settings: rustls::ServerConfig) -> Endpoint {
    Endpoint::server(quic(settings), (Ipv4Addr::LOCALHOST, 0).into()).unwrap()
}

fn quic(settings: rustls::ServerConfig) -> quinn::ServerConfig {
    quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(settings).unwrap()))
}

async fn connect(
    endpoint: &Endpoint,
    settings: rustls::ClientConfig,
    address: SocketAddr,
) -> Result<Connection, ConnectionError> {
    let settings =
        quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(settings).unwrap()));
    endpoint
        .connect_with(settings, address, SERVER_NAME)
        .unwrap()
        .await
}

/// Accepts every certificate, and even what is none.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls12_signature(self, message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        ServerCertVerifier::verify_tls13_signature(self, message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(self)
    }
}
