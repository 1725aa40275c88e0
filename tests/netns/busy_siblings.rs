//! Two gateways of a site on a machine whose cores are all busy: nobody takes over for that.
//! `RINGWAY_BUSY_SECONDS` makes it longer (`tests/campaign siblings`).

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use ringway_tests::Scene;
use ringway_tests::scene::eventually;
use ringway_tests::siblings::{SIBLINGS, active, wait_until_it_holds};

use crate::RINGWAY;

/// How long, if nothing else is said.
const SHORT: u64 = 8;

#[test]
fn one_busy_thread_for_each_core_causes_no_takeover() {
    let seconds = std::env::var("RINGWAY_BUSY_SECONDS").ok();
    let seconds = seconds.map_or(SHORT, |text| text.parse().expect("a number"));
    let scene = Scene::with_siblings("busy-siblings", RINGWAY);
    eventually("one to be active", 20, || active(&scene).is_some());
    let gateway = active(&scene).expect("one is active");
    wait_until_it_holds(&scene, gateway);
    let epochs = || SIBLINGS.map(|sibling| scene.status(sibling)["role"]["epoch"].clone());
    let before = epochs();

    let end = Instant::now() + Duration::from_secs(seconds);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(move || {
                let mut number = 1_u64;
                while Instant::now() < end {
                    number = black_box(number.wrapping_mul(6_364_136_223_846_793_005));
                }
            });
        }
    });

    assert_eq!(epochs(), before, "a takeover");
    assert_eq!(active(&scene), Some(gateway));
    println!("result: {seconds} s beside {threads} busy threads, 0 takeovers");
    scene.close();
}
