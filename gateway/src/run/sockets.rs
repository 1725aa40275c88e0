//! The tunnel's UDP sockets: one for each lane, all on one port.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use ringway_config::Config;
use ringway_dataplane::{TunnelSocket, share_port};
use socket2::{Domain, Protocol, Socket, Type};

pub(super) fn bind(config: &Config) -> anyhow::Result<Vec<Arc<TunnelSocket>>> {
    let sockets: Vec<_> = (0..config.lanes.get())
        .map(|_| bind_one(config))
        .collect::<anyhow::Result<_>>()?;

    share_port(&sockets).context("cannot share the tunnel's port between lanes")?;
    Ok(sockets)
}

fn bind_one(config: &Config) -> anyhow::Result<Arc<TunnelSocket>> {
    let socket = open(config.listen, config.lanes.get() > 1)?;

    let socket = TunnelSocket::new(socket.into(), config.routes.mark)
        .context("cannot set up the tunnel's UDP socket: ringway needs CAP_NET_ADMIN")?;
    Ok(Arc::new(socket))
}

/// Opens a UDP socket bound to `listen`. With `shares`, other sockets of ours may bind the port
/// too.
pub(crate) fn open(listen: SocketAddr, shares: bool) -> anyhow::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(listen),
        Type::DGRAM.cloexec(),
        Some(Protocol::UDP),
    )?;

    // `[::]` accepts IPv4 too, whatever net.ipv6.bindv6only is.
    if let SocketAddr::V6(v6) = listen {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }

    // Lanes share the port (SO_REUSEPORT). A single lane does not, so that `bind` fails if another
    // program has the port.
    socket.set_reuse_port(shares)?;
    allow_missing_address(&socket, listen)?;
    socket.bind(&listen.into()).with_context(|| {
        format!("cannot listen on {listen}: does another program, or another listen, use the port?")
    })?;
    Ok(socket)
}

/// ip(7), IP_FREEBIND: the address may appear later, by DHCP or as a virtual address. Packets flow
/// as soon as the host has it.
pub(crate) fn allow_missing_address(socket: &Socket, listen: SocketAddr) -> std::io::Result<()> {
    if listen.is_ipv4() {
        socket.set_freebind_v4(true)
    } else {
        socket.set_freebind_v6(true)
    }
}
