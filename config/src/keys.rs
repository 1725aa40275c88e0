//! The keys of `gateway.toml` and of member records, each with an example of its correct form.
//!
//! One module holds the keys of one kind of table and its `Schema`: all keys that it may have.
//! The public keys are those that the daemon names: a reload cannot change their values.

use std::fmt;

/// A key of one kind of table. Displayed with its table: `tun.name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    table: &'static str,
    pub(crate) name: &'static str,
    /// An example of the correct form, which ends every fault in the value.
    pub(crate) form: &'static str,
}

/// One kind of table. Keys that are not listed are refused.
#[derive(Debug)]
pub(crate) struct Schema {
    /// The table's header as it stands in the file; empty for the document itself.
    pub(crate) header: &'static str,
    pub(crate) keys: &'static [Key],
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.table.is_empty() {
            write!(f, "{}.", self.table)?;
        }

        f.write_str(self.name)
    }
}

/// True if some table of `gateway.toml` or `node.toml` may have a key with this name.
pub fn is_known(name: &str) -> bool {
    let tables = [
        &gateway::SCHEMA,
        &node::SCHEMA,
        &node_dns::SCHEMA,
        &node_gateway::SCHEMA,
        &node_block::SCHEMA,
        &node_wireguard::SCHEMA,
        &wireguard::SCHEMA,
        &nodes::SCHEMA,
        &http::SCHEMA,
        &plan::SCHEMA,
        &ha::SCHEMA,
        &announce::SCHEMA,
        &crl::SCHEMA,
        &identity::SCHEMA,
        &tun::SCHEMA,
        &routes::SCHEMA,
        &dns::SCHEMA,
        &query_log::SCHEMA,
        &rate_limit::SCHEMA,
        &host::SCHEMA,
        &record::SCHEMA,
        &ptr::SCHEMA,
        &forward::SCHEMA,
        &policy::SCHEMA,
        &allow::SCHEMA,
        &allow_egress::SCHEMA,
        &service::SCHEMA,
        &policy_test::SCHEMA,
        &tunnel::SCHEMA,
    ];

    let mut keys = tables.iter().flat_map(|table| table.keys);
    keys.any(|key| key.name == name)
}

