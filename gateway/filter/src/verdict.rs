//! [`Verdict`] and [`Reason`]: what becomes of a packet, and why.

use std::fmt;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Pass,
    /// It vanishes.
    Drop(Reason),
    /// It vanishes, and the policy wants its sender to get an answer (`denied = "reject"`): a TCP
    /// reset, or ICMP "administratively prohibited". The caller writes the answer and limits its
    /// rate. Never given for a packet that must not be answered: RST, ICMP error, later fragment.
    Reject(Reason),
    /// Arriving: another gateway of the site was given it, which may know the flow. That one judges
    /// it.
    HandedOver,
    /// A later fragment whose first has not come yet: hold it for a moment (see
    /// [`Waiting`](crate::Waiting)) and ask again, or drop it.
    WaitForFirstFragment,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the variants.
            pub const ALL: &[Reason] = &[$(Reason::$variant),+];

            /// The name in metrics and `status`: lowercase with underscores.
            pub fn name(self) -> &'static str {
                match self {
                    $(Reason::$variant => $name,)+
                }
            }
        }
    };
}

reasons! {
    /// No IP packet as long as it says, or its transport header is not whole.
    Malformed = "malformed",
    /// An IPv6 extension header that no tunnel carries, such as a routing header.
    Extension = "extension",
    /// Arriving: the sending gateway serves no site that the rules know.
    Stranger = "stranger",
    /// A tunnel within a tunnel.
    TunnelPort = "tunnel_port",
    /// Arriving: it opens something that no rule allows.
    Denied = "denied",
    /// Arriving: an answer, or the middle of a connection, that belongs to no flow of ours.
    NoFlow = "no_flow",
    /// Arriving: of no known flow, and beyond the rate of grace.
    GraceRate = "grace_rate",
    /// An ICMP error that is not about a flow between its receiver and the sending site.
    IcmpError = "icmp_error",
    /// An ICMP message that no tunnel carries: redirects, router and neighbour discovery, others.
    IcmpKind = "icmp_kind",
    /// Arriving: a protocol that no rule allows by its number, or that none can allow.
    Protocol = "protocol",
    /// A first fragment without the whole transport header.
    FirstFragment = "first_fragment",
    /// A later fragment that would overwrite the transport header.
    Overlap = "overlap",
    /// A later fragment of a packet whose first fragment was dropped, or never came.
    Fragment = "fragment",
    /// Leaving: the answer to a connection that no rule allows.
    SynAck = "syn_ack",
    /// Leaving: the policy does not let this host open anything there.
    Egress = "egress",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
