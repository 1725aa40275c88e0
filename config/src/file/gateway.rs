//! What `gateway.toml` says, the records around it included: the way to a [`Config`].

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::consortium::Consortium;
use super::report::Report;
use super::source::Source;
use super::table::{Item, Key, Placed, Schema, Table};
use super::{dns, policy};
use crate::{
    Config, GatewayId, GatewayName, Identity, OrgId, PlacedPrefix, Prefix, Routes, SiteId, limits,
};

const GATEWAY: Schema = Schema {
    name: "",
    keys: &[
        Key("version", "version = 1"),
        Key("org", "org = \"acme\""),
        Key("gateway", "gateway = \"gw\""),
        Key("site", "site = \"west\""),
        Key(
            "listen",
            "listen = \"0.0.0.0:4600\", or \"[::]:4600\" for both families",
        ),
        Key("members", "members = \"members\""),
        Key("state-dir", "state-dir = \"state\""),
        Key("socket", "socket = \"ringway.sock\""),
        Key("reserved", "reserved = [\"172.17.0.0/16\"]"),
        Key("identity", "[identity] with record, certificate and key"),
        Key("tun", "[tun] with name and lanes"),
        Key("routes", "[routes] with table, protocol and mark"),
        Key(
            "dns",
            "[dns] with listen and ttl, then a [[dns.host]] for each host",
        ),
        Key("policy", "[policy], then a [[policy.allow]] for each rule"),
    ],
};

const IDENTITY: Schema = Schema {
    name: "[identity]",
    keys: &[
        Key("record", "record = \"acme.member.toml\""),
        Key("certificate", "certificate = \"gateway.crt\""),
        Key("key", "key = \"gateway.key\""),
    ],
};

const TUN: Schema = Schema {
    name: "[tun]",
    keys: &[
        Key("name", "name = \"ringway0\""),
        Key("lanes", "lanes = 1"),
    ],
};

const ROUTES: Schema = Schema {
    name: "[routes]",
    keys: &[
        Key("table", "table = 4600"),
        Key("protocol", "protocol = 146"),
        Key("mark", "mark = 0x52574159"),
    ],
};

/// Reads `gateway.toml` and what it names. `None` only if faults were reported.
pub(crate) fn read(text: &str, path: &Path, report: &Report) -> Option<Config> {
    let source = Source::new(text, path, report);
    let document = source.parse()?;
    let table = Table::document(&source, &document, &GATEWAY)?;
    let dir = path.parent().unwrap_or(Path::new(""));

    let here = Here::read(&table);
    let listen = table.required("listen").and_then(|item| read_listen(&item));
    let files = table
        .required("identity")
        .and_then(|item| item.table(&IDENTITY));
    let (record, identity) = files
        .map(|table| read_identity(&table, dir))
        .unwrap_or_default();
    let members_dir = path_or(&table, "members", "members", dir);
    let state_dir = path_or(&table, "state-dir", "state", dir);
    let socket = read_socket(&table, dir);
    let tun = table.table("tun", &TUN);
    let (tun, lanes) = (read_device(tun.as_ref()), read_lanes(tun.as_ref()));
    let routes = read_routes(&table);
    let reserved = read_reserved(&table);

    let consortium = Consortium::read(record.as_deref(), members_dir.as_deref(), report);
    consortium.check(&here, report);
    let dns = dns::read(&table, dir, &here, &consortium);
    let policy = policy::read(&table, &here, &consortium);

    let (own, members) = consortium.into_members();
    Some(Config {
        path: path.to_owned(),
        id: GatewayId {
            org: here.org?.value,
            name: here.gateway?.value,
        },
        site: here.site?.value,
        listen: listen?,
        identity: identity?,
        own: own?,
        members: members?,
        members_dir: members_dir?,
        state_dir: state_dir?,
        socket: socket?,
        tun: tun?,
        lanes: lanes?,
        routes,
        reserved,
        dns: dns?,
        policy,
    })
}

/// The admin socket alone, whatever else is wrong in a file of this version. `None` only if faults were reported.
pub(crate) fn read_socket_path(text: &str, path: &Path, report: &Report) -> Option<PathBuf> {
    let source = Source::new(text, path, report);
    let document = source.parse()?;
    let unheard = Report::default();
    let quiet = Source::new(text, path, &unheard);
    let dir = path.parent().unwrap_or(Path::new(""));
    let table = Table::document(&quiet, &document, &GATEWAY);
    let socket = table.and_then(|table| read_socket(&table, dir));
    if socket.is_none() {
        unheard.move_to(report);
    }
    socket
}

/// Who this gateway is, where the file says so.
#[derive(Debug)]
pub(crate) struct Here {
    pub(crate) org: Option<Placed<OrgId>>,
    pub(crate) gateway: Option<Placed<GatewayName>>,
    pub(crate) site: Option<Placed<SiteId>>,
}

