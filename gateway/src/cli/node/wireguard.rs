//! The output of `ringway node add --wireguard` and `ringway node rekey`: a standard WireGuard
//! client's file for wg-quick(8), and the same file as a QR code.
//!
//! stdout has only the file, so that it can be redirected; notes for the operator go to stderr. A
//! private key that is generated here is in that file and nowhere else.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use qrcode::render::unicode;
use qrcode::{EcLevel, QrCode};
use ringway_config::{
    Config, Endpoint, Escaped, Gateway, Host, NodeName, Prefix, WireGuard, WireGuardKey, without,
};
use ringway_wireguard::{MTU, PrivateKey};

use crate::cli::{Failure, answer, how_to_apply};
use crate::wireguard::{load_or_make_key, new_key};

/// The port of DNS: wg-quick cannot configure another one.
const DNS_PORT: u16 = 53;

/// Seconds between keep-alives: less than the session lifetime at the gateway, and than the timeout
/// of most NATs.
const KEEPALIVE: u16 = 25;

/// A WireGuard client whose file is to be printed.
pub(super) struct NewClient {
    /// `None` if only the client has it.
    private: Option<PrivateKey>,
    public: WireGuardKey,
    gateway: WireGuardKey,
    endpoint: Endpoint,
}

impl NewClient {
    /// A client with the key `public`, or with a generated key pair.
    pub(super) fn new(
        config: &Config,
        public: Option<WireGuardKey>,
        endpoint: Option<&Endpoint>,
    ) -> Result<NewClient, Failure> {
        let Some(wireguard) = &config.wireguard else {
            return Err(Failure::Usage(format!(
                "{} has no [wireguard], so that no WireGuard clients are served; add\n\n  \
                 [wireguard]\n  listen = \"0.0.0.0:{}\"\n\nand restart the gateway",
                config.path.display(),
                ringway_config::defaults::WIREGUARD_PORT
            )));
        };
        let endpoint = endpoint_of(config, wireguard, endpoint)?;
        let ours = load_or_make_key(config)?;
        if public.is_some_and(|public| !ours.agrees_with(&public)) {
            return Err(Failure::Usage(
                "nobody has a private key to this public key; take what `wg pubkey` prints"
                    .to_owned(),
            ));
        }

        let private = match public {
            Some(_) => None,
            None => Some(new_key()?),
        };
        let made = private.as_ref().map(PrivateKey::public);
        Ok(NewClient {
            public: public.or(made).expect("without a given key, one was made"),
            private,
            gateway: ours.public(),
            endpoint,
        })
    }

    /// The value of `public-key` in `[node.wireguard]`.
    pub(super) fn public(&self) -> &WireGuardKey {
        &self.public
    }

    /// Prints the client's file. `config` must contain the node.
    pub(super) fn print(&self, config: &Config, name: &NodeName) -> Result<ExitCode, Failure> {
        let file = self.file(config, name);
        let mut about = self.about(config, name);
        match code(&file) {
            Some(code) => _ = write!(about, "\n{code}\n"),
            None => about.push_str("\nThe file is too long for a QR code.\n"),
        }

        // If stderr is closed, the file on stdout is still complete.
        _ = io::stderr().write_all(about.as_bytes());
        answer(file)
    }

    /// The file in the format of wg-quick(8).
    fn file(&self, config: &Config, name: &NodeName) -> String {
        let nodes = config.nodes.list.iter();
        let own = nodes.filter(|node| node.name == *name);
        let own: Vec<Prefix> = own
            .flat_map(|node| &node.prefixes)
            .map(|placed| placed.prefix)
            .collect();
        let key = match &self.private {
            Some(private) => private.text(),
            None => "(the client's own)".to_owned(),
        };

        let mut file = format!(
            "# {name} of {org}, at gateway {gateway}\n[Interface]\nPrivateKey = {key}\n\
             Address = {addresses}\nMTU = {MTU}\n",
            org = config.own.org,
            gateway = config.id.name,
            addresses = list(&addresses(&own)),
        );
        let resolvers = resolvers(config);
        if !resolvers.is_empty() {
            _ = writeln!(
                file,
                "# The gateway is asked for every name. With systemd-resolved, for the \
                 consortium's alone:\n# PostUp = resolvectl dns %i {one}; resolvectl domain %i \
                 ~{domain}\nDNS = {all}, {domain}",
                one = resolvers[0],
                all = list(&resolvers),
                domain = config.own.domain,
            );
        }
        _ = write!(
            file,
            "\n[Peer]\nPublicKey = {}\nEndpoint = {}\nAllowedIPs = {}\n\
             PersistentKeepalive = {KEEPALIVE}\n",
            self.gateway,
            self.endpoint,
            list(&reached(config, &own, &self.endpoint)),
        );
        file
    }

