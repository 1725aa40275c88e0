//! [`AnswersReport`]: which hosts of the site answer what members open towards them, for `explain`
//! and `doctor`.

use std::net::IpAddr;

use ringway_filter::HostAnswers;
use serde::{Deserialize, Serialize};

/// Of the flows that are remembered, at most 1,024 hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswersReport {
    /// Each host towards which others have opened something.
    pub hosts: Vec<HostReport>,
}

/// One host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its address.
    pub address: IpAddr,
    /// Flows that it has answered.
    pub answered: u64,
    /// Flows of which no answer has come by.
    pub unanswered: u64,
}

impl AnswersReport {
    /// As the filter counts them.
    pub fn of(answers: &[HostAnswers]) -> AnswersReport {
        let hosts = answers.iter().map(|it| HostReport {
            address: it.host,
            answered: it.answered,
            unanswered: it.unanswered,
        });

        AnswersReport {
            hosts: hosts.collect(),
        }
    }

    /// How many flows towards `address` wait, if it has answered none at all.
    pub fn silent(&self, address: IpAddr) -> Option<u64> {
        let mut hosts = self.hosts.iter();
        let host = hosts.find(|it| it.address == address)?;

        (host.answered == 0 && host.unanswered > 0).then_some(host.unanswered)
    }

    /// How many flows wait, if no host has answered any.
    pub fn all_silent(&self) -> Option<u64> {
        let waiting = self.hosts.iter().map(|host| host.unanswered).sum();

        (waiting > 0 && self.hosts.iter().all(|host| host.answered == 0)).then_some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_silent_that_has_answered_nothing() {
        let host = |address: &str, answered, unanswered| HostReport {
            address: address.parse().unwrap(),
            answered,
            unanswered,
        };
        let mut report = AnswersReport {
            hosts: vec![host("10.1.0.11", 0, 3), host("10.1.0.12", 0, 4)],
        };
        assert_eq!(report.silent("10.1.0.11".parse().unwrap()), Some(3));
        assert_eq!(report.silent("10.1.0.13".parse().unwrap()), None);
        assert_eq!(report.all_silent(), Some(7));

        report.hosts[1].answered = 1;
        assert_eq!(report.silent("10.1.0.12".parse().unwrap()), None);
        assert_eq!(report.all_silent(), None);
        assert_eq!(AnswersReport::default().all_silent(), None);
    }
}
