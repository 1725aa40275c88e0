//! [`PrefixOwner`]: whose a prefix is, and whose gateways serve it, as the report says it.

use ringway_config::{Config, Ruling};

/// See the head of this file.
pub(super) struct PrefixOwner {
    pub(super) org: String,
    pub(super) site: String,
    pub(super) via: Option<String>,
}

impl PrefixOwner {
    pub(super) fn of(ruling: &Ruling, config: &Config) -> PrefixOwner {
        let Some(attach) = &config.attach else {
            return PrefixOwner {
                org: ruling.org.to_string(),
                site: ruling.site.to_string(),
                via: config
                    .via_of(&ruling.org, &ruling.site)
                    .map(ToString::to_string),
            };
        };

        // The mesh of an attached node has one other site, that of its gateways: they serve all
        // that they offer, their own prefixes and those of other owners.
        let owner = attach.owner(&ruling.prefix);
        let is_theirs = owner == Some(&attach.site);
        PrefixOwner {
            org: owner.map_or_else(String::new, |_| ruling.org.to_string()),
            site: owner.map_or_else(String::new, ToString::to_string),
            via: (!is_theirs).then(|| format!("{}/{}", ruling.org, attach.site)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ringway_config::Verdict;

    use super::*;

    #[test]
    fn a_node_names_its_own_organization_alone_as_an_owner() {
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/node.toml");
        let config = Config::load(&example).unwrap();
        let site = config.attach.as_ref().unwrap().site.clone();
        let owned = config.attach.as_ref().unwrap().sites[0].clone();

        let owner = |prefix: &str| {
            let ruling = Ruling {
                org: config.own.org.clone(),
                site: site.clone(),
                prefix: prefix.parse().unwrap(),
                place: config.own.place.clone(),
                verdict: Verdict::Available,
            };
            let owner = PrefixOwner::of(&ruling, &config);
            (owner.org, owner.site, owner.via)
        };
        let own = owner(&owned.prefixes[0].prefix.to_string());
        assert_eq!(own.0, config.own.org.to_string());
        assert_eq!(own.1, owned.name.to_string());

        let via = Some(format!("{}/{site}", config.own.org));
        assert_eq!(owner("10.250.0.0/16"), (String::new(), String::new(), via));
    }
}
