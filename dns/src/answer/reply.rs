//! [`Reply`]: a response before it is written as a message.

use super::rcode;
use crate::name::Name;
use crate::rdata::kind;
use crate::rrset::RRset;

/// INFO-CODEs of the extended error option (RFC 8914, section 4).
pub(crate) mod ede {
    /// Other Error: a resolver failed.
    pub(crate) const OTHER: u16 = 0;
    /// Not Ready: no copy of the zone has been received yet.
    pub(in crate::answer) const NOT_READY: u16 = 14;
    /// Blocked: a resolver answered with addresses inside this site.
    pub(crate) const BLOCKED: u16 = 15;
    /// Prohibited: zone transfers by AXFR and IXFR.
    pub(in crate::answer) const PROHIBITED: u16 = 18;
    /// Not Authoritative: no zone served here holds the name.
    pub(in crate::answer) const NOT_AUTHORITATIVE: u16 = 20;
    /// Not Supported: the class or type of the question.
    pub(in crate::answer) const NOT_SUPPORTED: u16 = 21;
    /// No Reachable Authority: no resolver has answered in time.
    pub(crate) const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// Network Error: no resolver can be reached.
    pub(crate) const NETWORK_ERROR: u16 = 23;
    /// Invalid Data: the copy of the zone is too old.
    pub(in crate::answer) const INVALID_DATA: u16 = 24;
}

/// Response code, flag and sections. Borrows its records from the zones.
#[derive(Debug, Default)]
pub(super) struct Reply<'z> {
    pub(super) rcode: u16,
    /// The reason for an error; see [`ede`].
    pub(super) ede: Option<u16>,
    /// Authoritative answer (RFC 1034, section 6.2.1): about the first owner in the answer section.
    pub(super) aa: bool,
    /// The name that no zone of the consortium holds: the QNAME, or the end of a chain of aliases.
    /// The configured resolvers may be queried for it.
    pub(super) forward: Option<Name>,
    pub(super) answer: Vec<Rr<'z>>,
    pub(super) authority: Vec<Rr<'z>>,
    pub(super) additional: Vec<Rr<'z>>,
}

/// An RRset with the owner name and TTL of the response. The owner differs from the zone's if a
/// wildcard was expanded.
#[derive(Debug)]
pub(super) struct Rr<'z> {
    pub(super) owner: Name,
    pub(super) ttl: u32,
    pub(super) data: Data<'z>,
    /// Glue without which a referral is useless: if it does not fit, the response is truncated
    /// (RFC 9471).
    pub(super) needed: bool,
}

#[derive(Debug)]
pub(super) enum Data<'z> {
    /// An RRset of a zone, or of a resolver's response.
    Set(&'z RRset),
    /// The target of a CNAME synthesized from a DNAME (RFC 6672, section 3.1).
    Cname(Box<Name>),
}

impl<'z> Rr<'z> {
    /// `set` with its TTL, at `owner`.
    pub(super) fn at(owner: Name, set: &'z RRset) -> Rr<'z> {
        Rr {
            owner,
            ttl: set.ttl(),
            data: Data::Set(set),
            needed: false,
        }
    }

    pub(super) fn kind(&self) -> u16 {
        match self.data {
            Data::Set(set) => set.kind(),
            Data::Cname(_) => kind::CNAME,
        }
    }
}

impl Reply<'_> {
    /// A response without records.
    pub(super) fn error(rcode: u16) -> Self {
        debug_assert_ne!(rcode, rcode::NOERROR);
        Reply {
            rcode,
            ..Reply::default()
        }
    }

    /// A response without records, with the reason as an [`ede`] code.
    pub(super) fn explained(rcode: u16, ede: u16) -> Self {
        Reply {
            ede: Some(ede),
            ..Reply::error(rcode)
        }
    }
}
