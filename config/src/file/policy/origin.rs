//! [`Origin`]s: parts of the consortium outside this site.

use std::net::IpAddr;

use super::node::{self, NODE};
use super::scope::Scope;
use crate::file::item::Item;
use crate::file::nearest::did_you_mean;
use crate::{OrgId, Origin, Prefix, SiteId, limits};

/// The origins of a list, in order and each once. `None` only if faults were reported.
pub(super) fn read(item: &Item<'_>, scope: &Scope<'_>) -> Option<Vec<Origin>> {
    let items = item.one_or_more(limits::RULE_ITEMS);
    if items.is_empty() {
        return item.refuse("an empty list, which would match nothing");
    }

    let mut origins: Vec<Origin> = items
        .iter()
        .filter_map(|item| read_one(item, scope))
        .collect();
    origins.sort();
    origins.dedup();
    (!origins.is_empty()).then_some(origins)
}

fn read_one(item: &Item<'_>, scope: &Scope<'_>) -> Option<Origin> {
    let text = item.text()?;
    if text == "all" {
        return Some(Origin::All);
    }

    if let Some((org, name)) = text.split_once(NODE) {
        return node::refuse_origin(item, org, name, scope);
    }
    // Labels have neither dots nor colons, and addresses always have one of them.
    if text.contains(['.', ':']) {
        return read_prefix(item, scope);
    }
    match text.split_once('/') {
        Some((org, site)) => read_site(item, org, site, scope),
        None => read_org(item, scope),
    }
}

/// A prefix, or one address.
fn read_prefix(item: &Item<'_>, scope: &Scope<'_>) -> Option<Origin> {
    let prefix = match item.text()?.parse::<IpAddr>() {
        Ok(address) => Prefix::host(address),
        Err(_) => item.parse()?,
    };

    if scope.is_own(&prefix) == Some(true) {
        return item.refuse(format!(
            "{prefix} is a part of this site, whose hosts are not judged; write a part of another \
             site, or its name"
        ));
    }
    if scope.is_passing(&prefix) {
        item.note(format!(
            "{prefix} is served via this site, so that its packets come out of no tunnel here: the \
             rule matches none of them"
        ));
    } else if !scope.consortium.may_use(&prefix) {
        item.note(format!(
            "{prefix} is in no record and matches nothing; write a prefix of a member's site"
        ));
    }

    Some(Origin::Prefix(prefix))
}

fn read_org(item: &Item<'_>, scope: &Scope<'_>) -> Option<Origin> {
    let org: OrgId = item.parse()?;
    check_member(item, &org, scope);

    Some(Origin::Org(org))
}

fn read_site(item: &Item<'_>, org: &str, site: &str, scope: &Scope<'_>) -> Option<Origin> {
    let (Ok(org), Ok(site)) = (org.parse::<OrgId>(), site.parse::<SiteId>()) else {
        return item.refuse(format!("{:?} is not <org>/<site>", item.text()?));
    };
    if scope.is_this_site(&org, &site) {
        return item.refuse(format!(
            "{org}/{site} is this site, whose hosts are not judged; write another one"
        ));
    }
    if !check_member(item, &org, scope) {
        return Some(Origin::Site(org, site));
    }

    // Without the whole record, nothing can be compared.
    if let Some(sites) = scope.consortium.sites(&org)
        && !sites.iter().any(|known| known.name == site)
    {
        let known: Vec<String> = sites
            .iter()
            .map(|site| format!("{org}/{}", site.name))
            .collect();
        let written = format!("{org}/{site}");
        let remedy = did_you_mean(&written, known.iter().map(String::as_str), || {
            "the rule matches nothing until the record has it".to_owned()
        });
        item.note(format!("org {org} has no site {site}; {remedy}"));
    }

    Some(Origin::Site(org, site))
}

/// Notes an organization without a record: what names it matches nothing.
fn check_member(item: &Item<'_>, org: &OrgId, scope: &Scope<'_>) -> bool {
    if scope.is_member(org) {
        return true;
    }

    let remedy = did_you_mean(org.as_str(), scope.consortium.organizations(), || {
        "add its record first, or remove the rule".to_owned()
    });
    item.note(format!("org {org} is no member; {remedy}"));
    false
}
