//! [`Probe`]: how a host's addresses are checked.

use std::str::FromStr;

/// `tcp:port`: something accepts TCP connections at the port.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Probe {
    pub(super) port: u16,
}

/// Why a text is not a probe.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no check: tcp and a port")]
pub(super) struct ProbeError(String);

impl FromStr for Probe {
    type Err = ProbeError;

    fn from_str(text: &str) -> Result<Probe, ProbeError> {
        let port = text.strip_prefix("tcp:").and_then(|port| port.parse().ok());
        // Port 0 is reserved: no service can be reached at it.
        let port = port.filter(|port| *port != 0);

        port.map(|port| Probe { port })
            .ok_or_else(|| ProbeError(text.into()))
    }
}
