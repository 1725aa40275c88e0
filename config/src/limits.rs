//! Limits on the content of one file and of one organization.
//!
//! Generous for a consortium, and small enough that another organization's record cannot exhaust a
//! gateway. Announcements on the wire have the same limits.

/// Bytes of one file: 1 MiB.
pub const FILE_BYTES: usize = 1 << 20;
/// Member records beside our own.
pub const MEMBERS: usize = 1000;
/// CA certificates of one organization.
pub const ROOTS: usize = 16;
/// Sites of one organization.
pub const SITES: usize = 256;
/// Prefixes of one site.
pub const PREFIXES: usize = 1024;
/// Gateways of one site.
pub const GATEWAYS_OF_A_SITE: usize = 64;
/// Gateways of one organization.
pub const GATEWAYS: usize = 1024;
/// Endpoints of one gateway.
pub const ENDPOINTS: usize = 16;
/// Sites of other organizations that one serves.
pub const TRANSIT: usize = 256;
/// `[[announce]]` blocks.
pub const ANNOUNCE: usize = 256;
/// Attached nodes of one gateway.
pub const NODES: usize = 8192;
/// Prefixes of one attached node.
pub const NODE_PREFIXES: usize = 64;
/// Revoked gateways, and revoked keys, of one organization.
pub const REVOKED: usize = 4096;
/// Prefixes of all organizations together.
pub const ALL_PREFIXES: usize = 100_000;
/// Reserved ranges.
pub const RESERVED: usize = 1024;
/// Ranges of the consortium in which `plan` looks for free ones.
pub const POOLS: usize = 64;
/// Lanes of a gateway, and of one `Hello`.
pub const LANES: u32 = 16;
/// Virtual addresses of a site's gateways.
pub const HA_ADDRESSES: usize = 16;
/// Words of a command, its program among them, and bytes of each.
pub const COMMAND_WORDS: usize = 64;
/// See [`COMMAND_WORDS`].
pub const COMMAND_WORD: usize = 4096;
/// Addresses of the DNS server.
pub const DNS_LISTEN: usize = 16;
/// `[[dns.record]]` blocks, `[[dns.host]]` blocks, and elements of a list in one.
pub const DNS_RECORDS: usize = 10_000;
/// Addresses that are checked (`check` in `[[dns.host]]`).
pub const CHECKED_ADDRESSES: usize = 1024;
/// Zone files that `gateway.toml` names. Files that they include are not counted.
pub const DNS_ZONE_FILES: usize = 64;
/// `[[dns.forward]]` blocks.
pub const DNS_FORWARDS: usize = 64;
/// Namespaces in `[dns.kubernetes]`.
pub const KUBERNETES_NAMESPACES: usize = 16;
/// Names that Kubernetes Services may have.
pub const KUBERNETES_NAMES: usize = 2048;
/// Resolvers in one `[[dns.forward]]` block.
pub const DNS_RESOLVERS: usize = 8;
/// `[[policy.allow]]` blocks, and as many `[[policy.allow-egress]]` blocks.
pub const RULES: usize = 1024;
/// `[[policy.service]]` blocks.
pub const SERVICES: usize = 256;
/// `[[policy.test]]` blocks.
pub const POLICY_TESTS: usize = 1024;
/// Origins, destinations, protocols, services, or ports, of one rule.
pub const RULE_ITEMS: usize = 256;
/// Prefixes of the destinations of one rule, those of the attached nodes that it names included.
pub const RULE_PREFIXES: usize = 1024;
/// Flows that are remembered: at least, and at most.
pub const FLOWS: std::ops::RangeInclusive<u32> = 1024..=16_777_216;
/// Connection requests that are held while a peer cannot be reached.
pub const HELD_SYNS: u32 = 65_536;
/// Bytes of a Unix socket's path (`sun_path`, unix(7)), without its final zero.
pub const SOCKET_PATH: usize = 107;
/// Bytes of the name of a group (useradd(8) allows 32).
pub const GROUP_NAME: usize = 32;
