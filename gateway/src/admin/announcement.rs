//! [`AnnouncementReport`]: a site that is announced only while the host has a route to it.

use ringway_config::{Announce, AnnounceWatch};
use ringway_intent::{Situation, Unannounced, announceable, unannounced};
use serde::{Deserialize, Serialize};

/// The state of one `[[announce]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementReport {
    /// The organization.
    pub org: String,
    /// Its site.
    pub site: String,
    /// How routes are detected: `kernel`.
    pub watch: String,
    /// The site's prefixes that this gateway claims now.
    pub announced: Vec<String>,
    /// The site's prefixes without a route, which are not claimed.
    pub missing: Vec<String>,
}

impl AnnouncementReport {
    /// One for each `[[announce]]`, in the order of the file.
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

    /// True if `prefix` belongs to the site and is not claimed now.
    pub fn lacks(&self, prefix: &str) -> bool {
        self.missing.iter().any(|missing| missing == prefix)
    }
}