impl Here {
    fn read(table: &Table<'_>) -> Here {
        Here {
            org: table.required("org").and_then(|item| item.placed()),
            gateway: table.required("gateway").and_then(|item| item.placed()),
            site: table.required("site").and_then(|item| item.placed()),
        }
    }
}

fn read_listen(item: &Item<'_>) -> Option<SocketAddr> {
    match item.text()?.parse::<SocketAddr>() {
        Ok(listen) if listen.port() != 0 => Some(listen),
        _ => item.refuse(format!(
            "{:?} is not an address of this host and a port",
            item.text()?
        )),
    }
}

/// The own record's path, and the certificate's and the key's.
fn read_identity(table: &Table<'_>, dir: &Path) -> (Option<PathBuf>, Option<Identity>) {
    let path = |key| table.required(key).and_then(|item| read_path(&item, dir));
    let (record, certificate, key) = (path("record"), path("certificate"), path("key"));
    (
        record,
        certificate
            .zip(key)
            .map(|(certificate, key)| Identity { certificate, key }),
    )
}

pub(super) fn read_path(item: &Item<'_>, dir: &Path) -> Option<PathBuf> {
    match item.text()? {
        "" => item.refuse("an empty path"),
        path if path.contains('\0') => item.refuse("a path cannot contain a zero character"),
        path => Some(dir.join(path)),
    }
}

fn path_or(table: &Table<'_>, key: &str, default: &str, dir: &Path) -> Option<PathBuf> {
    table
        .optional(key)
        .map_or_else(|| Some(dir.join(default)), |item| read_path(&item, dir))
}

fn read_socket(table: &Table<'_>, dir: &Path) -> Option<PathBuf> {
    let path = path_or(table, "socket", "ringway.sock", dir)?;
    let most = limits::SOCKET_PATH;
    if path.as_os_str().len() <= most {
        return Some(path);
    }
    let message = format!("a socket's path has at most {most} bytes; set socket to a shorter one");
    match table.optional("socket") {
        Some(item) => item.fault(message),
        None => table.fault(message),
    }
    None
}

/// What the kernel takes for a device's name (`dev_valid_name`), and no `%`, which it would number.
fn read_device(tun: Option<&Table<'_>>) -> Option<String> {
    let Some(item) = tun.and_then(|tun| tun.optional("name")) else {
        return Some("ringway0".to_owned());
    };
    let name = item.text()?;
    let is_bad = |c: char| c == '/' || c == ':' || c == '%' || c.is_whitespace() || c.is_control();
    if name.is_empty() || name.len() > 15 || name == "." || name == ".." || name.contains(is_bad) {
        return item.refuse(format!(
            "{name:?} is not 1 to 15 bytes without blanks, '/', ':' and '%'"
        ));
    }
    Some(name.to_owned())
}

fn read_lanes(tun: Option<&Table<'_>>) -> Option<NonZeroU32> {
    let Some(item) = tun.and_then(|tun| tun.optional("lanes")) else {
        return Some(NonZeroU32::MIN);
    };
    NonZeroU32::new(item.integer(1..=limits::LANES)?)
}

/// A value out of range is reported; the default that stands in for it is never used.
fn read_routes(table: &Table<'_>) -> Routes {
    let routes = table.table("routes", &ROUTES);
    let item = |key| routes.as_ref().and_then(|routes| routes.optional(key));
    Routes {
        table: item("table")
            .and_then(|item| read_route_table(&item))
            .unwrap_or(4600),
        protocol: item("protocol")
            .and_then(|item| read_route_protocol(&item))
            .unwrap_or(146),
        mark: item("mark")
            .and_then(|item| item.integer(1..=u32::MAX))
            .unwrap_or(0x5257_4159),
    }
}

/// rtnetlink(7): 0 is no table, 253 to 255 are the host's own.
fn read_route_table(item: &Item<'_>) -> Option<u32> {
    match item.integer(1..=u32::MAX)? {
        table @ 253..=255 => item.refuse(format!(
            "table {table} is the host's own (default, main, local)"
        )),
        table => Some(table),
    }
}

/// rtnetlink(7): 0 to 4 are the kernel's and the administrator's; their routes are not ours to remove.
fn read_route_protocol(item: &Item<'_>) -> Option<u8> {
    u8::try_from(item.integer(5..=255)?).ok()
}

fn read_reserved(table: &Table<'_>) -> Vec<PlacedPrefix> {
    let items = table.list("reserved", limits::RESERVED);
    let placed = items
        .iter()
        .filter_map(|item| match item.parse::<Prefix>()? {
            all if all.len() == 0 => item.refuse(format!("{all} leaves no range for any site")),
            prefix => Some(PlacedPrefix {
                prefix,
                place: item.place(),
            }),
        });
    placed.collect()
}
