//! Converts `gateway.toml`, with the records that it names, to a [`Config`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::consortium::Consortium;
use super::home::Home;
use super::item::Item;
use super::local_gateway::LocalGateway;
use super::remedy;
use super::report::Report;
use super::source::Source;
use super::table::{Table, Versions};
use super::{announce, crl, dns, ha, http, node, nodes, policy, ports, tunnel, wireguard};
use crate::keys::{self, Key};
use crate::{
    Config, GatewayId, Identity, OrgId, Place, PlacedPrefix, Prefix, Routes, TunName, defaults,
    limits,
};

/// The versions of the format.
pub(super) const VERSIONS: &Versions = &[(1, &keys::gateway::SCHEMA)];

/// Reads `gateway.toml` and what it names. `None` only if faults were reported.
pub(crate) fn read(text: &str, path: &Path, report: &Report) -> Option<Config> {
    let source = Source::new(text, path, report);
    let document = source.parse()?;
    if node::is_node(&document) {
        return node::read(&source, &document, path);
    }
    let (table, _) = Table::document(&source, &document, VERSIONS, &keys::gateway::VERSION)?;

    read_table(&table, path, report)
}

fn read_table(table: &Table<'_>, path: &Path, report: &Report) -> Option<Config> {
    let dir = path.parent().unwrap_or(Path::new(""));

    // Every part is read before the first `?`, so that the faults of all parts are reported.
    let local = LocalGateway::read(table);
    let listen = read_listen(table);
    let files = identity_files(table);
    let record = files.as_ref().and_then(|files| read_record(files, dir));
    let identity = files.as_ref().and_then(|files| read_identity(files, dir));
    let members_dir = path_or(table, &keys::gateway::MEMBERS, defaults::MEMBERS, dir);
    let home = Home::of(path, &local);
    let state_dir = read_state_dir(table, dir, &home);
    let is_state_beside =
        home.is_state_beside && table.optional(&keys::gateway::STATE_DIR).is_none();
    let socket = read_socket(table, dir, &home);
    let socket_group = read_socket_group(table);
    let device = table.table(&keys::gateway::TUN, &keys::tun::SCHEMA);
    let places = places(table, device.as_ref());
    let tun = read_tun_name(device.as_ref());
    let lanes = read_lanes(device.as_ref());
    let routes = read_routes(table);
    let reserved = read_reserved(table);
    let pools = read_pools(table);

    let consortium = Consortium::read(record.as_deref(), members_dir.as_deref(), report);
    consortium.check(&local, report);
    let announce = announce::read(table, &local, &consortium);
    let dns = dns::read(table, dir, &local, &consortium);
    let nodes = nodes::read(table, &local, &consortium, report);
    let policy = policy::read(table, &local, &consortium, &nodes);
    let tunnel = tunnel::read(table);
    let crl = crl::read(table);
    let ha = ha::read(table, &local, &consortium);
    let http = http::read(table, dir);
    let wireguard = wireguard::read(table, listen, tun.as_ref(), &nodes.nodes);
    ports::check(
        table,
        dns.as_ref(),
        listen,
        http.as_ref(),
        wireguard.as_ref(),
    );

    let records = consortium.into_members();
    Some(Config {
        path: path.to_owned(),
        id: GatewayId {
            org: local.org?.value,
            name: local.name?.value,
        },
        site: local.site?.value,
        listen: listen?,
        identity: identity?,
        own: records.own?,
        members: records.others?,
        members_dir: members_dir?,
        state_dir: state_dir?,
        socket: socket?,
        socket_group,
        is_state_beside,
        pools,
        tun: tun?,
        lanes: lanes?,
        routes,
        reserved,
        announce,
        dns: dns?,
        policy,
        tunnel,
        crl,
        ha,
        http,
        nodes: nodes.nodes,
        wireguard,
        attach: None,
        places,
        notes: report.notes(),
        withheld: BTreeMap::new(),
    })
}

