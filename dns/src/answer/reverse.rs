//! Answers to questions about addresses, from the PTR records that [`crate::reverse`] derives.
//!
//! A reverse zone has the SOA and NS RRsets of its organization's zone at its apex, and PTR RRsets
//! below.

use super::lookup::{Step, negative_at};
use super::rcode;
use super::reply::{Reply, Rr};
use crate::rdata::kind;
use crate::reverse::ReversePlace;

impl<'z> Step<'_, 'z> {
    /// Adds the answer from the reverse zone that holds the name.
    pub(super) fn take_reverse(&self, place: &ReversePlace<'z>, reply: &mut Reply<'z>) {
        let apex = self.suffix(place.below);
        let at_apex = place.below == 0;

        let apex_sets = [Some(place.zone.soa()), place.zone.ns()];
        let found = apex_sets
            .into_iter()
            .flatten()
            .filter(|_| at_apex)
            .chain(place.pointers())
            // RFC 8482, section 4.1: one RRset is enough for ANY.
            .find(|set| self.qtype == kind::ANY || set.kind() == self.qtype);
        if let Some(set) = found {
            reply.answer.push(Rr::at(*self.name, set));
            self.add_hosts(set, reply);
            return;
        }

        // RFC 8020: a name with existing names below it exists.
        if !at_apex && !place.exists() {
            reply.rcode = rcode::NXDOMAIN;
        }
        negative_at(apex, place.zone, reply);
    }
}
