//! The table of `packets.txt`: packets by hand, each with the verdict that it must get, from the
//! filter and from the model.
//!
//! ```text
//! == class                                   begins a class: no flows, no grace, policy fabric
//! policy fabric | restart | takeover | forget | endless on | endless off | wait 130s
//! in  east:40000 > peer0:7051 tcp S    pass  out of the tunnel of a gateway of the source's site
//! in  by west east:40000 > …           drop  out of the tunnel of another site's gateway
//! out peer0:40000 > east:7051 udp      pass  of a host of our site
//! ```
//! Hosts are those of [`world`](crate::world), ports 0 if none is written. What follows the kind:
//! `first 7`, `later 7 4`, `inside 7`, `headless 7 8` make a fragment with id 7, `chain 0,60` adds
//! options or extension headers, `first-options 7` and `inside-options 7` are about TCP options,
//! `cut 3` leaves as many bytes behind the IP header. Every line is
//! tried over IPv4 and IPv6.

use std::net::IpAddr;
use std::str::SplitWhitespace;
use std::time::Duration;

use crate::course::Course;
use crate::model::Decision;
use crate::packet::{
    ACK, Content, FIN, PSH, Packet, Quoted, QuotedPorts, RST, SYN, broken, cut, first_with_options,
    first_without_header, fragments, header_len, inside_header, inside_options, later, packet,
    segment, with_extensions,
};
use crate::world::{EAST, GAMMA, GW, HERE, IDC, JOB0, JOB1, PEER0, PEER1, WEST, address};

const PACKETS: &str = include_str!("packets.txt");

