//! Records that the files have and the running gateway has not read: then the remedy for what its
//! older records cause is a reload.

use ringway_config::{Config, OrgId};
use ringway_intent::Remedy;

use crate::admin::Report;
use crate::explain::{Step, Verdict};

/// Corrects the remedies of steps about refused and missing prefixes. `orgs`: those of both ends.
pub(super) fn correct(steps: &mut [Step], config: &Config, report: &Report, orgs: &[OrgId]) {
    let newer = newer(report, |org| {
        let record = config.record(org).filter(|_| orgs.contains(org))?;
        Some(record.serial)
    });
    let Some((org, serial)) = newer else {
        return;
    };

    for step in steps.iter_mut().filter(|step| is_by_a_record(step)) {
        let text = format!(
            "{}; the files here have {org}'s record with serial {serial}, which the running \
             gateway has not read",
            step.text
        );
        *step = Step {
            text,
            ..step.clone().with(Remedy::ringway("reload"))
        };
    }
}

/// An organization whose record in the files is newer than the one that runs here, and than which
/// a peer holds another one.
fn newer(
    report: &Report,
    serial_in_files: impl Fn(&OrgId) -> Option<u64>,
) -> Option<(String, u64)> {
    let mut differences = report.tunnels.iter().flat_map(|it| &it.record_drift);

    differences.find_map(|difference| {
        let in_files = serial_in_files(&difference.org.parse().ok()?)?;
        let running = difference.ours.as_ref().map_or(0, |held| held.serial);
        (in_files > running).then(|| (difference.org.clone(), in_files))
    })
}

fn is_by_a_record(step: &Step) -> bool {
    matches!(
        step.verdict,
        Verdict::ClaimRefused | Verdict::NotAnnounced | Verdict::OurPrefixRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::{HeldRecordReport, RecordDriftReport, TunnelReport};

    #[test]
    fn a_record_that_is_only_in_the_files_is_named_by_its_serial() {
        let held = |serial| {
            Some(HeldRecordReport {
                serial,
                digest: String::new(),
            })
        };
        let report = Report {
            tunnels: vec![TunnelReport {
                record_drift: vec![RecordDriftReport {
                    org: "beta".into(),
                    kind: "we-are-older".into(),
                    ours: held(60),
                    theirs: held(64),
                    what: String::new(),
                }],
                ..TunnelReport::default()
            }],
            ..Report::default()
        };

        assert_eq!(newer(&report, |_| Some(64)), Some(("beta".to_owned(), 64)));
        assert_eq!(newer(&report, |_| Some(60)), None);
        assert_eq!(newer(&report, |_| None), None);
        assert_eq!(newer(&Report::default(), |_| Some(64)), None);
    }
}
