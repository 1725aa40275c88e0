//! `ringway lab demo`: creates a laboratory, shows step by step what a consortium gets, removes it.
//!
//! The laboratory is removed whether or not the steps pass, and also after Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::interrupt;
use crate::laboratory::{Lab, Options};
use crate::topology::{Equipment, LabName};

mod attached;
mod rights;
mod server;
mod siblings;
mod steps;

/// Number of lines of each gateway's log that are shown after a failure.
const LOG_LINES: usize = 15;

/// One line of the summary.
struct Row {
    title: &'static str,
    /// The observation of the step, or its failure.
    outcome: Result<String>,
    elapsed: Duration,
}

/// Removes the laboratory when dropped, in any case.
struct RemoveOnDrop(LabName);

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(self.0.clone()) {
            eprintln!("cannot remove the laboratory {}: {error:#}", self.0);
        }
    }
}

/// Runs the demonstration in the laboratory `name`; succeeds if every step passes.
pub(crate) fn run(name: LabName, ringway: PathBuf) -> Result<ExitCode> {
    interrupt::catch()?;
    let start = Instant::now();
    println!("Three organizations, three private networks, one mesh.\n");

    // The block removes the laboratory before the summary reports it.
    let rows = {
        let _remove = RemoveOnDrop(name.clone());
        run_steps(name, ringway)
    };

    print_table(&rows);
    let steps = 1 + steps::ALL.len();
    let passed = rows.iter().filter(|row| row.outcome.is_ok()).count();
    println!(
        "\n{passed} of {steps} steps passed in {:.1} s; the laboratory is gone.",
        start.elapsed().as_secs_f64()
    );
    Ok(if passed == steps {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_steps(name: LabName, ringway: PathBuf) -> Vec<Row> {
    let mut rows = vec![timed("the laboratory is built", || {
        build(name.clone(), ringway)
    })];

    // Even a laboratory that is only half built can be opened, to show its gateways' logs.
    let Some(mut lab) = Lab::open(name).ok().flatten() else {
        return rows;
    };
    if rows[0].outcome.is_ok() {
        for (title, step) in steps::ALL {
            if interrupt::check().is_err() {
                break;
            }
            rows.push(timed(title, || step(&mut lab)));
        }
    }

    if rows.iter().any(|row| row.outcome.is_err()) && interrupt::check().is_ok() {
        print_logs(&lab);
    }
    rows
}

fn build(name: LabName, ringway: PathBuf) -> Result<String> {
    let options = Options {
        binary: ringway,
        wan_filter: true,
        equipment: Equipment::ALL,
    };
    Lab::up(name, options, &mut |step| println!("    {step}"))?;
    Ok("3 organizations, 6 nodes, 4 gateways, 1 data centre, 1 WAN".into())
}

fn timed(title: &'static str, step: impl FnOnce() -> Result<String>) -> Row {
    println!("  {title} …");
    let start = Instant::now();
    let outcome = step();

    if let Err(error) = &outcome {
        println!("    ✗ {error:#}");
    }
    Row {
        title,
        outcome,
        elapsed: start.elapsed(),
    }
}

fn print_table(rows: &[Row]) {
    println!();
    for row in rows {
        let (mark, detail) = match &row.outcome {
            Ok(detail) => ('✓', detail.as_str()),
            Err(_) => ('✗', "failed, see above"),
        };
        println!(
            "  {mark} {:<50} {:>5.1} s   {detail}",
            row.title,
            row.elapsed.as_secs_f64()
        );
    }
}

fn print_logs(lab: &Lab) {
    for gateway in lab.topology().daemons() {
        println!("\n  the last lines of {}:", gateway.name);

        let log = std::fs::read_to_string(lab.log(&gateway.name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
            println!("    {line}");
        }
    }
}
