//! [`Drifts`]: the differences between our member records and those of peers, as an operator sees
//! them.
//!
//! A record in our own files that was not reloaded explains most of them, so the files are read
//! again with each difference, and every ten seconds while there is one.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ringway_config::GatewayId;
use ringway_core::{Drift, FiledRecords, RecordDrift};
use ringway_intent::{Finding, Remedy};

/// Organizations that are named; a peer can invent many.
const MOST: usize = 3;

/// How often the files are read while there is a difference.
const PERIOD: Duration = Duration::from_secs(10);

/// See the head of this file.
#[derive(Debug, Default)]
pub(crate) struct Drifts {
    /// The peers whose records differ from ours. Each tunnel has an allowance for their changes.
    of_peers: BTreeMap<GatewayId, Vec<RecordDrift>>,
    /// What our files had when they were last read; `None` if they could not be read.
    files: Option<FiledRecords>,
    /// When the files are to be read; `None` without a difference, and while they are being read.
    next: Option<Instant>,
    is_reading: bool,
}

impl Drifts {
    /// The differences to `peer` have changed; `drift` is empty if there is none any more.
    pub(crate) fn set(&mut self, peer: GatewayId, drift: Vec<RecordDrift>, now: Instant) {
        if drift.is_empty() {
            self.of_peers.remove(&peer);
        } else {
            self.of_peers.insert(peer, drift);
            self.next = Some(now);
        }
    }

    /// True if the files must be read now. The result goes to [`Drifts::read`].
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.poll_timeout().is_some_and(|next| next <= now);
        if is_due {
            self.is_reading = true;
            self.next = None;
        }
        is_due
    }

    /// When to poll again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let is_idle = self.is_reading || self.of_peers.is_empty();
        self.next.filter(|_| !is_idle)
    }

    /// The files were read.
    pub(crate) fn read(&mut self, files: Option<FiledRecords>, now: Instant) {
        self.files = files;
        self.is_reading = false;
        self.next.get_or_insert(now + PERIOD);
    }

    /// What our files had when they were last read.
    pub(crate) fn files(&self) -> Option<&FiledRecords> {
        self.files.as_ref()
    }

    /// What an operator of `me` should know of each peer.
    pub(crate) fn findings(&self, me: &GatewayId) -> Vec<Finding> {
        let peers = self.of_peers.iter();

        peers
            .filter_map(|(peer, drift)| finding(peer, me, drift, self.files()))
            .collect()
    }
}

/// The name under which the drift of `peer` is listed.
pub(crate) fn name(peer: &GatewayId) -> String {
    format!("records {peer}")
}

/// What an operator of `me` should know; `None` if the records are the same.
fn finding(
    peer: &GatewayId,
    me: &GatewayId,
    drift: &[RecordDrift],
    files: Option<&FiledRecords>,
) -> Option<Finding> {
    // What this operator can do, and what is worst, comes first.
    let mut sorted: Vec<&RecordDrift> = drift.iter().collect();
    sorted.sort_by_key(|drift| urgency(drift, files));
    let first = sorted.first()?;

    let mut what: Vec<String> = sorted
        .iter()
        .take(MOST)
        .map(|drift| drift.describe(peer, me, files))
        .collect();
    if let Some(more) = drift.len().checked_sub(MOST).filter(|more| *more > 0) {
        what.push(format!("and {more} more"));
    }

    let remedy = match first.kind() {
        _ if first.awaits_reload(files) => Remedy::ringway("reload"),
        Drift::WeAreOlder if first.org == me.org => {
            Remedy::ringway("reload   # after our record's file is the newest")
        }
        Drift::WeAreOlder => Remedy::ringway(format!("member add {}.member.toml", first.org)),
        _ => Remedy::None,
    };
    Some(Finding {
        name: name(peer),
        what: what.join("; "),
        remedy,
    })
}

fn urgency(drift: &RecordDrift, files: Option<&FiledRecords>) -> u8 {
    match drift.kind() {
        _ if drift.awaits_reload(files) => 0,
        Drift::Equivocation => 1,
        Drift::WeAreOlder => 2,
        Drift::PeerIsOlder => 3,
        Drift::Unknown => 4,
        Drift::MissingThere => 5,
        Drift::MissingHere => 6,
    }
}

#[cfg(test)]
mod tests {
    use ringway_config::Digest;
    use ringway_core::HeldRecord;

    use super::*;

    fn id(org: &str) -> GatewayId {
        GatewayId {
            org: org.parse().unwrap(),
            name: "gw".parse().unwrap(),
        }
    }

    fn held(serial: u64) -> Option<HeldRecord> {
        Some(HeldRecord {
            serial,
            digest: Digest([serial as u8; 32]),
        })
    }

    fn older() -> RecordDrift {
        RecordDrift {
            org: "org2".parse().unwrap(),
            ours: held(3),
            theirs: held(5),
        }
    }

    #[test]
    fn forged_drift_of_a_peer_does_not_hide_a_remedy_of_this_operator() {
        let invented = (0..500).map(|number| RecordDrift {
            org: format!("a{number}").parse().unwrap(),
            ours: None,
            theirs: held(7),
        });
        let drift: Vec<_> = invented.chain([older()]).collect();

        let finding = finding(&id("org1"), &id("org0"), &drift, None).unwrap();
        assert_eq!(finding.name, "records gw.org1");
        assert_eq!(
            finding.remedy.to_string(),
            "ringway member add org2.member.toml"
        );
        let start = "gw.org1 holds org2's record with serial 5, we hold serial 3: ";
        assert!(finding.what.starts_with(start), "{}", finding.what);
        assert!(finding.what.ends_with("; and 498 more"), "{}", finding.what);
    }

    #[test]
    fn the_files_are_read_while_there_is_a_difference_and_decide_the_remedy() {
        let mut now = Instant::now();
        let mut drifts = Drifts::default();
        let remedy = |drifts: &Drifts| drifts.findings(&id("org0"))[0].remedy.to_string();
        assert!(!drifts.poll(now));

        drifts.set(id("org1"), vec![older()], now);
        assert!(drifts.poll(now));
        assert!(!drifts.poll(now), "one at a time");
        // Another one meanwhile: what is being read may be out of date.
        drifts.set(id("org3"), vec![older()], now);
        drifts.read(Some(FiledRecords::new()), now);
        assert!(drifts.poll(now));
        let files =
            |serial| FiledRecords::from_iter([("org2".parse().unwrap(), held(serial).unwrap())]);
        drifts.read(Some(files(3)), now);
        assert_eq!(remedy(&drifts), "ringway member add org2.member.toml");
        assert_eq!(drifts.findings(&id("org0")).len(), 2);

        // The newest record comes into the files.
        assert!(!drifts.poll(now));
        now += PERIOD;
        assert!(drifts.poll(now));
        drifts.read(Some(files(5)), now);
        assert_eq!(remedy(&drifts), "ringway reload");

        for org in ["org1", "org3"] {
            drifts.set(id(org), Vec::new(), now);
        }
        assert_eq!(drifts.findings(&id("org0")), []);
        assert!(!drifts.poll(now + PERIOD));
        assert_eq!(drifts.poll_timeout(), None);
    }
}
