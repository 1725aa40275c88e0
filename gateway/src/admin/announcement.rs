//! [`AnnouncementReport`]: a site that is announced only while the host has a way to it.

use ringway_config::{Announce, AnnounceWatch};
use ringway_intent::{Situation, Unannounced, announceable, unannounced};
use serde::{Deserialize, Serialize};

/// One `[[announce]]`, and what follows from it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementReport {
    /// The organization.
    pub org: String,
    /// Its site.
    pub site: String,
    /// What says whether there is a way: `kernel`.
    pub watch: String,
    /// Its prefixes that this gateway claims.
    pub announced: Vec<String>,
    /// Those that the host has no route to: they are not announced.
    pub missing: Vec<String>,
}

impl AnnouncementReport {
    /// All of a gateway, in the order of the file.
    pub fn all(situation: &Situation<'_>) -> Vec<AnnouncementReport> {
        let unannounced = unannounced(situation);
        let announces = situation.config.announce.iter();

        announces
            .map(|announce| AnnouncementReport::of(announce, situation, &unannounced))
            .collect()
    }

    fn of(
        announce: &Announce,
        situation: &Situation<'_>,
        unannounced: &[Unannounced],
    ) -> AnnouncementReport {
        let own = &situation.config.own.org;
        let site = announce.to_string();
        let lacking = unannounced.iter().find(|lacking| lacking.site == site);
        let missing = lacking.map_or(&[][..], |lacking| &lacking.missing);

        let mut announced = announceable(announce, situation);
        announced.retain(|prefix| !missing.contains(prefix));
        let AnnounceWatch::Kernel = announce.watch;
        AnnouncementReport {
            org: announce.org.as_ref().unwrap_or(own).to_string(),
            site: announce.site.to_string(),
            watch: "kernel".to_owned(),
            announced: announced.iter().map(ToString::to_string).collect(),
            missing: missing.iter().map(ToString::to_string).collect(),
        }
    }

    /// True if the site has this prefix, and it is not announced.
    pub fn lacks(&self, prefix: &str) -> bool {
        self.missing.iter().any(|missing| missing == prefix)
    }
}
