//! [`Step`]: what the creation of a laboratory is about to do.

use std::fmt;

/// One step of a creation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Remove what an earlier laboratory has left.
    Remains,
    /// Create the network namespaces, and connect them.
    Network,
    /// Create the organizations and their files.
    Consortium,
    /// Start the gateways. From here on, the laboratory needs the machine's time.
    Gateways,
    /// Wait until tunnels are up and names resolve.
    Joining,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Remains => "removing the remains of an earlier laboratory",
            Step::Network => "namespaces, links, addresses",
            Step::Consortium => "three organizations: CAs, certificates, member records exchanged",
            Step::Gateways => "gateways",
            Step::Joining => "tunnels and names",
        })
    }
}
