//! `ringway lab demo`: builds a laboratory, shows what a consortium gets, step by step, and removes it,
//! whether or not the steps passed, and also after Ctrl-C.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::interrupt;
use super::laboratory::{Lab, Options};
use super::topology::{Kind, LabName};

mod steps;

/// How many lines of each gateway's log a failure shows.
const LOG_LINES: usize = 15;

/// One line of the summary.
struct Row {
    title: &'static str,
    outcome: Result<String>,
    elapsed: Duration,
}

/// Removes the laboratory on every way out.
struct Takedown(LabName);

impl Drop for Takedown {
    fn drop(&mut self) {
        if let Err(error) = Lab::down(self.0.clone()) {
            eprintln!("cannot remove the laboratory {}: {error:#}", self.0);
        }
    }
}

/// Runs the demonstration in a laboratory of its own; succeeds if every step passed.
pub fn run(name: LabName) -> Result<ExitCode> {
    interrupt::catch()?;
    let start = Instant::now();
    println!("Three organizations, three private networks, one mesh.\n");
    let rows = {
        let _takedown = Takedown(name.clone());
        rows(name)
    };
    let passed = rows.iter().filter(|row| row.outcome.is_ok()).count();
    let steps = 1 + steps::ALL.len();
    print_table(&rows);
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

fn rows(name: LabName) -> Vec<Row> {
    let mut lab = None;
    let mut rows = vec![timed("the laboratory is built", || {
        let options = Options::of_this_program()?;
        let (made, _) = Lab::up(name.clone(), options, &mut |step| println!("    {step}"))?;
        lab = Some(made);
        Ok("3 organizations, 6 nodes, 3 gateways, 1 WAN".into())
    })];
    let Some(mut lab) = lab.or_else(|| Lab::open(name).ok().flatten()) else {
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
    for Row {
        title,
        outcome,
        elapsed,
    } in rows
    {
        let (mark, detail) = match outcome {
            Ok(detail) => ('✓', detail.as_str()),
            Err(_) => ('✗', "failed, see above"),
        };
        println!(
            "  {mark} {title:<50} {:>5.1} s   {detail}",
            elapsed.as_secs_f64()
        );
    }
}

fn print_logs(lab: &Lab) {
    for gateway in lab.topology().of_kind(Kind::Gateway) {
        let log = std::fs::read_to_string(lab.log(&gateway.name)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        println!("\n  the last lines of {}:", gateway.name);
        lines
            .iter()
            .skip(lines.len().saturating_sub(LOG_LINES))
            .for_each(|line| println!("    {line}"));
    }
}
