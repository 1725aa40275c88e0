//! Owners that are silent, and for how long their names are answered.

use super::*;

#[test]
fn a_name_that_a_missing_gateway_may_have_fails_for_ten_minutes() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2\n*.w A 10.1.0.3"));
    let from_a = sender("a.org1", 1);
    stand.push(&from_a, &mut a);

    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    assert_eq!(stand.ask("x.w"), failed("SERVFAIL"), "b may have this name");

    stand.pass(hold::ABSENT - Duration::from_secs(10));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));
    stand.pass(Duration::from_secs(20));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));
    assert_eq!(stand.ask("x.w"), answered("10.1.0.3"));

    // A copy on disk counts, whatever its owner does.
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2"));
    stand.push(&sender("b.org1", 2), &mut b);
    stand.restart();
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));
}

#[test]
fn names_of_a_gateway_fail_after_its_hold_and_the_others_do_not() {
    let mut stand = Stand::new(&TWO);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2\nboth A 10.1.0.3"));
    let mut b = owner(fragment("b.org1", "only-b A 10.2.0.2\nboth A 10.2.0.3"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.push(&sender("b.org1", 2), &mut b);

    stand.replicator.forget(ConnId(2));
    stand.pass(HOUR - Duration::from_secs(60));
    assert_eq!(stand.ask("only-b"), answered("10.2.0.2"));
    stand.pass(Duration::from_secs(120));
    assert_eq!(stand.ask("only-b"), failed("SERVFAIL"));
    assert_eq!(stand.ask("both"), answered("10.1.0.3"));
    assert_eq!(stand.ask("nobody"), failed("NXDOMAIN"));

    stand.replicator.forget(ConnId(1));
    stand.pass(2 * HOUR);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
    assert_eq!(stand.ask("nobody"), failed("SERVFAIL"));

    // It is back, with the same names.
    stand.push(&sender("a.org1", 3), &mut a);
    stand.pass(Duration::from_secs(10));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    assert_eq!(stand.ask("only-b"), failed("SERVFAIL"));
}

#[test]
fn a_short_hold_survives_a_crash() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let minute = Duration::from_secs(60);
    stand.replicator.contacts.hold = minute;
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    for _ in 0..100 {
        stand.pass(Duration::from_secs(6));
    }

    // A crash, and half of the hold without a daemon.
    stand.now = stand.after(minute / 2);
    stand.restart();
    stand.replicator.contacts.hold = minute;
    stand.pass(Duration::from_secs(6));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
    stand.pass(minute);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));
}

#[test]
fn a_crash_does_not_bring_back_the_silence_of_an_owner_that_had_returned() {
    let mut stand = Stand::new(&["gw.org0", "a.org1"]);
    let mut a = owner(fragment("a.org1", "only-a A 10.1.0.2"));
    stand.push(&sender("a.org1", 1), &mut a);
    stand.pass(Duration::from_secs(6));
    stand.replicator.forget(ConnId(1));
    stand.pass(2 * HOUR);
    assert_eq!(stand.ask("only-a"), failed("SERVFAIL"));

    stand.push(&sender("a.org1", 2), &mut a);
    stand.pass(Duration::from_millis(100));
    stand.restart();
    stand.pass(Duration::from_secs(6));
    assert_eq!(stand.ask("only-a"), answered("10.1.0.2"));
}
