//! [`HttpListen`]: `[http] listen` of `gateway.toml`, where metrics and health are served.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where the gateway answers HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpListen {
    /// A private address of this host, and a port.
    Address(SocketAddr),
    /// A Unix socket, absolute or relative to the working directory.
    Socket(PathBuf),
}

impl fmt::Display for HttpListen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpListen::Address(address) => write!(f, "{address}"),
            HttpListen::Socket(path) => write!(f, "{}", path.display()),
        }
    }
}
