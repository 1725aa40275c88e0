//! [`Nft`]: writes and compares our table in the kernel, with JSON for the program `nft`
//! (libnftables-json(5)). Each call is one transaction with a time limit.

use std::collections::BTreeMap;
use std::io;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use nftables::schema::Nftables;
use ringway_config::TunName;
use ringway_intent::{Checked, GuardSpec, Missing, Restoration, Thing};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::content::{Compared, Content};
use super::untracking::Untracking;
use super::{DropReason, FirewallError, Surroundings, conntrack, draft, rules};
use crate::watch::Authors;

/// Names of the program: the search path of a service manager or a user's shell may lack
/// `/usr/sbin`.
pub(crate) const PROGRAMS: [&str; 2] = ["nft", "/usr/sbin/nft"];
/// Time limit. A transaction takes milliseconds, but another one may hold the kernel's lock.
const NFT_TIMEOUT: Duration = Duration::from_secs(10);

/// How often the table is written again if others change the ruleset at the same time.
const ATTEMPTS: u32 = 3;

/// The table of one daemon in the kernel, in the network namespace of the calling thread.
#[derive(Debug)]
pub struct Nft {
    table: String,
    programs: &'static [&'static str],
    /// True while a table of this daemon is in force.
    applied: bool,
    /// The commands that made the table in force.
    commands: Vec<u8>,
    /// The expected content of the table.
    content: Content,
    /// Drop counters of earlier tables.
    replaced: BTreeMap<DropReason, u64>,
    untracking: Untracking,
}

impl Nft {
    /// The table for the TUN device `tun`, which has the same name. Changes nothing yet: a table
    /// that a crashed daemon has left stays in force until it is replaced.
    pub fn new(tun: &TunName) -> Nft {
        Nft {
            table: tun.to_string(),
            programs: &PROGRAMS,
            applied: false,
            commands: Vec::new(),
            content: Content::default(),
            replaced: BTreeMap::new(),
            untracking: Untracking::default(),
        }
    }

    /// For tests: a table that counts as in force but is missing, with a program that always fails.
    #[cfg(test)]
    pub(crate) fn refusing(tun: &TunName) -> Nft {
        Nft {
            programs: &["false"],
            applied: true,
            ..Nft::new(tun)
        }
    }

    /// The drop counters of the table in force.
    async fn counted(&self) -> Result<BTreeMap<DropReason, u64>, FirewallError> {
        let answer = nft(
            &["-j", "list", "counters", "table", "inet", &self.table],
            None,
        )
        .await?;

        let answer: Value = serde_json::from_slice(&answer).map_err(FirewallError::Answer)?;
        let counters = answer["nftables"].as_array().into_iter().flatten();

        Ok(counters
            .filter_map(|object| read_counter(&object["counter"]))
            .collect())
    }

    /// True if no packet filter of this host depends on connection tracking to accept packets to an
    /// open port. False if that is not known. While the ruleset is unchanged, this costs one
    /// request to the kernel.
    pub async fn can_untrack(&mut self) -> bool {
        let ruleset = (self.content.generation(), conntrack::has_legacy_filter());
        let begin = Instant::now();
        if let Some(known) = self.untracking.known(ruleset, begin) {
            return known;
        }

        let listing = nft(&["-j", "list", "ruleset"], None).await;
        let is_unused = listing.is_ok_and(|json| conntrack::is_unused(&json, &self.table));
        self.untracking
            .note(is_unused, ruleset, begin.elapsed(), Instant::now());
        is_unused
    }

    /// Replaces the rules in force by those of `spec`, in one transaction. After an error nothing
    /// has changed.
    pub async fn apply(
        &mut self,
        spec: &GuardSpec,
        surroundings: &Surroundings,
    ) -> Result<(), FirewallError> {
        // The counters of the new table start at zero. If the old table is gone, so are its
        // counters.
        let counted = if self.applied {
            self.counted().await.unwrap_or_default()
        } else {
            BTreeMap::new()
        };

        let commands = draft::write(&rules::replace(&self.table, spec, surroundings))
            .map_err(FirewallError::Answer)?;
        self.put_in_force(&commands).await?;
        // Only now: rules that were refused must not be restored later.
        self.commands = commands;
        self.applied = true;

        // Only now: after an error the old table, with these counters, is still in force.
        add(&mut self.replaced, counted);
        Ok(())
    }

    /// Carries out `commands` and records the resulting content. After an error nothing has
    /// changed.
    async fn put_in_force(&mut self, commands: &[u8]) -> Result<(), FirewallError> {
        for attempt in 0..ATTEMPTS {
            let before = self.content.generation();
            let carried_out = run(self.programs, &["-j", "-f", "-"], Some(commands)).await;
            match carried_out {
                Ok(_) => {}
                Err(error) if attempt == 0 => return Err(error),
                // They have been in force since the first attempt, but the current content may be
                // another program's: the next comparison restores ours.
                Err(error) => {
                    tracing::warn!(%error, "The guard may have been changed while it was set up");
                    self.content.forget();
                    break;
                }
            }

            // If others changed the ruleset meanwhile, the content may not be ours.
            if self.content.expect(&self.table, before) {
                break;
            }
        }
        Ok(())
    }

