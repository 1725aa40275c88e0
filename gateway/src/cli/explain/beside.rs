//! The steps between two hosts whose packets are not subject to this gateway's rules: both are in
//! its own site, or neither is.

use std::net::IpAddr;

use ringway_config::{Asked, Config, OrgId, SiteId};
use ringway_host::watch::reach;

use super::ends::Found;
use super::way::{is_ours, node_of, socket_address};
use crate::admin::Report;
use crate::cli::policy::Files;
use crate::cli::{Failure, block_on};
use crate::explain::{
    FarEnd, NearEnd, NotTried, OtherSites, Probe, State, Step, WithinSite, has_answered, is_quiet,
};
use crate::policy::judge::Judge;

/// All steps between two hosts of the sites that this gateway serves.
pub(super) fn within(
    found: &Found,
    report: &Report,
    files: &Files,
    probes: bool,
) -> Result<Vec<Step>, Failure> {
    let opening = found.opening;
    let addresses = [opening.source, opening.destination];
    let sites = addresses.map(|address| site_here(&files.config, address));
    let nodes = addresses.map(|address| node_of(files, address));
    let reaches = addresses.map(|address| block_on(reach(address)).ok().and_then(Result::ok));
    let ends = [0, 1].map(|index| NearEnd {
        address: addresses[index],
        site: &sites[index],
        node: nodes[index].as_deref(),
        reach: reaches[index].as_ref(),
    });
    let diagnosis = WithinSite {
        opening,
        report,
        ends,
        nodes_reach_each_other: files.config.nodes.reach_each_other,
    };

    let mut steps = diagnosis.steps();
    if steps.iter().any(|step| step.state == State::Bad) {
        return Ok(steps);
    }
    let to = socket_address(&opening);
    let probe = match opening.service {
        _ if !probes => Probe::NotTried(NotTried::NotWanted),
        Asked::Tcp(_) => Probe::connect(Some(opening.source).filter(|it| is_ours(*it)), to),
        _ => Probe::NotTried(NotTried::NotTcp),
    };
    if !is_quiet(report, nodes[1].as_deref()) {
        steps.push(probe.step(to, None));
        return Ok(steps);
    }
    if matches!(probe, Probe::Connected(_)) {
        has_answered(&mut steps);
    }
    steps.push(probe.step_to_quiet(to));
    Ok(steps)
}

/// The step about two hosts of other sites: where to ask.
pub(super) fn elsewhere(found: &Found, files: &Files, judge: &Judge<'_>) -> Step {
    let config = &files.config;
    let addresses = [found.opening.source, found.opening.destination];
    let here = format!("{}/{}", config.id.org, config.site);
    let names = addresses.map(|address| judge.site_of(address).unwrap_or_default());
    let gateways = addresses.map(|address| gateways_serving(files, judge, address));
    let ends = [0, 1].map(|index| FarEnd {
        address: addresses[index],
        site: &names[index],
        gateways: &gateways[index],
    });

    let diagnosis = OtherSites {
        opening: found.opening,
        here: &here,
        ends,
    };
    diagnosis.step()
}

/// The site that has `address`: one that is served via ours, or ours.
fn site_here(config: &Config, address: IpAddr) -> String {
    let mut passing = config.passing();
    let passing = passing.find(|(_, site)| {
        let mut prefixes = site.prefixes.iter();
        prefixes.any(|placed| placed.prefix.contains(address))
    });

    match passing {
        Some((member, site)) => format!("{}/{}", member.org, site.name),
        None => format!("{}/{}", config.id.org, config.site),
    }
}

/// The gateways that serve the site with the address `far`; none if it is in no other site.
pub(super) fn gateways_serving(files: &Files, judge: &Judge<'_>, far: IpAddr) -> Vec<String> {
    let site = judge.remote_site(far);

    site.map(|site| gateways_of(&files.config, &site.org, &site.site))
        .unwrap_or_default()
}

/// The gateways that serve a site and are not revoked, `<gateway>.<org>`.
fn gateways_of(config: &Config, org: &OrgId, site: &SiteId) -> Vec<String> {
    let serving = config.server_of(org, site);
    let Some((record, site)) = serving.and_then(|(org, site)| Some((config.record(org)?, site)))
    else {
        return Vec::new();
    };

    let gateways = record
        .gateways
        .iter()
        .filter(|gateway| gateway.site == *site);
    let valid = gateways.filter(|gateway| !record.revoked.gateways.contains(&gateway.name));
    valid
        .map(|gateway| format!("{}.{}", gateway.name, record.org))
        .collect()
}
