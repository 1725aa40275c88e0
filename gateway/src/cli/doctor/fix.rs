//! [`Fix`]: the command that fixes a finding, or why this host's operator has none.

use ringway_config::Config;
use ringway_intent::{Finding, Remedy};

use crate::admin::attention::Kind;
use crate::state::REMEDY;

/// What becomes of a range that two use.
const AGREE: &str = "the organizations must agree who uses the range, and hand out their records";

/// How to fix a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fix {
    /// A command.
    Command(Remedy),
    /// No command; the text says why, and who can act.
    NoCommand(String),
}

impl Fix {
    /// The fix of a finding of this program, which names its command.
    pub(super) fn named(finding: &Finding) -> Fix {
        Fix::command_or(finding, || no_command(finding, "none is known"))
    }

    /// The fix of a finding of this kind, which a gateway of `config` has reported.
    pub(super) fn of_kind(kind: Kind, finding: &Finding, config: &Config) -> Fix {
        let status = Remedy::ringway("status");

        match kind {
            // Findings of these kinds come with a specific command.
            Kind::Clock
            | Kind::DuplicateIdentity
            | Kind::ReloadRefused
            | Kind::CertificateRefused
            | Kind::KernelState
            | Kind::ForeignFirewall
            | Kind::ForeignRoute
            | Kind::PolicyTest
            | Kind::OurZoneRefused
            | Kind::TunnelDown
            | Kind::NeverMeet
            | Kind::NotAnnounced
            | Kind::SiteNetwork
            | Kind::Drained
            | Kind::AddressMissing
            | Kind::Grace => Fix::command_or(finding, || Fix::Command(status)),
            Kind::State => state(finding, config),
            Kind::CertificateExpiry | Kind::RevocationList => {
                others_must(finding, "its organization must hand over the newest one")
            }
            Kind::RecordsDiffer => others_must(
                finding,
                "the organization must hand its newest record to everybody; what it says is \
                 compared by telephone",
            ),
            Kind::KernelDrift => no_command(
                finding,
                "the program that changes it must be stopped; its name is all that is known of it",
            ),
            Kind::ZoneRefused | Kind::NamesLeftOut => no_command(
                finding,
                "the operator of that gateway must correct its names",
            ),
            Kind::ZoneStale => no_command(
                finding,
                "the names come back when their gateways can be reached again",
            ),
            Kind::AddressFailed => no_command(
                finding,
                "what should listen there must be started on its own host",
            ),
            Kind::PrefixConflict => no_command(finding, AGREE),
            Kind::PrefixRefused | Kind::OurPrefixRefused => others_must(finding, AGREE),
            Kind::Kubernetes => no_command(
                finding,
                "the cluster's Services, or this gateway's rights there, must be corrected",
            ),
            Kind::RecordWithheld | Kind::NoEffect => {
                no_command(finding, "the file named must be corrected")
            }
            Kind::Resolver => no_command(
                finding,
                "[dns] resolver in node.toml must name what this host's programs ask",
            ),
            Kind::Http | Kind::AdminSocket => no_command(
                finding,
                "the program or the file that has its address must go",
            ),
            Kind::SiteRefused => no_command(
                finding,
                "the site's organization and the one that is to serve it must hand out records \
                 that fit each other",
            ),
            Kind::Takeover => others_must(
                finding,
                "another program or host is in the way of the site's virtual address",
            ),
            Kind::Other => Fix::command_or(finding, || {
                no_command(finding, "only a gateway of another version knows this kind")
            }),
        }
    }

    /// The command in `finding`, or else `other`.
    fn command_or(finding: &Finding, other: impl FnOnce() -> Fix) -> Fix {
        if finding.remedy.is_command() {
            Fix::Command(finding.remedy.clone())
        } else {
            other()
        }
    }
}

/// If the state cannot be stored, the disk is checked. If it cannot be read, space is not the
/// cause.
fn state(finding: &Finding, config: &Config) -> Fix {
    let dir = config.state_dir.display();

    Fix::command_or(finding, || {
        // This remedy marks state that could not be written; otherwise it could not be read.
        if finding.remedy == REMEDY.into() {
            Fix::Command(Remedy::command(format!(
                "df -h {dir}; ls -ld {dir}   # {REMEDY}"
            )))
        } else {
            no_command(finding, "the file must come from a backup")
        }
    })
}

/// Another organization must act, unless the finding has a command.
fn others_must(finding: &Finding, reason: &str) -> Fix {
    Fix::command_or(finding, || no_command(finding, reason))
}

/// The reason in `finding`, or else `reason`.
fn no_command(finding: &Finding, reason: &str) -> Fix {
    Fix::NoCommand(match &finding.remedy {
        Remedy::None => reason.to_owned(),
        given => given.to_string(),
    })
}
