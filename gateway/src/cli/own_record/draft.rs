//! [`Draft`]: the next version of a record's text.

use ringway_config::{Digest, Endpoint, GatewayName, Prefix, SiteId, TransitSite};
use toml_edit::{Array, DocumentMut, Item, Table, TableLike, Value};

use crate::cli::Failure;
use crate::cli::edit::{Blocks, LineEnds, parse, set, set_list};
use crate::cli::site::ViaChoice;

/// The keys of the lists in a record.
const GATEWAY: &[&str] = &["gateway"];
const SITE: &[&str] = &["site"];
const TRANSIT: &[&str] = &["transit"];

/// The text as a TOML document.
pub(in crate::cli) struct Draft {
    document: DocumentMut,
    /// The last table, kept apart, because nothing may follow it.
    end: Item,
    line_ends: LineEnds,
}

impl Draft {
    /// Parses `text`, a valid record of version 2, and sets this serial.
    pub(super) fn of(text: &str, serial: u64) -> Result<Draft, Failure> {
        let mut document = parse(text)?;
        let end = document.remove("end").unwrap_or_default();
        let mut draft = Draft {
            document,
            end,
            line_ends: LineEnds::of(text),
        };

        // Serials are at most i64::MAX; a record with the highest one cannot be changed.
        let serial = i64::try_from(serial).map_err(|_| {
            Failure::Usage("the record's serial is the last one that exists".into())
        })?;
        set(draft.document.as_table_mut(), "serial", serial);
        Ok(draft)
    }

    /// The text.
    pub(in crate::cli) fn finish(mut self) -> String {
        if let Item::Table(end) = &mut self.end {
            end.set_position(Some(isize::MAX));
        }
        self.document.insert("end", self.end);
        self.line_ends.text(&self.document)
    }

    pub(in crate::cli) fn add_site(
        &mut self,
        name: &SiteId,
        prefixes: &[Prefix],
        via: Option<&ViaChoice>,
    ) -> Result<(), Failure> {
        let mut entries = vec![
            ("name", name.as_str().into()),
            ("prefixes", texts(prefixes)),
        ];
        entries.extend(via.map(|via| ("via", via.to_string().into())));
        Blocks::at(&mut self.document, SITE).push(entries)
    }

    /// With `None` the site has gateways of its own.
    pub(in crate::cli) fn set_via(&mut self, name: &SiteId, via: Option<&ViaChoice>) {
        let Some(site) = Blocks::at(&mut self.document, SITE).find("name", name.as_str()) else {
            return;
        };
        match via {
            Some(via) => set(site, "via", via.to_string()),
            None => {
                site.remove("via");
            }
        }
    }

    pub(in crate::cli) fn add_transit(&mut self, site: &TransitSite) -> Result<(), Failure> {
        Blocks::at(&mut self.document, TRANSIT).push(vec![("for", site.to_string().into())])
    }

    pub(in crate::cli) fn remove_transit(&mut self, site: &TransitSite) {
        Blocks::at(&mut self.document, TRANSIT).remove("for", &site.to_string());
    }

    pub(in crate::cli) fn set_prefixes(&mut self, name: &SiteId, prefixes: &[Prefix]) {
        if let Some(site) = Blocks::at(&mut self.document, SITE).find("name", name.as_str()) {
            set_list(site, "prefixes", prefixes);
        }
    }

    pub(in crate::cli) fn remove_site(&mut self, name: &SiteId) {
        Blocks::at(&mut self.document, SITE).remove("name", name.as_str());
    }

    pub(in crate::cli) fn add_gateway(
        &mut self,
        name: &GatewayName,
        site: &SiteId,
        endpoints: &[Endpoint],
    ) -> Result<(), Failure> {
        Blocks::at(&mut self.document, GATEWAY).push(vec![
            ("name", name.as_str().into()),
            ("site", site.as_str().into()),
            ("endpoints", texts(endpoints)),
        ])
    }

    pub(in crate::cli) fn set_endpoints(&mut self, name: &GatewayName, endpoints: &[Endpoint]) {
        if let Some(gateway) = self.gateway(name) {
            set_list(gateway, "endpoints", endpoints);
        }
    }

    pub(in crate::cli) fn set_site(&mut self, name: &GatewayName, site: &SiteId) {
        if let Some(gateway) = self.gateway(name) {
            set(gateway, "site", site.as_str());
        }
    }

    fn gateway(&mut self, name: &GatewayName) -> Option<&mut dyn TableLike> {
        Blocks::at(&mut self.document, GATEWAY).find("name", name.as_str())
    }

    pub(in crate::cli) fn remove_gateway(&mut self, name: &GatewayName) {
        Blocks::at(&mut self.document, GATEWAY).remove("name", name.as_str());
    }

    pub(in crate::cli) fn revoke_gateways(&mut self, all: &[GatewayName]) {
        set_list(self.revoked(), "gateways", all);
    }

    pub(in crate::cli) fn revoke_keys(&mut self, all: &[Digest]) {
        set_list(self.revoked(), "keys", all);
    }

    fn revoked(&mut self) -> &mut dyn TableLike {
        let item = self.document.entry("revoked").or_insert_with(|| {
            let mut table = Table::new();
            table.decor_mut().set_prefix("\n");
            Item::Table(table)
        });
        item.as_table_like_mut()
            .expect("a sound record has a table there")
    }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    let list: Array = items.iter().map(ToString::to_string).collect();
    list.into()
}
