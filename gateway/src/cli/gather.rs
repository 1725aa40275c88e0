//! `ringway gather`: collects the status of this gateway and its host in one text without keys and
//! passwords (`redact`, `scrub`), for a request for help. It runs the commands that an operator
//! would run; if one fails, the text says so.

mod redact;
mod scrub;

use std::env::{self, current_exe};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use ringway_config::reading;

use self::scrub::Secrets;
use super::{ConfigFile, Failure, answer};

/// Maximum length of a command's output, so that the text fits into a mail.
const LONGEST: usize = 512 * 1024;

/// Our own verbs, each with the gateway's file.
const VERBS: [&str; 9] = [
    "check",
    "doctor",
    "status --all",
    "status --json",
    "policy show",
    "policy denied",
    "dns zones",
    "member list",
    "cert show",
];

/// Programs of the host.
const PROGRAMS: [&str; 5] = [
    "uname -a",
    "ip address",
    "ip rule",
    "ip route show table all",
    "nft list ruleset",
];

/// Arguments of `ringway gather`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Runs `ringway gather`.
pub fn run(args: &Args) -> Result<ExitCode, Failure> {
    let program = current_exe()?;
    let path = &args.config.path;
    let variables = env::vars_os().map(|(name, value)| (text_of(name), text_of(value)));
    let mut secrets = Secrets::of_environment(variables);
    let mut text = String::from(
        "This is for those who help with a gateway. It has no keys and no passwords, but names,\n\
         addresses and rules: read it before you hand it out.\n",
    );

    section(&mut text, "ringway version", &asked(&program, "version"));
    for verb in VERBS {
        let command = format!("{verb} -c {}", path.display());
        let answer = asked_about(&program, verb, path);
        section(&mut text, &format!("ringway {command}"), &answer);
    }
    section(
        &mut text,
        "ringway metrics",
        &asked_about(&program, "metrics", path),
    );
    let settings = file(path, &mut secrets);
    section(&mut text, &path.display().to_string(), &settings);
    for command in PROGRAMS {
        let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
        section(&mut text, command, &asked(Path::new(program), arguments));
    }

    // Whatever of it has come from where: no answer is trusted to have no secret.
    answer(scrub::text(&text, &secrets))
}

fn text_of(text: OsString) -> String {
    text.to_string_lossy().into_owned()
}

fn section(text: &mut String, heading: &str, body: &str) {
    let end = if body.ends_with('\n') { "" } else { "\n" };
    // Writing to a string does not fail.
    _ = write!(text, "\n===== {heading}\n\n{body}{end}");
}

fn asked_about(program: &Path, verb: &str, config: &Path) -> String {
    let mut command = Command::new(program);
    command.args(verb.split(' ')).arg("-c").arg(config);
    output(command)
}

fn asked(program: &Path, arguments: &str) -> String {
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    output(command)
}

/// The output of `command`, including errors.
fn output(mut command: Command) -> String {
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => return format!("(could not be run: {error})\n"),
    };

    let mut printed = output.stdout;
    printed.extend(output.stderr);
    let is_long = printed.len() > LONGEST;
    printed.truncate(LONGEST);

    let mut text = String::from_utf8_lossy(&printed).into_owned();
    if is_long {
        text += "\n(cut short)\n";
    }
    if !output.status.success() {
        text += &format!("({})\n", output.status);
    }
    text
}

/// The gateway's file as JSON, without comments.
fn file(path: &Path, secrets: &mut Secrets) -> String {
    match reading::read_text(path) {
        Ok(text) => redact::file(&text, secrets).unwrap_or_else(|| "(it is no TOML)\n".to_owned()),
        Err(error) => format!("(could not be read: {error})\n"),
    }
}
