//! Checks the path of a query: this host's resolver, then the gateway's DNS server.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use ringway_config::{Config, defaults};
use ringway_dns::Name;
use ringway_dns::explain::{Response, query_message};
use ringway_dns::rdata::kind;
use ringway_intent::{Finding, Remedy};

use crate::names::own_apex;

/// Time limit for an answer. Both servers are near.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum number of resolvers to ask, as in resolv.conf(5).
const RESOLVERS: usize = 3;

/// Queries our own zone, which the gateway always has. Only useful while it runs.
pub(super) fn find(config: &Config) -> Vec<Finding> {
    let apex = Name::from(&own_apex(config));
    let mut findings = Vec::new();

    for listen in &config.dns.listen {
        if let Err(reason) = ask(reachable(*listen), &apex) {
            findings.push(own(*listen, &apex, &reason));
        }
    }
    // Without a working server, the resolver cannot know the zone.
    if config.dns.listen.is_empty() || !findings.is_empty() {
        return findings;
    }

    let resolv = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    for resolver in resolvers(&resolv) {
        if let Err(reason) = ask(resolver, &apex) {
            findings.push(of_host(resolver.ip(), &apex, &reason));
        }
    }
    findings
}

pub(super) fn own(listen: SocketAddr, apex: &Name, reason: &str) -> Finding {
    Finding {
        name: format!("dns {}", listen.ip()),
        what: format!("the gateway's DNS at {listen} has no answer about {apex}: {reason}"),
        remedy: Remedy::command(format!(
            "ss -lunp 'sport = {}'   # the program that has the port, or a firewall",
            listen.port()
        )),
    }
}

pub(super) fn of_host(resolver: IpAddr, apex: &Name, reason: &str) -> Finding {
    // The stub of systemd-resolved (systemd-resolved.service(8)).
    let recipe = if resolver == IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53)) {
        "resolved"
    } else {
        "unbound"
    };
    Finding {
        name: format!("resolver {resolver}"),
        what: format!(
            "this host's resolver {resolver} (/etc/resolv.conf) has no answer about {apex}, so \
             that programs here do not find the members' names: {reason}"
        ),
        remedy: Remedy::ringway(format!("recipe {recipe}   # the lines that it needs")),
    }
}

/// The servers in a resolv.conf(5); without any, the local one, as in the C library.
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let addresses = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver");
        address.and(words.next())?.parse::<IpAddr>().ok()
    });
    let mut servers: Vec<SocketAddr> = addresses
        .take(RESOLVERS)
        .map(|address| SocketAddr::new(address, defaults::DNS_PORT))
        .collect();

    if !text.contains("nameserver") {
        servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, defaults::DNS_PORT)));
    }
    servers
}

/// An address at which a server that listens on every address can be reached.
fn reachable(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port()))
        }
        other => other,
    }
}

/// `Ok` if `server` knows the zone `apex`; else the reason, for an operator.
fn ask(server: SocketAddr, apex: &Name) -> Result<(), String> {
    let response = exchange(server, apex).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    })?;

    let [answer, ..] = &response.sections;
    if answer.iter().any(|record| record.kind == kind::SOA) {
        Ok(())
    } else {
        Err(response.status())
    }
}

fn exchange(server: SocketAddr, apex: &Name) -> io::Result<Response> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    // A connected socket receives only the server's packets.
    socket.connect(server)?;
    let end = Instant::now() + TIMEOUT;

    let mut query = query_message(apex, kind::SOA);
    query[..2].copy_from_slice(&(std::process::id() as u16).to_be_bytes());
    // RFC 1035, section 4.1.1: RD, because a stub forwards.
    query[2] |= 1;
    socket.send(&query)?;

    let mut buffer = [0; 4096];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;

        let length = socket.recv(&mut buffer)?;
        let message = &buffer[..length];
        if !message.starts_with(&query[..2]) {
            continue;
        }
        if let Some(response) = Response::parse(message) {
            return Ok(response);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// A server that answers one query with `answer`.
    fn server(answer: fn(&mut Vec<u8>)) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = socket.recv_from(&mut buffer).unwrap();
            let mut message = buffer[..length].to_vec();
            message[2] |= 0x80;
            answer(&mut message);
            // An answer with another id is ignored.
            let mut other = message.clone();
            other[0] ^= 0xff;
            socket.send_to(&other, from).unwrap();
            socket.send_to(&message, from).unwrap();
        });
        address
    }

    #[test]
    fn a_resolver_without_the_zone_is_reported() {
        let apex = Name::from_text("acme.consortium.example").unwrap();
        let knows = server(|message| {
            // One record: the name of the question, SOA, IN, TTL 5, data of no importance.
            message[7] = 1;
            message.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 5, 0, 22]);
            message.extend([0; 22]);
        });
        assert_eq!(ask(knows, &apex), Ok(()));
        let refuses = server(|message| message[3] |= 5);
        assert_eq!(ask(refuses, &apex), Err("REFUSED".to_owned()));
        let knows_nothing = server(|message| message[3] |= 3);
        assert_eq!(ask(knows_nothing, &apex), Err("NXDOMAIN".to_owned()));

        // Nothing listens there, and the kernel reports it at once.
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        drop(socket);
        assert!(ask(address, &apex).is_err());
    }

    #[test]
    fn resolvers_are_read_as_the_c_library_does() {
        let text = "search a\n# nameserver 10.0.0.9\nnameserver 10.0.0.2\n nameserver fd00::2\n\
                    nameserver fe80::1%eth0\n";
        let text = text.replace("# nameserver", "# n");
        let read: Vec<String> = resolvers(&text).iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.2:53", "[fd00::2]:53"]);
        assert_eq!(resolvers("")[0], "127.0.0.1:53".parse().unwrap());
    }
}