/// The admin socket alone, whatever else is wrong in a file of this version. `None` only if faults
/// were reported.
pub(crate) fn read_socket_path(text: &str, path: &Path, report: &Report) -> Option<PathBuf> {
    // Faults of other keys, such as an unknown one, are dropped if the socket is found.
    let faults = Report::default();
    let is_whole = Source::new(text, path, &faults).parse().is_some();
    let sound = if is_whole {
        text.to_owned()
    } else {
        sound_keys(text)
    };

    let source = Source::new(&sound, path, &faults);
    let document = source.parse()?;
    let socket = if node::is_node(&document) {
        node::read_socket_path(&source, &document, path)
    } else {
        let dir = path.parent().unwrap_or(Path::new(""));
        let version = &keys::gateway::VERSION;
        let table = Table::document(&source, &document, VERSIONS, version);
        table.and_then(|(table, _)| {
            let home = Home::of(path, &LocalGateway::read(&table));
            read_socket(&table, dir, &home)
        })
    };
    if socket.is_none() {
        faults.move_to(report);
    }

    socket
}

/// The lines of a file that is no TOML, before its first table, that are right by themselves.
fn sound_keys(text: &str) -> String {
    let keys = text
        .lines()
        .take_while(|line| !line.trim_start().starts_with('['));
    let sound = keys.filter(|line| line.parse::<toml::Table>().is_ok());

    sound.flat_map(|line| [line, "\n"]).collect()
}

/// Where a gateway's other files lie; `None` for what its file lacks or has wrong.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) own: Option<OrgId>,
    pub(super) record: Option<PathBuf>,
    pub(super) members_dir: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
}

impl Places {
    /// `table` is the file at `path`.
    pub(super) fn read(table: &Table<'_>, path: &Path) -> Places {
        let dir = path.parent().unwrap_or(Path::new(""));
        let files = table.table(&keys::gateway::IDENTITY, &keys::identity::SCHEMA);

        let local = LocalGateway::read(table);
        let home = Home::of(path, &local);

        Places {
            own: local.org.map(|org| org.value),
            record: files.and_then(|files| read_record(&files, dir)),
            members_dir: path_or(table, &keys::gateway::MEMBERS, defaults::MEMBERS, dir),
            state_dir: read_state_dir(table, dir, &home),
        }
    }
}

pub(super) fn read_listen(table: &Table<'_>) -> Option<SocketAddr> {
    let item = table.required(&keys::gateway::LISTEN)?;
    let text = item.text()?;
    match text.parse::<SocketAddr>() {
        Ok(listen) if listen.port() != 0 => Some(listen),
        _ => item.refuse(remedy::no_socket(
            text,
            "is not an address of this host and a port",
            defaults::PORT,
        )),
    }
}

/// Table `[identity]`: the files that this gateway's organization gave it.
fn identity_files<'a>(table: &Table<'a>) -> Option<Table<'a>> {
    table
        .required(&keys::gateway::IDENTITY)?
        .table(&keys::identity::SCHEMA)
}

/// The path of this organization's record.
pub(super) fn read_record(files: &Table<'_>, dir: &Path) -> Option<PathBuf> {
    let item = files.required(&keys::identity::RECORD)?;
    read_path(&item, dir)
}

pub(super) fn read_identity(files: &Table<'_>, dir: &Path) -> Option<Identity> {
    let certificate = files
        .required(&keys::identity::CERTIFICATE)
        .and_then(|item| read_path(&item, dir));
    let key = files
        .required(&keys::identity::KEY)
        .and_then(|item| read_path(&item, dir));

    Some(Identity {
        certificate: certificate?,
        key: key?,
    })
}

