//! Which packets open a UDP flow, and for which side.

use super::*;

#[test]
fn the_first_packet_of_our_host_opens_and_replies_pass_for_three_minutes() {
    for out in ways_out() {
        let mut world = World::new(None);
        let reply = out.back().udp(123, 5000, b"");
        assert_eq!(world.arrives(BETA, &reply), dropped(Reason::Denied));
        assert_eq!(world.leaves(&out.udp(5000, 123, b"")), PASS);
        assert_eq!(world.arrives(BETA, &reply), PASS);
        let other = out.back().udp(124, 5000, b"");
        assert_eq!(world.arrives(BETA, &other), dropped(Reason::Denied));

        world.wait(seconds(180));
        assert_eq!(world.arrives(BETA, &reply), PASS);
        world.wait(seconds(1));
        assert_eq!(world.arrives(BETA, &reply), dropped(Reason::Denied));
    }
}

#[test]
fn answers_of_a_service_open_nothing() {
    for out in ways_out() {
        let mut world = World::new(Some(vec![allow(udp_port(5000))]));
        let question = out.back().udp(123, 5000, b"");
        assert_eq!(world.arrives(BETA, &question), PASS);
        assert_eq!(world.leaves(&out.udp(5000, 123, b"")), PASS);
        // A rule covers this answer too, although nobody has asked.
        assert_eq!(world.leaves(&out.udp(5000, 124, b"")), PASS);

        world.use_rules(&spec(None));
        assert_eq!(world.arrives(BETA, &question), dropped(Reason::Denied));
        assert_eq!(
            world.arrives(BETA, &out.back().udp(124, 5000, b"")),
            dropped(Reason::Denied)
        );
        // As long as our host sends, the flow stays theirs.
        for _ in 0..3 {
            assert_eq!(world.leaves(&out.udp(5000, 123, b"")), PASS);
            world.wait(seconds(170));
            assert_eq!(world.arrives(BETA, &question), dropped(Reason::Denied));
        }
    }
}

#[test]
fn a_flow_of_ours_stays_ours_when_a_rule_comes_and_goes() {
    let out = ways_out()[0];
    let mut world = World::new(None);
    world.leaves(&out.udp(5000, 123, b""));
    world.use_rules(&spec(Some(vec![allow(udp_port(5000))])));
    let reply = out.back().udp(123, 5000, b"");
    assert_eq!(world.arrives(BETA, &reply), PASS);
    world.use_rules(&spec(None));
    assert_eq!(world.arrives(BETA, &reply), PASS);
}

#[test]
fn after_a_restart_what_a_narrower_policy_took_away_does_not_become_ours() {
    let out = ways_out()[0];
    let reply = out.back().udp(123, 5000, b"");
    let mut narrower = spec(None);

    let forgetful = World::of(&narrower);
    forgetful.leaves(&out.udp(5000, 123, b""));
    assert_eq!(forgetful.arrives(BETA, &reply), PASS);

    narrower.former = vec![policy(Some(vec![allow(udp_port(5000))]))];
    let world = World::of(&narrower);
    assert_eq!(world.leaves(&out.udp(5000, 123, b"")), PASS);
    assert_eq!(world.arrives(BETA, &reply), dropped(Reason::Denied));
}
