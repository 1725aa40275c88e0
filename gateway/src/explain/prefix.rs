//! The prefixes of a [`Diagnosis`]: whose is the far end's, and does the gateway there accept the
//! one at this end?

use ringway_config::Prefix;
use ringway_intent::Remedy;

use super::{Diagnosis, Step, Verdict};
use crate::admin::Report;
use crate::admin::attention::Refused;
use crate::admin::report::{RouteReport, TunnelReport};

impl Diagnosis<'_> {
    pub(super) fn prefix(&self, route: &RouteReport) -> Step {
        let mut place = route.prefix.clone();
        // An attached node does not know who owns what its gateways offer.
        if !route.org.is_empty() {
            place.push_str(&format!(" of {}/{}", route.org, route.site));
        }
        if let Some(written) = self.prefix_place {
            place.push_str(&format!(" ({written})"));
        }

        match route.verdict.as_str() {
            "available" => {
                if let Some(via) = &route.via {
                    place.push_str(&format!(", served via {via}"));
                }
                Step::new(Verdict::PrefixInUse, place)
            }
            "conflicted" => {
                let other = route.conflict_with.as_deref().unwrap_or("another one");
                let text = format!("{place} is not used: it overlaps {other}");
                Step::new(Verdict::PrefixConflicted, text).with(Remedy::ringway("check"))
            }
            _ => {
                let reason = route.refused.as_deref().unwrap_or("its site is refused");
                let text = format!("{place} is not used: {reason}");
                Step::new(Verdict::PrefixRefused, text).with(Remedy::ringway("check"))
            }
        }
    }

    /// The running gateway has no prefix for the far end; the files have one, else nobody would
    /// have come here.
    pub(super) fn no_prefix(&self) -> Step {
        let far = self.far();
        if self.is_at_node() {
            let text = format!("no gateway of this node offers a prefix with {far}");
            let remedy =
                "a gateway of this node knows the members' sites: there, ringway member list";
            return Step::new(Verdict::PrefixOfNobody, text).with(remedy);
        }

        let text = format!(
            "a member's record has {far}, but the running gateway has not read it, or it was \
             refused"
        );
        Step::new(Verdict::PrefixUnread, text).with(Remedy::ringway("reload"))
    }

    /// Whether the gateway of the far end accepts our claim: without it, nothing comes back.
    pub(super) fn our_prefix(&self, route: &RouteReport) -> Option<Step> {
        // Another gateway of this site claims it at the far end.
        let gateway = route.gateway.as_ref().filter(|_| !route.by_sibling)?;
        let mut tunnels = self.report.tunnels.iter();
        let tunnel = tunnels.find(|tunnel| tunnel.peer == *gateway)?;

        let refused = self.refused_there(tunnel);
        let Some((prefix, reason)) = refused else {
            let prefix = self.near_prefix?;
            let text = format!("{gateway} accepts {prefix}");
            return Some(Step::new(Verdict::OurPrefixAccepted, text));
        };
        let refused = Refused {
            report: self.report,
            tunnel,
            prefix,
            reason,
            is_ours: true,
        };
        let text = format!("{gateway} refuses our {prefix}: {}", refused.why());
        Some(Step::new(Verdict::OurPrefixRefused, text).with(refused.remedy()))
    }

    /// The claim with the near end that the peer refuses. A narrower one that it accepts counts.
    fn refused_there<'t>(&self, tunnel: &'t TunnelReport) -> Option<(&'t str, &'t str)> {
        let refused = tunnel.refused_by_peer.iter();
        let parsed = refused.filter_map(|it| Some((it.0.parse::<Prefix>().ok()?, it)));
        let holding = parsed.filter(|(prefix, _)| prefix.contains(self.near()));
        let (prefix, (text, reason)) = holding.max_by_key(|(prefix, _)| prefix.len())?;

        let is_narrower = self
            .near_prefix
            .is_some_and(|near| near.len() > prefix.len());
        (!is_narrower).then_some((text.as_str(), reason.as_str()))
    }
}

/// The claim that holds a part of `prefix`, and that we refuse of `tunnel`.
pub(super) fn refused_here<'a>(
    report: &'a Report,
    tunnel: &'a TunnelReport,
    prefix: Prefix,
) -> Option<Refused<'a>> {
    let mut refused = tunnel.refused.iter();
    let (claimed, reason) = refused.find(|(claimed, _)| {
        let claimed = claimed.parse::<Prefix>();
        claimed.is_ok_and(|claimed| claimed.overlaps(&prefix))
    })?;

    Some(Refused {
        report,
        tunnel,
        prefix: claimed,
        reason,
        is_ours: false,
    })
}

/// The step about an address that no record here has, and that a member's gateway announces.
pub fn announced_by(report: &Report, far: Prefix) -> Option<Step> {
    let mut tunnels = report.tunnels.iter();

    tunnels.find_map(|tunnel| Some(claim_refused(refused_here(report, tunnel, far)?)))
}

/// The step about a claim that we refuse.
pub(super) fn claim_refused(refused: Refused<'_>) -> Step {
    let text = format!(
        "{} announces {}, refused: {}",
        refused.tunnel.peer,
        refused.prefix,
        refused.why()
    );
    Step::new(Verdict::ClaimRefused, text).with(refused.remedy())
}