/// A path, relative to `dir`.
pub(super) fn read_path(item: &Item<'_>, dir: &Path) -> Option<PathBuf> {
    match item.text()? {
        "" => item.refuse("an empty path"),
        // The standard library refuses such a path too, but only when the file is opened.
        path if path.contains('\0') => item.refuse("a path cannot contain a zero character"),
        // `join` leaves an absolute path as it is.
        path => Some(dir.join(path)),
    }
}

fn path_or(table: &Table<'_>, key: &Key, default: &str, dir: &Path) -> Option<PathBuf> {
    match table.optional(key) {
        Some(item) => read_path(&item, dir),
        None => Some(dir.join(default)),
    }
}

pub(super) fn read_state_dir(table: &Table<'_>, dir: &Path, home: &Home) -> Option<PathBuf> {
    match table.optional(&keys::gateway::STATE_DIR) {
        Some(item) => read_path(&item, dir),
        None => Some(home.state_dir.clone()),
    }
}

pub(super) fn read_socket(table: &Table<'_>, dir: &Path, home: &Home) -> Option<PathBuf> {
    let path = match table.optional(&keys::gateway::SOCKET) {
        Some(item) => read_path(&item, dir)?,
        None => home.socket.clone(),
    };
    let most = limits::SOCKET_PATH;
    if path.as_os_str().len() <= most {
        return Some(path);
    }

    // Without the key, the directory of the file itself is too deep for the default.
    let message = format!("a socket's path has at most {most} bytes; set socket to a shorter one");
    match table.optional(&keys::gateway::SOCKET) {
        Some(item) => item.fault(message),
        None => table.fault(message),
    }
    None
}

/// A group's name. Whether there is such a group is known when the socket is bound.
pub(super) fn read_socket_group(table: &Table<'_>) -> Option<String> {
    let item = table.optional(&keys::gateway::SOCKET_GROUP)?;
    match item.text()? {
        "" => item.refuse("an empty name"),
        // getgrnam(3) would take it for another name.
        name if name.len() > limits::GROUP_NAME || name.contains('\0') => {
            item.refuse("not the name of a group")
        }
        name => Some(name.to_owned()),
    }
}

/// Where the file says what cannot change while a daemon runs, and `[ha]`.
fn places(table: &Table<'_>, device: Option<&Table<'_>>) -> BTreeMap<String, Place> {
    let mut places = BTreeMap::new();
    let dns = table.table(&keys::gateway::DNS, &keys::dns::SCHEMA);
    let http = table.table(&keys::gateway::HTTP, &keys::http::SCHEMA);
    let wireguard = table.table(&keys::gateway::WIREGUARD, &keys::wireguard::SCHEMA);

    for (table, key) in [
        (Some(table), keys::gateway::ORG),
        (Some(table), keys::gateway::GATEWAY),
        (Some(table), keys::gateway::SITE),
        (Some(table), keys::gateway::LISTEN),
        (Some(table), keys::gateway::STATE_DIR),
        (Some(table), keys::gateway::SOCKET),
        (Some(table), keys::gateway::SOCKET_GROUP),
        (Some(table), keys::gateway::IDENTITY),
        (Some(table), keys::gateway::ROUTES),
        (Some(table), keys::gateway::HA),
        (http.as_ref(), keys::http::LISTEN),
        (Some(table), keys::gateway::WIREGUARD),
        (wireguard.as_ref(), keys::wireguard::LISTEN),
        (wireguard.as_ref(), keys::wireguard::NAME),
        (device, keys::tun::NAME),
        (device, keys::tun::LANES),
        (dns.as_ref(), keys::dns::LISTEN),
        (dns.as_ref(), keys::dns::KUBERNETES),
    ] {
        // A default has no place: faults name the file as a whole then.
        if let Some(item) = table.and_then(|table| table.optional(&key)) {
            places.insert(key.to_string(), item.place());
        }
    }
    places
}

pub(super) fn read_tun_name(device: Option<&Table<'_>>) -> Option<TunName> {
    match device.and_then(|device| device.optional(&keys::tun::NAME)) {
        Some(item) => item.parse(),
        None => Some(defaults::tun()),
    }
}

