//! [`Explanation`]: what the rules say, for `policy test` and `check`.

use ringway_config::{Asked, Opening, Place};

use super::egress::Permit;
use super::services::Wanted;
use super::{Rules, rule};
use crate::holders::Holder;
use crate::packet::bits;

/// What the rules say about an [`Opening`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explanation {
    /// Arriving: this rule allows it.
    Rule(Place),
    /// Arriving: it is a question to our DNS server.
    Dns,
    /// Arriving: there is no `[policy]`, and echo is allowed.
    Echo,
    /// Leaving: `[policy] egress`, or what always may leave, allows it.
    Egress,
    /// Leaving: this `[[policy.allow-egress]]` allows it.
    EgressRule(Place),
    /// Neither end is in this site, or both are, or no site holds the other one.
    NotOurs,
    /// Nothing allows it.
    Denied,
}

impl Explanation {
    /// True if it may be opened.
    pub fn is_allowed(&self) -> bool {
        !matches!(self, Explanation::NotOurs | Explanation::Denied)
    }
}

impl Rules {
    /// What the rules say about an opening: arriving if its destination is in our site, leaving if
    /// its source is. Flows play no part.
    pub fn explain(&self, opening: &Opening) -> Explanation {
        let (v6, source) = bits(opening.source);
        let (destination_v6, destination) = bits(opening.destination);
        if v6 != destination_v6 {
            return Explanation::NotOurs;
        }

        let wanted = match opening.service {
            Asked::Tcp(port) => Wanted::Tcp(port),
            Asked::Udp(port) => Wanted::Udp(port),
            Asked::Echo => Wanted::Echo,
            Asked::Protocol(number) => Wanted::Protocol(number),
        };
        let ends = (self.holder(v6, source), self.holder(v6, destination));
        match ends {
            (Holder::Site(site), Holder::Own) => {
                let port = match wanted {
                    Wanted::Tcp(port) | Wanted::Udp(port) => Some(port),
                    Wanted::Echo | Wanted::Protocol(_) => None,
                };
                if port == Some(self.tunnel_port()) && self.is_gateway(v6, destination) {
                    return Explanation::Denied;
                }
                self.explain_rule(self.allowing(site, v6, (source, destination), wanted))
            }
            (Holder::Own, Holder::Site(_)) => match self.permit(v6, source, destination, wanted) {
                Some(Permit::Mode) => Explanation::Egress,
                Some(Permit::Rule(index)) => {
                    let rule = &self.spec.policy.allow_egress[index];
                    Explanation::EgressRule(rule.place.clone())
                }
                None => Explanation::Denied,
            },
            _ => Explanation::NotOurs,
        }
    }

    fn explain_rule(&self, allowing: Option<usize>) -> Explanation {
        match allowing {
            None => Explanation::Denied,
            Some(rule::DNS) => Explanation::Dns,
            Some(rule::DEFAULT_ECHO) => Explanation::Echo,
            Some(index) => {
                let allow = self.spec.policy.allow.iter().flatten().nth(index);
                allow.map_or(Explanation::Denied, |rule| {
                    Explanation::Rule(rule.place.clone())
                })
            }
        }
    }
}
