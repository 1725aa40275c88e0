//! The daemon as the service of a manager, which here is the test: what it says by sd_notify(3).

use std::time::{Duration, SystemTime};

use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use ringway_lab::program;
use ringway_tests::certificate::{self, seconds_since_1970};
use ringway_tests::{Background, NotifySocket, Scene};

use crate::RINGWAY;

const GATEWAY: &str = "gw.org1";

/// How long the manager lets the service be silent.
const WATCHDOG: Duration = Duration::from_secs(4);

#[test]
fn tells_its_service_manager_when_it_serves_reloads_and_ends() {
    let mut scene = Scene::new("service", RINGWAY);
    scene.stop(GATEWAY);
    let manager = NotifySocket::bind(scene.beside(GATEWAY, "notify"));
    let daemon = start(&scene, &manager);
    manager.wait_for("READY=1");
    manager.wait_for("STATUS=2 of 2 tunnels up");

    scene.stop("gw.org0");
    manager.wait_for("STATUS=1 of 2 tunnels up");
    scene.start("gw.org0").expect("it starts again");
    manager.wait_for("STATUS=2 of 2 tunnels up");

    // By either way, and also if it is refused.
    program::output(&mut scene.ringway(GATEWAY, &["reload"])).expect("nothing is wrong");
    assert_reloads(&manager);
    daemon.signal(Signal::SIGHUP);
    assert_reloads(&manager);
    let config = scene.config(GATEWAY);
    let right = std::fs::read(&config).expect("it is there");
    std::fs::write(&config, "version = 1\n").expect("it can be written");
    daemon.signal(Signal::SIGHUP);
    assert_reloads(&manager);
    std::fs::write(&config, right).expect("it can be written");

    daemon.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    daemon.finish(Duration::from_secs(20));
    scene.close();
}

#[test]
fn a_loop_that_hangs_does_not_answer_the_watchdog() {
    let scene = Scene::new("watchdog", RINGWAY);
    scene.stop(GATEWAY);
    let manager = NotifySocket::bind(scene.beside(GATEWAY, "notify"));
    let daemon = start(&scene, &manager);
    manager.wait_for("READY=1");
    for _ in 0..4 {
        manager.wait_for("WATCHDOG=1");
    }

    // The loop is in the main thread; all others go on, that of the watchdog too.
    let main = Pid::from_raw(daemon.id().cast_signed());
    ptrace::seize(main, ptrace::Options::empty()).expect("it is not traced yet");
    ptrace::interrupt(main).expect("it is traced");
    waitpid(main, Some(WaitPidFlag::__WALL)).expect("it stops");
    assert!(
        manager.falls_silent("WATCHDOG=1", WATCHDOG, 4 * WATCHDOG),
        "nobody would restart it"
    );

    ptrace::detach(main, None).expect("it is stopped");
    manager.wait_for("WATCHDOG=1");
    daemon.stop(Signal::SIGTERM);
    scene.close();
}

#[test]
fn a_start_that_waits_for_the_right_time_asks_for_more_of_it() {
    let scene = Scene::new("service-clock", RINGWAY);
    scene.stop(GATEWAY);
    let now = seconds_since_1970(SystemTime::now());
    certificate::replace(&scene, GATEWAY, now + 3000..now + 3600);
    let manager = NotifySocket::bind(scene.beside(GATEWAY, "notify"));
    let daemon = start(&scene, &manager);
    manager.wait_for("STATUS=our certificate is valid from");
    for _ in 0..2 {
        manager.wait_for("EXTEND_TIMEOUT_USEC=30000000");
    }

    certificate::replace(&scene, GATEWAY, now - 60..now + 3600);
    manager.wait_for("READY=1");
    daemon.stop(Signal::SIGTERM);
    scene.close();
}

/// Starts the gateway as `manager` would.
fn start(scene: &Scene, manager: &NotifySocket) -> Background {
    let mut run = scene.ringway(GATEWAY, &["run"]);
    run.env("NOTIFY_SOCKET", manager.path());
    run.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
    Background::spawn(scene, "service", run)
}

/// A reload is said to begin, by the manager's clock, and to have ended.
fn assert_reloads(manager: &NotifySocket) {
    let begin = manager.wait_for("RELOADING=1");
    let time = begin.lines().nth(1).expect("it has a second line");
    let micros = time.strip_prefix("MONOTONIC_USEC=").expect("it is a time");
    assert!(micros.parse::<u64>().is_ok_and(|micros| micros > 0));
    manager.wait_for("READY=1");
}