#[test]
fn each_packet_of_the_table_gets_its_verdict() {
    let mut classes = 0;
    let mut faults = Vec::new();
    for v6 in [false, true] {
        for class in PACKETS.split("\n== ").skip(1) {
            classes += 1;
            faults.extend(run(class, v6));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    assert!(classes >= 2 * 30, "only {classes} classes");
}

/// The lines of one class whose verdict is another one.
fn run(class: &str, v6: bool) -> Vec<String> {
    let (name, lines) = class.split_once('\n').unwrap();
    let mut course = Course::new(7, "fabric");
    let mut packets = 0;
    let mut faults = Vec::new();

    for line in lines.lines() {
        let line = line.split('#').next().unwrap().trim();
        let mut words = line.split_whitespace();
        match words.next() {
            None => {}
            Some(way @ ("in" | "out")) => {
                packets += 1;
                let (found, expected) = send(&mut course, way, words, v6);
                let same_as_model = course.tally.agrees();
                if found != expected || !same_as_model {
                    faults.push(format!(
                        "{name}, IPv6 {v6}: {found:?}, model {same_as_model}: {line}"
                    ));
                    course.tally = Default::default();
                }
            }
            Some(command) => happen(&mut course, command, words),
        }
    }

    assert!(packets >= 10, "{name} has {packets} packets");
    faults
}

fn happen(course: &mut Course, command: &str, mut words: SplitWhitespace<'_>) {
    match (command, words.next()) {
        ("policy", Some(name)) => course.policy(name),
        ("restart", None) => course.restart(),
        ("takeover", None) => course.begin_grace(),
        ("forget", None) => course.forget_former(),
        ("endless", Some(state)) => course.set_endless_grace(state == "on"),
        ("wait", Some(time)) => course.pass(duration(time)),
        other => panic!("{other:?} is no command"),
    }
}

fn duration(text: &str) -> Duration {
    if let Some(millis) = text.strip_suffix("ms") {
        return Duration::from_millis(millis.parse().unwrap());
    }
    Duration::from_secs(text.strip_suffix('s').unwrap().parse().unwrap())
}

/// Sends the packet that `words` describe; the verdict found and the one expected.
fn send(
    course: &mut Course,
    way: &str,
    words: SplitWhitespace<'_>,
    v6: bool,
) -> (Decision, Decision) {
    let mut words = words.peekable();
    let by = if words.peek() == Some(&"by") {
        words.next();
        Some(site_of(words.next().unwrap()))
    } else {
        None
    };
    let words: Vec<&str> = words.collect();
    let (expected, words) = words.split_last().unwrap();
    let source = End::parse(words[0], v6);
    let destination = End::parse(words[2], v6);
    let packet = made(source, destination, &words[3..], v6);

    let found = if way == "out" {
        course.leaves(&packet)
    } else {
        course.arrives(by.unwrap_or_else(|| site_of(words[0])), &packet)
    };
    (found, verdict(expected))
}

fn verdict(word: &str) -> Decision {
    match word {
        "pass" => Decision::Pass,
        "drop" => Decision::Drop,
        "wait" => Decision::Wait,
        other => panic!("{other} is no verdict"),
    }
}

/// The site of a host such as `east:40000`.
fn site_of(word: &str) -> u32 {
    match word.split(':').next().unwrap() {
        "east" => EAST,
        "west" => WEST,
        "gamma" => GAMMA,
        "idc" => IDC,
        "nowhere" => 77,
        _ => HERE,
    }
}

/// An address and a port.
#[derive(Debug, Clone, Copy)]
struct End {
    address: IpAddr,
    port: u16,
}

impl End {
    fn parse(word: &str, v6: bool) -> End {
        let (name, port) = word.split_once(':').unwrap_or((word, "0"));
        let host = match name {
            "gw" => GW,
            "peer0" => PEER0,
            "peer1" => PEER1,
            "job0" => JOB0,
            "job1" => JOB1,
            _ => 5,
        };
        End {
            address: address(site_of(name), host, v6),
            port: port.parse().unwrap(),
        }
    }
}

fn made(source: End, destination: End, words: &[&str], v6: bool) -> Packet {
    let (content, rest) = content(source, destination, words, v6);
    let whole = packet(source.address, destination.address, content);
    let number = |at: usize| rest[at].parse::<u32>().unwrap();

    match rest.first() {
        None => whole,
        Some(&"first") => fragments(&whole, number(1), 4)[0].clone(),
        Some(&"later") => later(&whole, number(1), number(2) as u16, false),
        Some(&"inside") => inside_header(&whole, number(1)),
        Some(&"first-options") => first_with_options(&whole, number(1)),
        Some(&"inside-options") => inside_options(&whole, number(1)),
        Some(&"headless") => first_without_header(&whole, number(1), number(2) as usize),
        Some(&"cut") => cut(&whole, header_len(source.address) + number(1) as usize),
        Some(&"chain") => {
            let chain: Vec<u8> = rest[1]
                .split(',')
                .map(|kind| kind.parse().unwrap())
                .collect();
            with_extensions(&whole, &chain)
        }
        // IPv4 has no such header: its first options octet is as wrong.
        Some(&"routed") => {
            let mut bytes = with_extensions(&whole, &[crate::packet::ROUTING]).bytes;
            if !v6 {
                bytes[0] = 0x44;
            }
            broken(&whole, bytes)
        }
        Some(other) => panic!("{other} is nothing to do to a packet"),
    }
}

/// What the first words say a packet carries, and the words after them.
fn content<'a>(
    source: End,
    destination: End,
    words: &'a [&'a str],
    v6: bool,
) -> (Content, &'a [&'a str]) {
    let id = |at: usize| words[at].parse().unwrap();
    match words[0] {
        "tcp" => {
            let segment = segment(source.port, destination.port, flags(words[1]));
            (Content::Tcp(segment), &words[2..])
        }
        "udp" => {
            let content = Content::Udp {
                from: source.port,
                to: destination.port,
            };
            (content, &words[1..])
        }
        "echo" => (
            Content::Echo {
                reply: false,
                id: id(1),
            },
            &words[2..],
        ),
        "reply" => (
            Content::Echo {
                reply: true,
                id: id(1),
            },
            &words[2..],
        ),
        "redirect" => (Content::OtherIcmp, &words[1..]),
        "protocol" => (Content::Protocol(words[1].parse().unwrap()), &words[2..]),
        "error" => (Content::Error(quoted(&words[1..5], v6)), &words[5..]),
        other => panic!("{other} is no kind of packet"),
    }
}

/// `tcp peer0:40000 > east:7051`. For echo the port of our host is the id.
fn quoted(words: &[&str], v6: bool) -> Quoted {
    let from = End::parse(words[1], v6);
    let to = End::parse(words[3], v6);
    let ports = match words[0] {
        "tcp" => QuotedPorts::Tcp(from.port, to.port),
        "udp" => QuotedPorts::Udp(from.port, to.port),
        "echo" => QuotedPorts::Echo(from.port),
        "reply" => QuotedPorts::EchoReply(from.port),
        "missing" => QuotedPorts::Missing,
        number => QuotedPorts::Protocol(number.parse().unwrap()),
    };
    Quoted {
        source: from.address,
        destination: to.address,
        ports,
    }
}

fn flags(letters: &str) -> u8 {
    letters
        .chars()
        .map(|letter| match letter {
            'F' => FIN,
            'S' => SYN,
            'R' => RST,
            'P' => PSH,
            'A' => ACK,
            '-' => 0,
            other => panic!("{other} is no flag"),
        })
        .sum()
}
