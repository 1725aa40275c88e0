//! [`Change`]: the next version of our record, checked, not yet written.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use ringway_config::{
    Config, Edits, Escaped, Fault, Faults, Ledger as _, Member, Newest, Prefix, Site, SiteId,
    reading,
};
use ringway_identity::trust::authorities;

use super::overlap::{among_records, of_config};
use super::{Draft, LocalFiles, OwnRecord, fault};
use crate::cli::Failure;
use crate::cli::edit::{self, LineEnds, replace_file};
use crate::cli::policy::follow_prefixes;

/// A checked change.
pub(in crate::cli) struct Change<'a> {
    pub(in crate::cli) own: &'a OwnRecord,
    /// The changed record.
    pub(in crate::cli) after: Member,
    text: String,
    /// Other files that must change with the record.
    beside: Edits,
}

impl OwnRecord {
    /// Checks the change to `draft`.
    pub(in crate::cli) fn change(&self, draft: Draft) -> Result<Change<'_>, Failure> {
        self.change_to(draft.finish())
    }

    /// Checks the change to the record `text`.
    pub(in crate::cli) fn change_to(&self, text: String) -> Result<Change<'_>, Failure> {
        let mut edits = Edits::default();
        edits.replace(&self.path, &self.text, &text);
        let after = Member::load_edited(&self.path, &edits)?;
        if after.org != self.member.org || after.domain != self.member.domain {
            return Err(fault(
                &self.path,
                format!(
                    "is the record of {} in {}; that cannot be changed",
                    self.member.org, self.member.domain
                ),
            ));
        }
        authorities(&after)?;

        let beside = match self.config() {
            Some(config) => following(config, &after)?,
            None => Edits::default(),
        };
        let mut edits = beside.clone();
        edits.replace(&self.path, &self.text, &text);
        let faults = match &self.gateway {
            Some(files) => files.faults(&edits, self, &after),
            None => among_records(self, &after),
        };
        if !faults.is_empty() {
            return Err(Faults::from(faults).into());
        }

        Ok(Change {
            own: self,
            after,
            text,
            beside,
        })
    }
}

/// The changes to the file of the gateway here: the site that it serves, and rules that name ranges
/// which the site no longer has.
fn following(config: &Config, after: &Member) -> Result<Edits, Failure> {
    let mut edits = Edits::default();
    let Some(gateway) = after.gateway(&config.id.name) else {
        return Ok(edits);
    };
    let path = &config.path;
    let text =
        reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut document = edit::parse(&text)?;

    if gateway.site != config.site {
        edit::set(document.as_table_mut(), "site", gateway.site.as_str());
    }
    let before = ranges(config, &config.own, &config.site);
    let now = ranges(config, after, &gateway.site);
    let removed: Vec<Prefix> = before.difference(&now).copied().collect();
    let added: Vec<Prefix> = now.difference(&before).copied().collect();
    follow_prefixes(&mut document, &removed, &added);

    let changed = LineEnds::of(&text).text(&document);
    if changed != text {
        edits.replace(path, &text, &changed);
    }
    Ok(edits)
}

/// The ranges of `site` in our record `own`, and of the sites that are served via it.
fn ranges(config: &Config, own: &Member, site: &SiteId) -> BTreeSet<Prefix> {
    let ours = own.sites.iter().filter(|known| {
        let via = known.via.as_ref();
        known.name == *site || via.is_some_and(|via| via.org.is_none() && via.site == *site)
    });
    let others = config.members.iter().flat_map(|member| {
        let sites = member.sites.iter();
        sites.filter(|known| is_transit(member, known, own, site))
    });

    ours.chain(others)
        .flat_map(|site| &site.prefixes)
        .map(|placed| placed.prefix)
        .collect()
}

/// True if our `site` serves `known`, a site of `member`, with the consent of our record `own`.
fn is_transit(member: &Member, known: &Site, own: &Member, site: &SiteId) -> bool {
    let via = known.via.as_ref();

    via.is_some_and(|via| via.org.as_ref() == Some(&own.org) && via.site == *site)
        && own.consents_to(&member.org, &known.name)
}

impl LocalFiles {
    /// The faults that `edits` add. Existing faults do not prevent a revocation.
    fn faults(&self, edits: &Edits, own: &OwnRecord, after: &Member) -> Vec<Fault> {
        match (&self.config, Config::load_edited(&self.path, edits)) {
            (Ok(before), Ok(after)) => fresh(of_config(before), of_config(&after)),
            (Ok(_), Err(Faults(faults))) => faults,
            (Err(before), Err(Faults(found))) => {
                let mut faults = fresh(before.0.clone(), found);
                faults.extend(among_records(own, after));
                faults
            }
            (Err(_), Ok(after)) => of_config(&after),
        }
    }
}

/// The faults that are only in `after`. Line numbers change, so only messages are compared.
fn fresh(before: Vec<Fault>, mut after: Vec<Fault>) -> Vec<Fault> {
    after.retain(|fault| !before.iter().any(|known| known.message == fault.message));
    after
}

impl Change<'_> {
    /// The files that must change with the record.
    pub(in crate::cli) fn beside(&self) -> &Edits {
        &self.beside
    }

    /// The record's text.
    pub(in crate::cli) fn text(&self) -> &str {
        &self.text
    }

    /// Writes everything or nothing.
    pub(in crate::cli) fn write(&self) -> Result<(), Failure> {
        let mut written: Vec<(&PathBuf, String)> = Vec::new();
        let files = self.beside.texts().chain([(&self.own.path, &self.text)]);

        for (path, text) in files {
            let before = reading::read_text(path).unwrap_or_default();
            if let Err(error) = replace_file(path, text) {
                for (path, before) in written.iter().rev() {
                    // If this fails, the state is as after a crash: whole files.
                    let _ = replace_file(path, before);
                }
                return Err(error);
            }
            written.push((path, before));
        }

        self.remember();
        Ok(())
    }

    /// Stores the record as the newest, so that no older copy can be changed, for example from a
    /// backup of the CA's host, before a gateway has read this one.
    fn remember(&self) {
        let Some(dir) = self.own.state_dir() else {
            return;
        };

        // Only a warning: the record is written, and a revocation must not wait for a disk.
        if let Err(error) = Newest::update(dir, |newest| newest.accept(&self.after)) {
            eprintln!("warning: {}", Escaped(&error.to_string()));
        }
    }
}
