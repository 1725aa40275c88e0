//! `ringway gateway set` and `ringway gateway remove`.

use std::process::ExitCode;

use ringway_config::{Endpoint, Gateway, GatewayName, SiteId};

use super::Set;
use crate::cli::list_change::ListChange;
use crate::cli::own_record::{Change, OwnRecord, RecordFile, hand_out};
use crate::cli::{Failure, answer};

/// Runs `ringway gateway set`.
pub(super) fn set(args: &Set) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(&args.record)?;
    let gateway = find(&own, &args.name)?;
    let endpoints = endpoints(args, gateway)?;

    let mut draft = own.draft()?;
    if endpoints != gateway.endpoints {
        draft.set_endpoints(&args.name, &endpoints);
    }
    if let Some(site) = &args.site {
        draft.set_site(&args.name, site);
    }
    if endpoints == gateway.endpoints && args.site.as_ref().is_none_or(|site| *site == gateway.site)
    {
        return answer("Nothing changes: the record says so already\n");
    }

    let change = own.change(draft)?;
    change.write()?;
    let text = hand_out(&change, &[], None)?;
    answer(text + &unserved(&change, &gateway.site))
}

/// A warning if no gateway is left for `site`.
fn unserved(change: &Change<'_>, site: &SiteId) -> String {
    let mut gateways = change.after.gateways.iter();
    if gateways.any(|gateway| gateway.site == *site) {
        return String::new();
    }

    format!("No gateway serves site {site} any more.\n")
}

/// The endpoints after the change.
fn endpoints(args: &Set, gateway: &Gateway) -> Result<Vec<Endpoint>, Failure> {
    if args.dials_only {
        return Ok(Vec::new());
    }

    let change = ListChange {
        instead: &args.endpoints,
        more: &args.add_endpoints,
        less: &args.remove_endpoints,
    };
    let what = format!("endpoint of gateway {}", gateway.name);
    change.of(&gateway.endpoints, what)
}

/// Runs `ringway gateway remove`.
pub(super) fn remove(name: &GatewayName, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    let site = &find(&own, name)?.site;
    if let Some(config) = own.config().filter(|config| config.id.name == *name) {
        return Err(Failure::Usage(format!(
            "{name} is the gateway here: {} needs it in the record. Stop it for good, and then \
             remove it where another gateway of {} is, or with --record {}",
            config.path.display(),
            own.member.org,
            own.path.display()
        )));
    }

    let mut draft = own.draft()?;
    draft.remove_gateway(name);
    let change = own.change(draft)?;
    change.write()?;

    let mut text = hand_out(&change, &[], None)?;
    text.push_str(&format!(
        "Its certificate counts again if another gateway is called {name} some day: revoke its key \
         with\n  ringway revoke key sha256:… (ringway cert show prints it)\n"
    ));
    text.push_str(&unserved(&change, site));
    answer(text)
}

/// The gateway `name`; a usage error with the known names if there is none.
fn find<'a>(own: &'a OwnRecord, name: &GatewayName) -> Result<&'a Gateway, Failure> {
    own.member.gateway(name).ok_or_else(|| {
        let gateways = own.member.gateways.iter();
        let known: Vec<&str> = gateways.map(|gateway| gateway.name.as_str()).collect();
        Failure::Usage(format!(
            "there is no gateway {name} in {}; known ones: {}",
            own.path.display(),
            known.join(", ")
        ))
    })
}