pub(super) fn read_lanes(device: Option<&Table<'_>>) -> Option<NonZeroU32> {
    match device.and_then(|device| device.optional(&keys::tun::LANES)) {
        Some(item) => NonZeroU32::new(item.integer(1..=limits::LANES)?),
        None => Some(defaults::LANES),
    }
}

/// A value out of range is reported; the default that replaces it here is never used.
pub(super) fn read_routes(table: &Table<'_>) -> Routes {
    let mut routes = Routes::default();
    let Some(table) = table.table(&keys::gateway::ROUTES, &keys::routes::SCHEMA) else {
        return routes;
    };

    if let Some(item) = table.optional(&keys::routes::TABLE) {
        routes.table = read_route_table(&item).unwrap_or(routes.table);
    }
    if let Some(item) = table.optional(&keys::routes::PROTOCOL) {
        routes.protocol = read_route_protocol(&item).unwrap_or(routes.protocol);
    }
    // 0 is the mark of every packet that has none.
    if let Some(item) = table.optional(&keys::routes::MARK) {
        routes.mark = item.integer(1..=u32::MAX).unwrap_or(routes.mark);
    }

    routes
}

fn read_route_table(item: &Item<'_>) -> Option<u32> {
    // rtnetlink(7): 0 is RT_TABLE_UNSPEC, 253 to 255 exist on every host.
    match item.integer(1..=u32::MAX)? {
        table @ 253..=255 => item.refuse(format!(
            "table {table} belongs to the host (default, main, local)"
        )),
        table => Some(table),
    }
}

fn read_route_protocol(item: &Item<'_>) -> Option<u8> {
    // rtnetlink(7): 0 to 4 mark routes of the kernel and of the administrator. The daemon removes
    // every route of its protocol when it starts, and must not remove those.
    u8::try_from(item.integer(5..=255)?).ok()
}

/// The ranges in which `plan` looks for free ones.
fn read_pools(table: &Table<'_>) -> Vec<Prefix> {
    let Some(table) = table.table(&keys::gateway::PLAN, &keys::plan::SCHEMA) else {
        return Vec::new();
    };

    let items = table.list(&keys::plan::POOLS, limits::POOLS);
    items.iter().filter_map(Item::parse).collect()
}

pub(super) fn read_reserved(table: &Table<'_>) -> Vec<PlacedPrefix> {
    table
        .list(&keys::gateway::RESERVED, limits::RESERVED)
        .iter()
        .filter_map(read_reserved_prefix)
        .collect()
}

fn read_reserved_prefix(item: &Item<'_>) -> Option<PlacedPrefix> {
    let prefix: Prefix = item.parse()?;
    if prefix.len() == 0 {
        return item.refuse(format!("{prefix} leaves no range for any site"));
    }

    Some(PlacedPrefix {
        prefix,
        place: item.place(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_found_in_a_file_that_is_no_toml() {
        let socket = |text: &str| {
            let report = Report::default();
            read_socket_path(text, Path::new("dir/gateway.toml"), &report)
        };
        let sound = "version = 1\norg = \"acme\"\nsocket = \"/run/acme.sock\"\n";
        let found = Some(PathBuf::from("/run/acme.sock"));
        assert_eq!(socket(sound), found);

        for broken in [
            format!("{sound}x = [\n"),
            format!("x = \"\n{sound}"),
            format!("{sound}[dns\nlisten = 1\n"),
            format!("{sound}[dns]\nlisten =\n"),
        ] {
            assert_eq!(socket(&broken), found, "{broken}");
        }
        // That of a table is another one.
        let beside = Some(PathBuf::from("dir/ringway.sock"));
        assert_eq!(socket("version = 1\nx = [\n[y]\nsocket = \"z\"\n"), beside);
    }
}
