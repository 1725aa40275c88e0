//! `[http]`: where metrics and health are served.

use std::net::SocketAddr;
use std::path::Path;

use super::gateway::read_path;
use super::item::Item;
use super::remedy;
use super::table::Table;
use crate::bogon::is_private;
use crate::keys::{gateway, http as keys};
use crate::{HttpListen, limits};

/// The port of the example.
const USUAL_PORT: u16 = 9460;

/// Reads `[http]`. A value with faults is reported; `None` then is never used.
pub(crate) fn read(table: &Table<'_>, dir: &Path) -> Option<HttpListen> {
    let table = table.table(&gateway::HTTP, &keys::SCHEMA)?;
    let item = table.required(&keys::LISTEN)?;

    // No address and port has a slash; a path without one can be written as "./name".
    if item.text()?.contains('/') {
        read_socket(&item, dir)
    } else {
        read_address(&item)
    }
}

fn read_socket(item: &Item<'_>, dir: &Path) -> Option<HttpListen> {
    let path = read_path(item, dir)?;
    let most = limits::SOCKET_PATH;
    if path.as_os_str().len() > most {
        return item.refuse(format!("a socket's path has at most {most} bytes"));
    }
    Some(HttpListen::Socket(path))
}

/// What is served names hosts and members: it is for this site, not for the Internet.
fn read_address(item: &Item<'_>) -> Option<HttpListen> {
    let text = item.text()?;
    let socket = text.parse::<SocketAddr>();
    let Some(socket) = socket.ok().filter(|socket| socket.port() != 0) else {
        return item.refuse(remedy::no_socket(
            text,
            "is neither an address and a port nor the path of a socket",
            USUAL_PORT,
        ));
    };

    let address = socket.ip();
    if address.is_unspecified() {
        return item.refuse(format!("{address} is every address at once"));
    }
    if !is_private(address) {
        return item.refuse(format!("{address} is not private"));
    }
    Some(HttpListen::Address(socket))
}