    /// Compares the table in force with the expected content. Restores it if another program has
    /// changed it, unless `leave` is set.
    pub async fn hold(&mut self, leave: bool, authors: &Authors, checked: &mut Checked) {
        if !self.applied {
            return;
        }

        let found = match self.content.compare(&self.table) {
            Ok(Compared::Same) => return,
            Ok(Compared::Changed) => "changed".to_owned(),
            Ok(Compared::Gone) => "gone".to_owned(),
            Err(error) => format!("not readable: {error}"),
        };
        let name = format!("nftables table inet {}", self.table);
        let restored = if leave {
            Err("it is changed again and again".to_owned())
        } else {
            let commands = self.commands.clone();
            let restored = self.put_in_force(&commands).await;
            restored.map_err(|error| error.to_string())
        };

        match restored {
            Ok(()) => checked.restored.push(Restoration {
                thing: Thing::Table,
                name,
                found,
                by: authors.of_table(),
            }),
            Err(reason) => checked.missing.push(Missing {
                thing: Thing::Table,
                name,
                reason: format!("{reason}; found {found}"),
            }),
        }
    }

    /// Removes the table; false if there is none. Before that, the TUN must be gone and forwarding
    /// that is ours must be off: fail closed.
    pub async fn remove(&mut self) -> Result<bool, FirewallError> {
        // If the kernel does not answer, the table may exist. Removing a missing one is no error.
        let is_gone = matches!(self.content.compare(&self.table), Ok(Compared::Gone));
        if !is_gone {
            transact(&rules::remove(&self.table)).await?;
        }

        self.applied = false;
        Ok(!is_gone)
    }

    /// Packets dropped so far, including those of replaced tables.
    pub async fn drops(&self) -> Result<BTreeMap<DropReason, u64>, FirewallError> {
        let mut drops = self.replaced.clone();
        if self.applied {
            add(&mut drops, self.counted().await?);
        }

        Ok(drops)
    }
}

fn add(sum: &mut BTreeMap<DropReason, u64>, more: BTreeMap<DropReason, u64>) {
    for (reason, packets) in more {
        *sum.entry(reason).or_default() += packets;
    }
}

fn read_counter(counter: &Value) -> Option<(DropReason, u64)> {
    let name = counter["name"].as_str()?;
    let reason = DropReason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == name)?;

    Some((reason, counter["packets"].as_u64()?))
}

pub(super) async fn transact(commands: &Nftables<'_>) -> Result<(), FirewallError> {
    let json = draft::write(commands).map_err(FirewallError::Answer)?;

    run_commands(&json).await
}

async fn run_commands(json: &[u8]) -> Result<(), FirewallError> {
    nft(&["-j", "-f", "-"], Some(json)).await.map(drop)
}

/// Runs `nft` and returns its output. Kills it after the time limit.
async fn nft(arguments: &[&str], input: Option<&[u8]>) -> Result<Vec<u8>, FirewallError> {
    run(&PROGRAMS, arguments, input).await
}

async fn run(
    programs: &[&str],
    arguments: &[&str],
    input: Option<&[u8]>,
) -> Result<Vec<u8>, FirewallError> {
    let child = spawn(programs, arguments)?;
    let input = input.unwrap_or_default();

    let output = match tokio::time::timeout(NFT_TIMEOUT, converse(child, input)).await {
        Ok(finished) => finished.map_err(FirewallError::Run)?,
        Err(_) => return Err(FirewallError::Timeout(NFT_TIMEOUT)),
    };

    if !output.status.success() {
        let lines = String::from_utf8_lossy(&output.stderr);
        let stderr = lines.lines().map(str::trim).filter(|line| !line.is_empty());

        return Err(FirewallError::Refused {
            stderr: stderr.take(4).collect::<Vec<_>>().join("; "),
        });
    }
    Ok(output.stdout)
}

fn spawn(programs: &[&str], arguments: &[&str]) -> Result<Child, FirewallError> {
    for program in programs {
        // At the time limit `timeout` drops the child, which kills the process.
        let mut command = Command::new(program);
        command.args(arguments).kill_on_drop(true);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());

        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FirewallError::Run(error)),
        }
    }

    Err(FirewallError::Missing)
}

async fn converse(mut child: Child, input: &[u8]) -> io::Result<Output> {
    if let Some(mut stdin) = child.stdin.take() {
        // Closes the pipe at the end of this block: nft starts when it has read all of its input.
        match stdin.write_all(input).await {
            // The program stopped reading its input; its stderr says why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }

    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A table that this host does not have: its content never equals the expected one.
    #[tokio::test]
    async fn an_error_after_the_first_attempt_does_not_bring_the_old_rules_back() {
        let dir = std::env::temp_dir().join(format!("ringway-nft-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let program = dir.join("nft");
        let calls = dir.join("calls");
        // A script that succeeds once and fails afterwards.
        let script = format!(
            "#!/bin/sh\ncat >/dev/null\necho >>{0}\ntest $(wc -l <{0}) = 1\n",
            calls.display()
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();

        let program: &str = program.to_str().unwrap().to_owned().leak();
        let mut nft = Nft::new(&"rw-none0".parse().unwrap());
        nft.programs = vec![program].leak();
        let first = nft.put_in_force(b"{}").await;
        let attempts = fs::read_to_string(&calls).unwrap().lines().count();
        let second = nft.put_in_force(b"{}").await;
        fs::remove_dir_all(&dir).unwrap();

        first.unwrap();
        assert_eq!(attempts, 2);
        assert!(matches!(second, Err(FirewallError::Refused { .. })));
    }

    #[tokio::test]
    async fn a_missing_program_is_named_with_its_package() {
        let error = spawn(&["nft-that-is-not-there", "/nowhere/nft"], &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("install the Debian package nftables")
        );
    }
}
