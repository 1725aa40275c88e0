//! [`LocalGateway`]: which gateway `gateway.toml` describes.

use super::item::Placed;
use super::table::Table;
use crate::keys::gateway as keys;
use crate::{GatewayId, GatewayName, OrgId, SiteId};

/// Organization, name and site of this gateway; `None` for what the file lacks or has wrong.
#[derive(Debug)]
pub(crate) struct LocalGateway {
    pub(crate) org: Option<Placed<OrgId>>,
    pub(crate) name: Option<Placed<GatewayName>>,
    pub(crate) site: Option<Placed<SiteId>>,
}

impl LocalGateway {
    /// The identity, if the file says it.
    pub(super) fn id(&self) -> Option<GatewayId> {
        Some(GatewayId {
            org: self.org.as_ref()?.value.clone(),
            name: self.name.as_ref()?.value.clone(),
        })
    }

    pub(super) fn read(table: &Table<'_>) -> LocalGateway {
        LocalGateway {
            org: table.required(&keys::ORG).and_then(|item| item.placed()),
            name: table
                .required(&keys::GATEWAY)
                .and_then(|item| item.placed()),
            site: table.required(&keys::SITE).and_then(|item| item.placed()),
        }
    }
}
