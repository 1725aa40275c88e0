//! What a question about an address gets: the pointers that [`crate::reverse`] has derived.
//!
//! A reverse zone has its owner's SOA and NS sets, and nothing but PTR sets below them.

use super::lookup::{Step, negative_at};
use super::rcode;
use super::reply::{Reply, Rr};
use crate::rdata::kind;
use crate::reverse::ReversePlace;

impl<'z> Step<'_, 'z> {
    /// Adds what the owner of the address says about it.
    pub(super) fn take_reverse(&self, place: &ReversePlace<'z>, reply: &mut Reply<'z>) {
        let apex = self.suffix(place.below);
        let at_apex = place.below == 0;
        let pointers = place.pointers();
        let apex_sets = [Some(place.zone.soa()), place.zone.ns()];
        let here = apex_sets
            .into_iter()
            .flatten()
            .filter(|_| at_apex)
            .chain(pointers);
        // RFC 8482, section 4.1: one set stands for all.
        if let Some(set) = here
            .into_iter()
            .find(|set| matches!(self.qtype, kind::ANY) || set.kind() == self.qtype)
        {
            reply.answer.push(Rr::at(*self.name, set));
            return self.add_hosts(set, reply);
        }
        // RFC 8020: a name above one that exists exists too.
        if !at_apex && !place.exists() {
            reply.rcode = rcode::NXDOMAIN;
        }
        negative_at(apex, place.zone, reply);
    }
}
