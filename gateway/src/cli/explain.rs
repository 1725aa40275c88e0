//! `ringway explain`: why one host reaches another or does not, as a gateway between them knows it.
//! If both ends have addresses of both families, both are explained.

mod beside;
mod ends;
mod naming;
mod report;
mod resolved;
mod resolving;
mod unread;
mod way;

use std::process::ExitCode;

use ringway_config::{Asked, OrgId, Party};

use self::beside::{elsewhere, within};
use self::ends::{Between, Found, find, party, service};
use self::naming::{names, no_family, unknown_end};
use self::report::{Explanation, Way, text};
use self::way::follow;
use super::policy::Files;
use super::remedy;
use super::{ConfigFile, Failure, answer, answer_json};
use crate::admin::{Report, attention, socket};
use crate::explain::{Family, Step, Verdict};
use crate::policy::Judge;

/// Arguments of `ringway explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The host that opens the connection: a name or an address
    pub from: String,
    /// The host to which it is opened: a name or an address
    pub to: String,
    /// The port, of TCP unless it says otherwise: 7051, 53/udp; or the name of a service that rules
    /// know, such as fabric-peer. Without it, an echo
    #[arg(long, value_name = "PORT[/PROTO]")]
    pub port: Option<String>,
    /// Ask and look, but open no connection
    #[arg(long)]
    pub no_probe: bool,
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The question, and what answers it.
struct Question<'a> {
    files: &'a Files,
    judge: &'a Judge<'a>,
    parties: [Party; 2],
    service: Asked,
    probes: bool,
}

/// Runs `ringway explain`. The exit code is 0 if no step fails, else 1; also 1 if this gateway is
/// not on the way.
pub fn run(args: Args) -> Result<ExitCode, Failure> {
    let files = Files::load(&args.config.path)?;
    let parties = [party(&files, &args.from)?, party(&files, &args.to)?];
    let mut judge = files.judge_with_names();
    if files.config.attach.is_some() {
        resolved::learn(&mut judge, &parties);
    }

    let question = Question {
        files: &files,
        judge: &judge,
        parties,
        service: service(&files, args.port.as_deref())?,
        probes: !args.no_probe,
    };
    let mut explanation = Explanation::new(&args, question.service);
    question.answer(&mut explanation)?;

    for step in &mut explanation.steps {
        step.remedy = remedy::for_gateway(&step.fix, &args.config.path);
    }
    if args.json {
        answer_json(&explanation)?;
    } else {
        answer(text(&explanation))?;
    }
    Ok(if explanation.works == Some(true) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

impl Question<'_> {
    fn answer(&self, explanation: &mut Explanation) -> Result<(), Failure> {
        let found = find(self.judge, &self.parties, self.service)?;

        let report = match self.ask() {
            Ok(report) => report,
            Err(step) => {
                explanation.add(*step);
                return Ok(());
            }
        };
        let ways = match found {
            Ok(ways) => ways,
            Err(unresolved) if self.is_node() => {
                explanation.add(resolved::unknown_end(&unresolved, &report));
                return Ok(());
            }
            Err(unresolved) => {
                explanation.add(unknown_end(&unresolved, &report));
                return Ok(());
            }
        };

        if ways.is_empty() {
            explanation.add(no_family(&self.parties, &report)?);
            return Ok(());
        }

        if !self.is_node() {
            let steps = resolving::steps(&self.files.config, &self.parties, &ways, &report);
            for step in steps {
                explanation.add(step);
            }
        }
        for found in &ways {
            let steps = self.steps(found, &report)?;
            explanation.add_way(Way::of(found), steps);
        }
        Ok(())
    }

    /// The status of the gateway, or why it says nothing about connections.
    fn ask(&self) -> Result<Report, Box<Step>> {
        let config = &self.files.config;
        let report = socket::ask(&config.socket).map_err(|error| {
            let step = Step::new(Verdict::GatewaySilent, format!("{error:#}"));
            Box::new(step.with(remedy::start(config)))
        })?;

        match waiting(&report) {
            None => Ok(report),
            Some(step) => Err(Box::new(step)),
        }
    }

    fn is_node(&self) -> bool {
        self.files.config.attach.is_some()
    }

    /// The organizations of both ends.
    fn orgs(&self, found: &Found) -> Vec<OrgId> {
        let ends = [found.opening.source, found.opening.destination];
        let sites = ends.iter().filter_map(|end| self.judge.remote_site(*end));
        let orgs = sites.map(|site| site.org.clone());

        orgs.chain([self.files.config.id.org.clone()]).collect()
    }

    /// Every step of one address family.
    fn steps(&self, found: &Found, report: &Report) -> Result<Vec<Step>, Failure> {
        let mut steps = if self.is_node() {
            resolved::names(&self.parties, found.opening)
        } else {
            names(&self.parties, found, report)
        };

        steps.extend(match found.between {
            Between::WithinSite => within(found, report, self.files, self.probes)?,
            Between::OtherSites => vec![elsewhere(found, self.files, self.judge)],
            _ => follow(found, report, self)?,
        });
        unread::correct(&mut steps, &self.files.config, report, &self.orgs(found));
        let family = Family::of(found.opening.source);
        for step in &mut steps {
            step.family = Some(family);
        }
        Ok(steps)
    }
}

/// The only step at a gateway that waits for the right time: it knows nothing else yet.
fn waiting(report: &Report) -> Option<Step> {
    let found = attention::waiting(report)?;

    let text = format!("it waits for the right time: {}", found.what);
    Some(Step::new(Verdict::GatewayWaits, text).with(found.fix()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::report::AttentionReport;

    #[test]
    fn a_gateway_that_waits_for_the_right_time_says_only_that() {
        let item = AttentionReport {
            kind: "clock".into(),
            name: "clock".into(),
            what: "our certificate is not valid yet".into(),
            since: String::new(),
            remedy: "timedatectl set-ntp true".into(),
            fix: ringway_intent::Remedy::command("timedatectl set-ntp true"),
        };
        let report = Report {
            attention: vec![item],
            ..Report::default()
        };

        let step = waiting(&report).unwrap();
        assert_eq!(step.verdict, Verdict::GatewayWaits);
        assert_eq!(
            step.text,
            "it waits for the right time: our certificate is not valid yet"
        );
        assert_eq!(step.remedy, "timedatectl set-ntp true");
        assert_eq!(waiting(&Report::default()), None);
    }
}
