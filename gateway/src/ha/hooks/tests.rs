//! The contract of the commands, with a stub that records its calls.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use super::*;

/// A program of a test, and what it records.
struct Stub {
    dir: PathBuf,
}

impl Stub {
    fn new(test: &str) -> Stub {
        let name = format!("ringway-hook-{}-{test}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir(&dir).expect("a new directory");
        Stub { dir }
    }

    /// A program that records its arguments and the role, and then does what `rest` says.
    fn program(&self, name: &str, rest: &str) -> Hook {
        let path = self.dir.join(name);
        let calls = self.calls_file();
        let script = format!(
            "#!/bin/sh\necho \"{name} $# $1 $RINGWAY_ROLE $RINGWAY_REASON $RINGWAY_EPOCH\" \
             >>{}\n{rest}\n",
            calls.display()
        );
        fs::write(&path, script).expect("it is written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");

        Hook {
            program: path.display().to_string(),
            arguments: vec!["one argument; $(not two)".to_owned()],
        }
    }

    fn calls_file(&self) -> PathBuf {
        self.dir.join("calls")
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.calls_file()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn wait_for_calls(&self, count: usize) -> Vec<String> {
        until("the calls", || self.calls().len() >= count).await;
        self.calls()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.dir);
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn call(hook: &Hook, trigger: Trigger) -> Call {
    let (role, epoch) = match trigger {
        Trigger::Active(epoch) => ("active", epoch),
        _ => ("standby", 0),
    };

    Call {
        hook: Some(hook.clone()),
        environment: vec![
            ("RINGWAY_ROLE", role.to_owned()),
            ("RINGWAY_REASON", "silent".to_owned()),
            ("RINGWAY_EPOCH", epoch.to_string()),
        ],
        trigger,
    }
}

struct Started {
    calls: watch::Sender<Call>,
    attention: Attention,
    status: Arc<HaStatus>,
    task: tokio::task::JoinHandle<()>,
}

fn start() -> Started {
    let attention = Attention::default();
    let status = Arc::new(HaStatus::default());
    let (calls, receiver) = watch::channel(Call::none());
    let task = tokio::spawn(HookRunner::new(attention.clone(), status.clone()).run(receiver));
    Started {
        calls,
        attention,
        status,
        task,
    }
}

/// True if this process runs: one that has ended may still wait for its parent.
fn runs(number: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();

    status.contains("State:") && !status.contains("State:\tZ")
}

#[tokio::test]
async fn each_role_runs_its_command_once_with_its_arguments_as_they_are() {
    let stub = Stub::new("once");
    let active = stub.program("active", "");
    let standby = stub.program("standby", "");
    let running = start();

    running.calls.send_replace(call(&standby, Trigger::Standby));
    stub.wait_for_calls(1).await;
    running
        .calls
        .send_replace(call(&active, Trigger::Active(7)));
    stub.wait_for_calls(2).await;
    // PeerVerdict again, with nothing new; then in a new epoch.
    running
        .calls
        .send_replace(call(&active, Trigger::Active(7)));
    running
        .calls
        .send_replace(call(&active, Trigger::Active(8)));
    let calls = stub.wait_for_calls(3).await;

    let argument = "1 one argument; $(not two)";
    assert_eq!(
        calls,
        [
            format!("standby {argument} standby silent 0"),
            format!("active {argument} active silent 7"),
            format!("active {argument} active silent 8"),
        ]
    );
    assert!(running.attention.list().is_empty());
    drop(running.calls);
    running.task.await.expect("it ends");
}

#[tokio::test]
async fn the_newest_role_ends_a_command_that_hangs_with_all_that_it_has_started() {
    let stub = Stub::new("newest");
    let started = stub.dir.join("started");
    let hangs = format!(
        "trap '' TERM; sleep 600 & echo $! >{}; sleep 600",
        started.display()
    );
    let active = stub.program("active", &hangs);
    let standby = stub.program("standby", "");
    let running = start();

    running
        .calls
        .send_replace(call(&active, Trigger::Active(1)));
    let number = || fs::read_to_string(&started).unwrap_or_default();
    until("what it starts", || number().ends_with('\n')).await;
    // Of these, the last one counts.
    running.calls.send_replace(call(&standby, Trigger::Standby));
    running
        .calls
        .send_replace(call(&active, Trigger::Active(1)));
    running.calls.send_replace(call(&standby, Trigger::Standby));
    let calls = stub.wait_for_calls(2).await;

    assert!(calls[1].starts_with("standby "), "{calls:?}");
    drop(running.calls);
    running.task.await.expect("it ends");
    assert_eq!(stub.calls().len(), 2);
    until("the end of what it had started", || !runs(number().trim())).await;
}

#[tokio::test]
async fn a_role_that_comes_back_runs_again_after_another_one_was_cut_short() {
    let stub = Stub::new("back");
    let active = stub.program("active", "");
    let standby = stub.program("standby", "sleep 600");
    let running = start();

    running
        .calls
        .send_replace(call(&active, Trigger::Active(1)));
    stub.wait_for_calls(1).await;
    until("the first to end", || state(&running) == "done").await;
    running.calls.send_replace(call(&standby, Trigger::Standby));
    stub.wait_for_calls(2).await;
    running
        .calls
        .send_replace(call(&active, Trigger::Active(1)));
    let calls = stub.wait_for_calls(3).await;

    assert!(calls[2].starts_with("active "), "{calls:?}");
}

#[tokio::test]
async fn a_failing_command_is_reported_and_retried_until_it_succeeds() {
    let stub = Stub::new("fails");
    let good = stub.dir.join("good");
    let rest = format!(
        "test -e {} && exit 0; printf 'no \\033[2Jroute'; yes | head -c 100000 >&2; exit 3",
        good.display()
    );
    let active = stub.program("active", &rest);
    let running = start();

    running
        .calls
        .send_replace(call(&active, Trigger::Active(1)));
    until("it to be said", || {
        running.attention.list().contains_key(FAILED)
    })
    .await;
    let what = running.attention.list()[FAILED].what.clone();
    assert!(what.contains("exit status: 3"), "{what}");
    assert!(what.contains(r"no \u{1b}[2Jroute"), "{what}");
    assert!(what.len() < 6 * OUTPUT_BOUND, "{} bytes", what.len());
    assert_eq!(state(&running), "failed");

    fs::write(&good, "").expect("it is written");
    stub.wait_for_calls(2).await;
    until("it to be over", || running.attention.list().is_empty()).await;
    until("its end", || state(&running) == "done").await;
}

/// What both outputs may keep.
const OUTPUT_BOUND: usize = 2 * 4096;

#[tokio::test]
async fn a_missing_program_is_reported() {
    let running = start();
    let missing = Hook {
        program: "/nowhere/take-over".to_owned(),
        arguments: Vec::new(),
    };

    running
        .calls
        .send_replace(call(&missing, Trigger::Active(1)));
    until("it to be said", || {
        running.attention.list().contains_key(FAILED)
    })
    .await;
    let what = running.attention.list()[FAILED].what.clone();
    assert!(
        what.contains("/nowhere/take-over") && what.contains("does not start"),
        "{what}"
    );
}

#[tokio::test]
async fn a_command_is_ended_when_its_time_is_over() {
    let stub = Stub::new("slow");
    let hook = stub.program("slow", "sleep 600");
    let mut child = Child::start(&hook, &[]).expect("it starts");

    let ended = child.wait(Duration::from_millis(100)).await;
    assert!(matches!(ended, Err(HookError::Slow(_))), "{ended:?}");
}

#[tokio::test]
async fn what_a_command_has_started_ends_with_it_even_if_it_ignores_the_signal() {
    let stub = Stub::new("group");
    let started = stub.dir.join("started");
    // The command itself ends with SIGTERM.
    let forks = format!(
        "sh -c 'trap \"\" TERM; echo $$ >{}; exec sleep 600' & sleep 600",
        started.display()
    );
    let hook = stub.program("forks", &forks);
    let mut child = Child::start(&hook, &[]).expect("it starts");
    let number = || fs::read_to_string(&started).unwrap_or_default();
    until("what it starts", || number().ends_with('\n')).await;

    let ended = child.wait(Duration::ZERO).await;
    assert!(matches!(ended, Err(HookError::Slow(_))), "{ended:?}");
    until("the end of what it had started", || !runs(number().trim())).await;
}

#[tokio::test]
async fn the_last_call_is_done_before_the_task_ends() {
    let stub = Stub::new("last");
    let standby = stub.program("standby", "sleep 0.2; echo over >>\"${0%/*}/calls\"");
    let running = start();

    running
        .calls
        .send_replace(call(&standby, Trigger::Shutdown));
    drop(running.calls);
    running.task.await.expect("it ends");
    assert_eq!(stub.calls().last().map(String::as_str), Some("over"));
}

fn state(running: &Started) -> String {
    let hook = running.status.hook.load();
    hook.as_ref()
        .as_ref()
        .map(|hook| hook.state.clone())
        .unwrap_or_default()
}
