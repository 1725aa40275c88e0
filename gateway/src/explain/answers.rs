//! Whether the host at this end answers members, and not only this gateway.

use super::{Diagnosis, Step, Verdict};

impl Diagnosis<'_> {
    /// The step about a host of this site that answers this gateway, and not the member. `of_all`:
    /// unanswered connections of all members, from a gateway that does not count each member's.
    pub fn silence(&self, of_all: Option<u64>) -> Option<Step> {
        let (member, host) = (self.far(), self.near());
        let (waiting, whose) = match self.rules.unanswered {
            0 => (of_all?, "members".to_owned()),
            waiting => (waiting, member.to_string()),
        };
        let went = went(waiting, &whose);

        // At a standby, the answers take another way.
        if let Some(active) = self.active_sibling() {
            let text = format!(
                "{went} to {host}, which answers this gateway; its answers to members go to \
                 {active}, the active gateway, and are not sent on from there"
            );
            let remedy = self.ask_there(active);
            return Some(Step::new(Verdict::AnswersElsewhere, text).with(remedy));
        }

        let text = format!(
            "{went} to {host}, and no answer of it has come by, although it answers this gateway"
        );
        let remedy = format!(
            "on {host}: ip route get {member} must lead to this gateway (in a cloud: the VPC's \
             route, and the source/destination check), and its own firewall must let members in"
        );
        Some(Step::new(Verdict::AnswersNobody, text).with(remedy))
    }
}

fn went(count: u64, whose: &str) -> String {
    match count {
        1 => format!("1 connection of {whose} went"),
        count => format!("{count} connections of {whose} went"),
    }
}
