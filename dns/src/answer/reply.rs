//! [`Reply`]: an answer before it has become bytes.

use super::rcode;
use crate::name::Name;
use crate::rdata::kind;
use crate::rrset::RRset;

/// Extended errors (RFC 8914, section 4).
pub(crate) mod ede {
    /// Something else: a resolver that was asked failed in its turn.
    pub(crate) const OTHER: u16 = 0;
    /// The zone was never received.
    pub(in crate::answer) const NOT_READY: u16 = 14;
    /// Zones are not handed out this way.
    pub(in crate::answer) const PROHIBITED: u16 = 18;
    /// The name is in no zone served here.
    pub(in crate::answer) const NOT_AUTHORITATIVE: u16 = 20;
    /// The class or type of question is not served here.
    pub(in crate::answer) const NOT_SUPPORTED: u16 = 21;
    /// The copy of the zone is older than it may become.
    pub(in crate::answer) const INVALID_DATA: u16 = 24;
    /// None of the resolvers that were asked has answered.
    pub(crate) const NO_REACHABLE_AUTHORITY: u16 = 22;
    /// None of the resolvers that were asked can be reached.
    pub(crate) const NETWORK_ERROR: u16 = 23;
}

/// Code, flag and sections. Borrows its records from the zones.
#[derive(Debug, Default)]
pub(super) struct Reply<'z> {
    pub(super) rcode: u16,
    /// Why, for people (RFC 8914); see [`ede`].
    pub(super) ede: Option<u16>,
    /// Authoritative (RFC 1034, section 6.2.1): about the first owner in the answer section.
    pub(super) aa: bool,
    /// The name that no zone of the consortium holds: the QNAME, or the end of a chain of aliases. The
    /// configured resolvers may be queried for it.
    pub(super) forward: Option<Name>,
    pub(super) answer: Vec<Rr<'z>>,
    pub(super) authority: Vec<Rr<'z>>,
    pub(super) additional: Vec<Rr<'z>>,
}

/// An RRset and the name it is given at, which a wildcard makes another than that in the zone.
#[derive(Debug)]
pub(super) struct Rr<'z> {
    pub(super) owner: Name,
    pub(super) ttl: u32,
    pub(super) data: Data<'z>,
    /// A referral is useless without it: if it does not fit, the answer is truncated (RFC 9471).
    pub(super) needed: bool,
}

#[derive(Debug)]
pub(super) enum Data<'z> {
    /// From a zone.
    Set(&'z RRset),
    /// A CNAME made from a DNAME (RFC 6672, section 3.1).
    Cname(Box<Name>),
}

impl<'z> Rr<'z> {
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
    pub(super) fn error(rcode: u16) -> Self {
        debug_assert_ne!(rcode, rcode::NOERROR);
        Reply {
            rcode,
            ..Reply::default()
        }
    }

    /// An error and its [`ede`] code.
    pub(super) fn explained(rcode: u16, ede: u16) -> Self {
        Reply {
            ede: Some(ede),
            ..Reply::error(rcode)
        }
    }
}