    fn about(&self, config: &Config, name: &NodeName) -> String {
        let public = self.public;
        let mut text = format!(
            "Node {name} of {}, at site {}: a WireGuard client with the public key {public}\n",
            config.own.org, config.site
        );
        text.push_str(match &self.private {
            Some(_) => {
                "Its private key is in the file below, shown this once and stored nowhere.\n"
            }
            None => "Put its private key, which stays with the client, into the file below.\n",
        });
        text.push_str(&how_to_apply(&config.path));

        let others = siblings(config);
        if !others.is_empty() {
            let prefixes: String = config
                .nodes
                .list
                .iter()
                .filter(|node| node.name == *name)
                .flat_map(|node| &node.prefixes)
                .map(|placed| format!(" --prefix {}", placed.prefix))
                .collect();
            _ = write!(
                text,
                "\nThis file is for gateway {me}. Site {site} has {count} gateways, each with a \
                 key of its own: a client needs a file for each, and brings up one at a time.\n\
                 At {others}, for the other file:\n  \
                 ringway node add {name}{prefixes} --wireguard {public}\n\
                 and put the PrivateKey of this file into it.\n",
                me = config.id.name,
                site = config.site,
                count = others.len() + 1,
                others = list(&others),
            );
        }
        text
    }
}

/// The endpoint that the client dials: `given`, else the first endpoint of our record.
fn endpoint_of(
    config: &Config,
    wireguard: &WireGuard,
    given: Option<&Endpoint>,
) -> Result<Endpoint, Failure> {
    if let Some(given) = given {
        return Ok(given.clone());
    }

    let known = config.own.gateway(&config.id.name);
    let known = known.and_then(|gateway| gateway.endpoints.first());
    let Some(known) = known else {
        return Err(Failure::Usage(format!(
            "our record has no endpoint of gateway {}: say where clients find it, with --endpoint \
             HOST:PORT",
            config.id.name
        )));
    };
    Ok(Endpoint {
        host: known.host.clone(),
        port: wireguard.listen.port(),
    })
}

/// The other gateways of our site.
fn siblings(config: &Config) -> Vec<String> {
    let gateways = config.own.gateways.iter();
    let others = gateways.filter(|Gateway { name, site, .. }| {
        *site == config.site
            && *name != config.id.name
            && !config.own.revoked.gateways.contains(name)
    });

    others.map(|gateway| gateway.name.to_string()).collect()
}

/// The client's own addresses. A network behind the client has addresses already.
fn addresses(own: &[Prefix]) -> Vec<Prefix> {
    let hosts: Vec<Prefix> = own.iter().filter(|own| own.is_host()).copied().collect();

    if hosts.is_empty() {
        own.iter().map(|own| Prefix::host(own.address())).collect()
    } else {
        hosts
    }
}

fn resolvers(config: &Config) -> Vec<IpAddr> {
    let usual = config.dns.listen.iter();
    let usual = usual.filter(|listen| listen.port() == DNS_PORT);

    usual
        .map(SocketAddr::ip)
        .filter(|address| !address.is_loopback() && !address.is_unspecified())
        .collect()
}

/// The prefixes of every site, without the networks behind the client and without the gateway's
/// endpoint: the tunnel's outer packets must not be routed into the tunnel.
fn reached(config: &Config, own: &[Prefix], endpoint: &Endpoint) -> Vec<Prefix> {
    let sites = config.records().flat_map(|record| &record.sites);
    let all: Vec<Prefix> = sites
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix)
        .collect();
    let networks = own.iter().filter(|own| !own.is_host()).copied();
    let outer = match &endpoint.host {
        Host::Address(address) => Some(Prefix::host(*address)),
        Host::Name(_) => None,
    };
    let holes: Vec<Prefix> = networks.chain(outer).collect();

    let mut reached = without(all, &holes);
    reached.sort();
    reached.dedup();
    reached
}

fn list<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(T::to_string).collect();

    items.join(", ")
}

/// The file as a QR code, if it fits.
fn code(file: &str) -> Option<String> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<&str> = lines.collect();
    let text = lines.join("\n");
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;

    // Light on dark, as in most terminals.
    let mut drawn = code.render::<unicode::Dense1x2>();
    drawn
        .dark_color(unicode::Dense1x2::Light)
        .light_color(unicode::Dense1x2::Dark);
    Some(drawn.build())
}

/// The failure for a node that is not a WireGuard client.
pub(super) fn no_client(name: &NodeName, path: &Path) -> Failure {
    Failure::Usage(format!(
        "node {name} in {} is no WireGuard client; its key is renewed with ringway attach init \
         and ringway revoke key",
        Escaped(&path.display().to_string())
    ))
}
