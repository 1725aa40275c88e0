//! `ringway site add | set | remove`.

use std::process::ExitCode;

use ringway_config::{Prefix, Site, SiteId};

use super::{Add, Set, ViaChoice, refuse_public};
use crate::cli::list_change::ListChange;
use crate::cli::own_record::{OwnRecord, RecordFile, hand_out};
use crate::cli::{Failure, answer};

/// Runs `ringway site add`.
pub(super) fn add(args: &Add) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(&args.record)?;
    let name = &args.site.name;
    if own.member.site(name).is_some() {
        return Err(Failure::Usage(format!(
            "site {name} is in {} already; ringway site set {name}{} changes its ranges",
            own.path.display(),
            own.option()
        )));
    }
    let prefixes = [args.site.prefixes.as_slice(), &args.prefixes].concat();
    if prefixes.is_empty() {
        return Err(Failure::Usage(format!(
            "a site has address ranges; write {name}=PREFIX, for example {name}=10.9.0.0/16"
        )));
    }
    refuse_public(&prefixes, args.public)?;

    let mut draft = own.draft()?;
    draft.add_site(name, &prefixes, args.via.as_ref())?;
    let change = own.change(draft)?;
    change.write()?;
    let next = match &args.via {
        Some(via) => consent(&own, name, via),
        None => Some(format!(
            "Add its gateway:\n     ringway gateway add <name> --site {name} --endpoint \
             <host:port>{}",
            own.option()
        )),
    };
    answer(hand_out(&change, &Vec::from_iter(next), None)?)
}

/// What another organization must do before its gateways serve a site of ours.
fn consent(own: &OwnRecord, site: &SiteId, via: &ViaChoice) -> Option<String> {
    let org = via.org.as_ref().filter(|org| **org != own.member.org)?;

    Some(format!(
        "{org} consents in its own record, and hands that out:\n     ringway site transit add \
         {}/{site}",
        own.member.org
    ))
}

/// Runs `ringway site set`.
pub(super) fn set(args: &Set) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(&args.record)?;
    let site = find(&own, &args.name)?;
    let before: Vec<Prefix> = site.prefixes.iter().map(|placed| placed.prefix).collect();
    let after = prefixes(args, &before)?;
    let is_new = |prefix: &&Prefix| !before.contains(prefix);
    let added: Vec<Prefix> = after.iter().filter(is_new).copied().collect();
    refuse_public(&added, args.public)?;
    let keeps_way = match &args.via {
        Some(via) => is_via(site, via, &own),
        None => !args.no_via || site.via.is_none(),
    };
    if added.is_empty() && after.len() == before.len() && keeps_way {
        return answer("Nothing changes: the record says so already\n");
    }

    let mut draft = own.draft()?;
    draft.set_prefixes(&args.name, &after);
    if !keeps_way {
        draft.set_via(&args.name, args.via.as_ref());
    }
    let change = own.change(draft)?;
    change.write()?;
    let via = args.via.as_ref();
    let next = via.and_then(|via| consent(&own, &args.name, via));
    answer(hand_out(&change, &Vec::from_iter(next), None)?)
}

/// True if the record already says so.
fn is_via(site: &Site, via: &ViaChoice, own: &OwnRecord) -> bool {
    let org = via.org.as_ref().filter(|org| **org != own.member.org);

    site.via
        .as_ref()
        .is_some_and(|known| known.org.as_ref() == org && known.site == via.site)
}

/// The ranges after the change.
fn prefixes(args: &Set, before: &[Prefix]) -> Result<Vec<Prefix>, Failure> {
    let change = ListChange {
        instead: &args.prefixes,
        more: &args.add_prefixes,
        less: &args.remove_prefixes,
    };
    let prefixes = change.of(before, format!("range of site {}", args.name))?;
    if prefixes.is_empty() {
        return Err(Failure::Usage(format!(
            "site {} would have no range; ringway site remove removes it",
            args.name
        )));
    }
    Ok(prefixes)
}

/// Runs `ringway site remove`.
pub(super) fn remove(name: &SiteId, record: &RecordFile) -> Result<ExitCode, Failure> {
    let own = OwnRecord::load(record)?;
    find(&own, name)?;
    let gateways = own.member.gateways.iter();
    let serving: Vec<&str> = gateways
        .filter(|gateway| gateway.site == *name)
        .map(|gateway| gateway.name.as_str())
        .collect();
    if let Some(first) = serving.first() {
        return Err(Failure::Usage(format!(
            "site {name} is served by {}; first ringway gateway remove {first}{}",
            serving.join(", "),
            own.option()
        )));
    }

    let mut draft = own.draft()?;
    draft.remove_site(name);
    let change = own.change(draft)?;
    change.write()?;
    answer(hand_out(&change, &[], None)?)
}

/// The site `name`; a usage error with the known names if there is none.
fn find<'a>(own: &'a OwnRecord, name: &SiteId) -> Result<&'a Site, Failure> {
    own.member.site(name).ok_or_else(|| {
        let sites = own.member.sites.iter();
        let known: Vec<&str> = sites.map(|site| site.name.as_str()).collect();
        Failure::Usage(format!(
            "there is no site {name} in {}; known ones: {}",
            own.path.display(),
            known.join(", ")
        ))
    })
}
