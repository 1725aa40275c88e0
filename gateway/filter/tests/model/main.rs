//! The filter against a naive model of it: every verdict, on packets of many classes, in both
//! directions and families.
//!
//! The [model](model) is written from what the filter promises, in lists and maps, and never parses
//! a packet. With `RINGWAY_FILTER_PACKETS` the property test sees more packets, and `RINGWAY_SEED`
//! sets its seed. The [table](table) is the same by hand: packets as text, with the verdict that
//! each must get.
//!
//! Each check of the filter was taken away once, and a test failed. Where nothing is named, both
//! the property test and the table did; the class that differed is named.
//!
//! | without | differs |
//! |---|---|
//! | the tunnel's port, arriving, leaving | tunnel in a tunnel |
//! | a SYN is no reply | SYN as a reply, simultaneous open, odd flags |
//! | a SYN-ACK answers what a rule allows | SYN over the WAN, answers open nothing |
//! | ports, flags, end, former rules of grace | grace after a start, what was taken away |
//! | no grace for flows of theirs | the class of that name |
//! | rate of grace | `grace_is_a_thousand_segments_a_second_for_each_site` |
//! | flags of grace without end | grace without end |
//! | theirs let no TCP, no UDP in | rule narrowed in mid-stream, UDP of theirs stays theirs |
//! | theirs keep a tuple, answers make no flow | UDP of theirs, UDP first packets crossing |
//! | a segment from a low port, a RST makes no flow | segments of ours, answers open nothing |
//! | ids of echo replies, rules for echo requests | echo ids |
//! | receiver, site, flow, echo id of an ICMP error | forged ICMP errors, errors about our flows |
//! | no ICMP error by a flow of theirs | anything; ICMP errors about answers |
//! | kinds of ICMP, both ways | other ICMP |
//! | rules for protocols | protocols by number |
//! | the sending site is known | sites that nobody knows |
//! | offsets in headers and options, whole headers | fragments that overlap headers |
//! | verdict, life, id, receiver of a first fragment | fragments in order, that come late |
//! | routing headers | routing headers |
//! | lengths of TCP and UDP headers | packets that are cut off, lengths that lie |
//! | egress of TCP, segments, UDP, echo, errors | egress of names only, no egress |
//! | names, the gateway's addresses, where `allow-egress` leads | no egress, DNS and gateway |
//! | an organization's own gateways | origins of rules |
//! | each of the five idle times, who refreshes | the class of its name |
//! | what is given up first | `unanswered_connections_give_way_to_answered_ones_of_the_same_host` |
//! | both addresses of a record | `a_record_is_believed_about_our_addresses_alone` |
//! | serial arithmetic | `the_highest_acknowledgement_since_the_syn_is_kept_in_serial_arithmetic` |

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

mod classes;
mod course;
mod ends;
mod model;
mod packet;
mod pressure;
mod records;
mod rng;
mod table;
mod world;

use std::time::Duration;

use course::{Course, Tally};

/// Packets of the short form.
const PACKETS: u64 = 60_000;

#[test]
fn the_filter_and_the_model_agree_on_every_packet() {
    let packets = number("RINGWAY_FILTER_PACKETS").unwrap_or(PACKETS);
    let seed = number("RINGWAY_SEED").unwrap_or(0x5eed);
    let classes = classes::all();

    let mut tally = Tally::default();
    let mut round = 0;
    while tally.packets < packets {
        tally.add(run_each_class_once(&classes, seed.wrapping_add(round)));
        round += 1;
    }

    println!(
        "result: {} packets of {} classes, {} passed, {} wrong deliveries, {} false drops (seed \
         {seed})",
        tally.packets,
        tally.classes.len(),
        tally.passed,
        total(&tally.wrong_deliveries),
        total(&tally.false_drops),
    );
    assert!(
        tally.agrees(),
        "wrong deliveries {:#?}, false drops {:#?}, wrong forms {:#?}",
        tally.wrong_deliveries,
        tally.false_drops,
        tally.wrong_forms
    );
    assert!(tally.classes.len() >= 30);
    assert!(tally.passed * 5 > tally.packets, "hardly anything passes");
}

/// One course through all classes, in an order of its own.
fn run_each_class_once(classes: &[classes::Class], seed: u64) -> Tally {
    let mut course = Course::new(seed, "fabric");
    let first = course.rng.below(classes.len() as u64) as usize;

    for offset in 0..classes.len() {
        let (name, run) = classes[(first + offset) % classes.len()];
        course.class = name;
        run(&mut course);
        // Grace of a class must not reach into the next one.
        course.pass(Duration::from_secs(130));
    }
    course.tally
}

fn total(differences: &course::Differences) -> u64 {
    differences.values().map(|(count, _)| count).sum()
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