/// Declares the schema of a table and a constant for each of its keys.
macro_rules! table {
    ($table:literal, $header:literal;
     $($(#[$doc:meta])* $visibility:vis $constant:ident = $name:literal, $form:expr;)*) => {
        pub(crate) const SCHEMA: $crate::keys::Schema = $crate::keys::Schema {
            header: $header,
            keys: &[$($constant),*],
        };

        $($(#[$doc])* $visibility const $constant: $crate::keys::Key = $crate::keys::Key {
            table: $table,
            name: $name,
            form: $form,
        };)*
    };
}

/// `gateway.toml`, the document itself.
pub mod gateway {
    table! {
        "", "";
        pub(crate) VERSION = "version", "version = 1";
        /// The organization.
        pub ORG = "org", r#"org = "acme""#;
        /// This gateway's name.
        pub GATEWAY = "gateway", r#"gateway = "gw""#;
        /// The site that it serves.
        pub SITE = "site", r#"site = "west""#;
        /// The tunnel port.
        pub LISTEN = "listen", r#"listen = "0.0.0.0:4600", or "[::]:4600" for both families"#;
        pub(crate) MEMBERS = "members", r#"members = "members""#;
        /// The state directory.
        pub STATE_DIR = "state-dir", r#"state-dir = "state""#;
        /// The admin socket.
        pub SOCKET = "socket", r#"socket = "ringway.sock""#;
        /// The group that may use the admin socket.
        pub SOCKET_GROUP = "socket-group", r#"socket-group = "ringway""#;
        pub(crate) RESERVED = "reserved", r#"reserved = ["172.17.0.0/16"]"#;
        /// The certificate and the key.
        pub IDENTITY = "identity", "[identity] with record, certificate and key";
        pub(crate) TUN = "tun", "[tun] with name and lanes";
        /// The numbers that mark routes and packets.
        pub ROUTES = "routes", "[routes] with table, protocol and mark";
        pub(crate) DNS = "dns", "[dns] with listen and ttl, then a [[dns.host]] for each host";
        pub(crate) POLICY = "policy", "[policy], then a [[policy.allow]] for each rule";
        pub(crate) TUNNEL = "tunnel", "[tunnel] with reset-after, fail-fast and held-syns";
        pub(crate) CRL = "crl", "[crl] with stale and none-from";
        pub(crate) ANNOUNCE = "announce", "[[announce]] with site and watch";
        /// What this site's hosts follow when another of its gateways takes over.
        pub HA = "ha", "[ha] with addresses and interface, or on-active and on-standby";
        /// Where metrics and health are served.
        pub HTTP = "http", "[http] with listen";
        pub(crate) PLAN = "plan", "[plan] with pools";
        pub(crate) NODE = "node", "[[node]] with name and prefixes";
        pub(crate) NODES = "nodes", "[nodes] with isolation";
        /// Where standard WireGuard clients are served.
        pub WIREGUARD = "wireguard", "[wireguard] with listen";
    }
}

/// `node.toml`, the document itself. The keys that it shares with `gateway.toml` have the same
/// names.
pub(crate) mod node {
    table! {
        "", "";
        pub(crate) VERSION = "version", "version = 1";
        pub(crate) ORG = "org", r#"org = "acme""#;
        pub(crate) NODE = "node", r#"node = "db1""#;
        pub(crate) SITE = "site", r#"site = "west", the site whose gateways it is attached to"#;
        pub(crate) LISTEN = "listen", r#"listen = "0.0.0.0:4600", the port that it dials from"#;
        pub(crate) STATE_DIR = "state-dir", r#"state-dir = "state""#;
        pub(crate) SOCKET = "socket", r#"socket = "ringway.sock""#;
        pub(crate) SOCKET_GROUP = "socket-group", r#"socket-group = "ringway""#;
        pub(crate) RESERVED = "reserved", r#"reserved = ["172.17.0.0/16"]"#;
        pub(crate) IDENTITY = "identity", "[identity] with record, certificate and key";
        pub(crate) ADDRESSES = "addresses", r#"addresses = ["10.77.5.9"]"#;
        pub(crate) PREFIXES = "prefixes", r#"prefixes = ["10.77.6.0/24"]"#;
        pub(crate) ACCEPT = "accept", r#"accept = ["10.0.0.0/8", "fc00::/7"]"#;
        pub(crate) GATEWAY = "gateway", "[[gateway]] with name and endpoints";
        pub(crate) DNS = "dns", "[dns] with resolver";
        pub(crate) TUN = "tun", "[tun] with name and lanes";
        pub(crate) ROUTES = "routes", "[routes] with table, protocol and mark";
        pub(crate) TUNNEL = "tunnel", "[tunnel] with reset-after, fail-fast and held-syns";
        pub(crate) CRL = "crl", "[crl] with stale and none-from";
        pub(crate) HTTP = "http", "[http] with listen";
    }
}

/// `[dns]` of `node.toml`.
pub(crate) mod node_dns {
    table! {
        "dns", "[dns]";
        pub(crate) RESOLVER = "resolver",
            r#"resolver = "none", "systemd-resolved", or a file such as "/etc/resolv.conf""#;
    }
}

/// `[[gateway]]` of `node.toml`.
pub(crate) mod node_gateway {
    table! {
        "gateway", "[[gateway]]";
        pub(crate) NAME = "name", r#"name = "gw""#;
        pub(crate) ENDPOINTS = "endpoints", r#"endpoints = ["203.0.113.5:4600"]"#;
    }
}

/// `[[node]]` of `gateway.toml`.
pub(crate) mod node_block {
    table! {
        "node", "[[node]]";
        pub(crate) NAME = "name", r#"name = "db1""#;
        pub(crate) PREFIXES = "prefixes", r#"prefixes = ["10.77.5.9/32"]"#;
        pub(crate) WIREGUARD = "wireguard", "[node.wireguard] with public-key";
    }
}

/// `[node.wireguard]`.
pub(crate) mod node_wireguard {
    table! {
        "node.wireguard", "[node.wireguard]";
        pub(crate) PUBLIC_KEY = "public-key",
            r#"public-key = "<what wg pubkey prints of the client's private key>""#;
    }
}

/// `[wireguard]`.
pub mod wireguard {
    table! {
        "wireguard", "[wireguard]";
        /// The UDP address and port of its own.
        pub LISTEN = "listen", r#"listen = "0.0.0.0:51820", or "[::]:51820" for both families"#;
        /// The device of its own.
        pub NAME = "name", r#"name = "ringway-wg0""#;
    }
}

pub(crate) mod nodes {
    table! {
        "nodes", "[nodes]";
        pub(crate) ISOLATION = "isolation", "isolation = false, for nodes that reach each other";
    }
}

/// `[http]`.
pub mod http {
    table! {
        "http", "[http]";
        /// An address and a port, or the path of a socket.
        pub LISTEN = "listen",
            r#"listen = "10.1.0.1:9460", or the path of a socket such as "/run/ringway/http""#;
    }
}

pub(crate) mod plan {
    table! {
        "plan", "[plan]";
        pub(crate) POOLS = "pools", r#"pools = ["10.64.0.0/10"]"#;
    }
}

pub(crate) mod ha {
    table! {
        "ha", "[ha]";
        pub(crate) ADDRESSES = "addresses", r#"addresses = ["10.1.0.250/24", "fd00:1::250/64"]"#;
        pub(crate) INTERFACE = "interface", r#"interface = "eth0""#;
        pub(crate) PREFERENCE = "preference", "preference = 100, from 1 to 254";
        pub(crate) ON_ACTIVE = "on-active",
            r#"on-active = ["/usr/local/sbin/take-over", "eth0"], a program and its arguments"#;
        pub(crate) ON_STANDBY = "on-standby",
            r#"on-standby = ["/usr/local/sbin/step-back"], a program and its arguments"#;
    }
}

pub(crate) mod announce {
    table! {
        "announce", "[[announce]]";
        pub(crate) SITE = "site",
            r#"site = "idc", a site that is served here, or site = "beta/plant", another member's"#;
        pub(crate) WATCH = "watch", r#"watch = "kernel""#;
    }
}

pub(crate) mod crl {
    table! {
        "crl", "[crl]";
        pub(crate) STALE = "stale", r#"stale = "refuse", or "accept""#;
        pub(crate) NONE_FROM = "none-from", r#"none-from = ["beta"]"#;
    }
}

pub(crate) mod identity {
    table! {
        "identity", "[identity]";
        pub(crate) RECORD = "record", r#"record = "acme.member.toml""#;
        pub(crate) CERTIFICATE = "certificate", r#"certificate = "gateway.crt""#;
        pub(crate) KEY = "key", r#"key = "gateway.key""#;
    }
}

/// `[tun]`.
pub mod tun {
    table! {
        "tun", "[tun]";
        /// The device's name.
        pub NAME = "name", r#"name = "ringway0""#;
        /// Pairs of threads for packets.
        pub LANES = "lanes", "lanes = 1";
    }
}

pub(crate) mod routes {
    table! {
        "routes", "[routes]";
        pub(crate) TABLE = "table", "table = 4600";
        pub(crate) PROTOCOL = "protocol", "protocol = 146";
        pub(crate) MARK = "mark", "mark = 0x00001057";
    }
}

/// `[dns]`.
pub mod dns {
    table! {
        "dns", "[dns]";
        /// Addresses of the DNS server.
        pub LISTEN = "listen", r#"listen = ["10.1.0.1"], or "10.1.0.1:5353""#;
        pub(crate) TTL = "ttl", "ttl = 5";
        pub(crate) ZONE_FILES = "zone-files", r#"zone-files = ["acme.zone"]"#;
        pub(crate) FOREIGN_ADDRESSES = "foreign-addresses", "foreign-addresses = false";
        pub(crate) PUBLIC_LISTEN = "public-listen", "public-listen = false";
        pub(crate) HOLD = "hold", "hold = 604800";
        pub(crate) APEX = "apex", r#"apex = "closed", or "forward""#;
        pub(crate) QUERY_LOG = "query-log", "query-log = { sample = 100 }";
        pub(crate) RATE_LIMIT = "rate-limit", "rate-limit = { site = 10000, members = 200 }";
        pub(crate) HOST = "host", "[[dns.host]] with name and addresses";
        pub(crate) RECORD = "record", "[[dns.record]] with name, type and data";
        pub(crate) PTR = "ptr", "[[dns.ptr]] with address and names";
        pub(crate) FORWARD = "forward", "[[dns.forward]] with servers";
        /// Names of Kubernetes Services.
        pub KUBERNETES = "kubernetes", r#"[dns.kubernetes], and in it namespaces = ["fabric"]"#;
    }
}

pub(crate) mod kubernetes {
    table! {
        "dns.kubernetes", "[dns.kubernetes]";
        pub(crate) NAMESPACES = "namespaces", r#"namespaces = ["fabric"]"#;
        pub(crate) SELECTOR = "selector", r#"selector = "app=peer""#;
        pub(crate) NODES = "nodes", "nodes = false";
        pub(crate) SERVER = "server", r#"server = "https://10.0.0.1:6443""#;
        pub(crate) CREDENTIALS = "credentials",
            r#"credentials = "/var/run/secrets/kubernetes.io/serviceaccount""#;
    }
}

pub(crate) mod query_log {
    table! {
        "dns.query-log", "[dns.query-log]";
        pub(crate) SAMPLE = "sample", "sample = 100, for one question in 100";
    }
}

pub(crate) mod rate_limit {
    table! {
        "dns.rate-limit", "[dns.rate-limit]";
        pub(crate) SITE = "site", "site = 10000, responses a second to a network of this site";
        pub(crate) MEMBERS = "members", "members = 200, responses a second to a member's network";
    }
}

pub(crate) mod host {
    table! {
        "dns.host", "[[dns.host]]";
        pub(crate) NAME = "name", r#"name = "peer0", or "@" for the zone itself"#;
        pub(crate) ADDRESSES = "addresses", r#"addresses = ["10.1.0.11", "fd00:1::11"]"#;
        pub(crate) SERVICES = "services", r#"services = ["peer:7051/tcp"]"#;
        pub(crate) CHECK = "check", r#"check = "tcp:7051""#;
        pub(crate) TTL = "ttl", "ttl = 5";
    }
}

pub(crate) mod record {
    table! {
        "dns.record", "[[dns.record]]";
        pub(crate) NAME = "name", r#"name = "peer0", or "@" for the zone itself"#;
        pub(crate) TYPE = "type", r#"type = "A", "AAAA", "CNAME", or another type such as "TXT""#;
        pub(crate) DATA = "data", r#"data = "10.1.0.11", a list, or a name for CNAME"#;
        pub(crate) TTL = "ttl", "ttl = 5";
    }
}

pub(crate) mod ptr {
    table! {
        "dns.ptr", "[[dns.ptr]]";
        pub(crate) ADDRESS = "address", r#"address = "10.1.0.11""#;
        pub(crate) NAMES = "names", r#"names = ["peer0"]"#;
        pub(crate) TTL = "ttl", "ttl = 5";
    }
}

pub(crate) mod forward {
    table! {
        "dns.forward", "[[dns.forward]]";
        pub(crate) SUFFIX = "suffix",
            r#"suffix = "corp.example", or no suffix for every other name"#;
        pub(crate) SERVERS = "servers", r#"servers = ["10.0.0.2"], or "10.0.0.2:5353""#;
        pub(crate) PRIVATE_ANSWERS = "private-answers", "private-answers = true";
    }
}

/// `[policy]`.
pub mod policy {
    table! {
        "policy", "[policy]";
        pub(crate) DENIED = "denied", r#"denied = "drop" or "reject""#;
        pub(crate) EGRESS = "egress", r#"egress = "all", "named" or "none""#;
        pub(crate) FLOWS = "flows", "flows = 262144";
        pub(crate) GRACE = "grace", "grace = 120, in seconds";
        pub(crate) GRACE_PORTS = "grace-ports", "grace-ports = 32768, the first of them";
        /// The rules for what arrives.
        pub ALLOW = "allow", "[[policy.allow]] with from, to and service, or proto and ports";
        pub(crate) ALLOW_EGRESS = "allow-egress",
            "[[policy.allow-egress]] with from, to and service, or proto and ports";
        pub(crate) SERVICE = "service", "[[policy.service]] with name, proto and ports";
        pub(crate) TEST = "test",
            "[[policy.test]] with from, to, service, or proto and ports, and expect";
    }
}

const PROTO_FORM: &str = r#"proto = "tcp", "udp", "icmp" or a number such as 132"#;
const PORTS_FORM: &str = r#"ports = 7050, "7050-7054", or a list of them"#;
const SERVICE_FORM: &str = r#"service = "fabric-peer", or a list of services"#;

/// `[[policy.allow]]`.
pub mod allow {
    use super::{PORTS_FORM, PROTO_FORM, SERVICE_FORM};

    table! {
        "policy.allow", "[[policy.allow]]";
        /// Who sends.
        pub FROM = "from", r#"from = "all", "beta", "beta/east", "10.2.0.0/16", or a list of them"#;
        /// Where to.
        pub TO = "to", r#"to = "peer0", "10.1.0.11", "10.1.0.0/24", or a list of them"#;
        /// The protocol.
        pub PROTO = "proto", PROTO_FORM;
        /// Its ports.
        pub PORTS = "ports", PORTS_FORM;
        /// Protocol and ports by a name.
        pub SERVICE = "service", SERVICE_FORM;
    }
}

pub(crate) mod allow_egress {
    use super::{PORTS_FORM, PROTO_FORM, SERVICE_FORM};

    table! {
        "policy.allow-egress", "[[policy.allow-egress]]";
        pub(crate) FROM = "from",
            r#"from = "peer0", "10.1.0.11", "10.1.0.0/24", or a list of them"#;
        pub(crate) TO = "to",
            r#"to = "all", "beta", "beta/east", "10.2.0.0/16", or a list of them"#;
        pub(crate) PROTO = "proto", PROTO_FORM;
        pub(crate) PORTS = "ports", PORTS_FORM;
        pub(crate) SERVICE = "service", SERVICE_FORM;
    }
}

pub(crate) mod service {
    use super::{PORTS_FORM, PROTO_FORM};

    table! {
        "policy.service", "[[policy.service]]";
        pub(crate) NAME = "name", r#"name = "explorer""#;
        pub(crate) PROTO = "proto", PROTO_FORM;
        pub(crate) PORTS = "ports", PORTS_FORM;
    }
}

pub(crate) mod policy_test {
    use super::{PORTS_FORM, PROTO_FORM, SERVICE_FORM};

    table! {
        "policy.test", "[[policy.test]]";
        pub(crate) FROM = "from", r#"from = "beta", "beta/east", "10.2.0.5" or "peer0""#;
        pub(crate) TO = "to", r#"to = "peer0", "10.1.0.11", "beta" or "10.2.0.5""#;
        pub(crate) PROTO = "proto", PROTO_FORM;
        pub(crate) PORTS = "ports", PORTS_FORM;
        pub(crate) SERVICE = "service", SERVICE_FORM;
        pub(crate) EXPECT = "expect", r#"expect = "allow" or "deny""#;
    }
}

pub(crate) mod tunnel {
    table! {
        "tunnel", "[tunnel]";
        pub(crate) RESET_AFTER = "reset-after", "reset-after = 5, in seconds";
        pub(crate) FAIL_FAST = "fail-fast", "fail-fast = 20, in seconds";
        pub(crate) HELD_SYNS = "held-syns", "held-syns = 8192";
    }
}

/// A member record, the document itself.
pub(crate) mod member {
    table! {
        "", "";
        pub(crate) VERSION = "version", "version = 2";
        pub(crate) SERIAL = "serial", "serial = 1, and one more with each change";
        pub(crate) ORG = "org", r#"org = "acme""#;
        pub(crate) DOMAIN = "domain", r#"domain = "consortium.example""#;
        pub(crate) CA = "ca", r#"ca = ["""<the CA certificate in PEM>"""]"#;
        pub(crate) SITE = "site", "[[site]] with name and prefixes";
        pub(crate) GATEWAY = "gateway", "[[gateway]] with name, site and endpoints";
        pub(crate) TRANSIT = "transit", "[[transit]] with for";
        pub(crate) REVOKED = "revoked", "[revoked] with gateways and keys";
        pub(crate) END = "end", "[end] as the last line";
    }

    /// A record of version 1 has neither a serial nor an end.
    pub(crate) const SCHEMA_1: super::Schema = super::Schema {
        header: "",
        keys: &[VERSION, ORG, DOMAIN, CA, SITE, GATEWAY, REVOKED],
    };
}

/// The last line of a member record: a table without keys.
pub(crate) mod end {
    pub(crate) const SCHEMA: super::Schema = super::Schema {
        header: "[end]",
        keys: &[],
    };
}

pub(crate) mod member_site {
    table! {
        "site", "[[site]]";
        pub(crate) NAME = "name", r#"name = "west""#;
        pub(crate) PREFIXES = "prefixes", r#"prefixes = ["10.1.0.0/16", "fd00:1::/48"]"#;
        pub(crate) VIA = "via",
            r#"via = "east", a site that has gateways, or via = "beta/east", another member's"#;
    }
}

pub(crate) mod transit {
    table! {
        "transit", "[[transit]]";
        pub(crate) FOR = "for", r#"for = "acme/idc", the organization and its site"#;
    }
}

pub(crate) mod member_gateway {
    table! {
        "gateway", "[[gateway]]";
        pub(crate) NAME = "name", r#"name = "gw""#;
        pub(crate) SITE = "site", r#"site = "west""#;
        pub(crate) ENDPOINTS = "endpoints", r#"endpoints = ["203.0.113.5:4600"]"#;
    }
}

pub(crate) mod revoked {
    table! {
        "revoked", "[revoked]";
        pub(crate) GATEWAYS = "gateways", r#"gateways = ["gw2"]"#;
        pub(crate) KEYS = "keys", r#"keys = ["sha256:<64 hexadecimal digits>"]"#;
    }
}
