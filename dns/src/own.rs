//! The own organization's zone, from the configuration: its records, and the SOA and NS that every
//! zone needs. `check`, `run` and a reload all come through here, so they refuse the same things.

use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use ringway_config::{Config, Digest, DnsData, DnsRecord, Fault, Place};

use crate::draft::{Draft, ZoneError};
use crate::name::Name;
use crate::rdata::kind;
use crate::replica;
use crate::serial::SerialStore;
use crate::zone::Zone;

/// Seconds after which a standard secondary would ask again, retry, and give up (RFC 1912, section 2.2).
const REFRESH_RETRY_EXPIRE: [u32; 3] = [60, 10, 1_209_600];

/// Why the own zone could not be made.
#[derive(Debug, thiserror::Error)]
pub enum OwnZoneError {
    /// The configuration's records are wrong.
    #[error("the zone's records have {} faults", .0.len())]
    Faults(Vec<Fault>),
    /// The serial could not be kept.
    #[error("the zone's serial could not be saved")]
    Serial(#[from] io::Error),
}

impl Zone {
    /// The zone that `config` describes, at `serial`; else every fault.
    ///
    /// Beside the records it has a SOA, and an NS that names this gateway, `<gateway>.<apex>`. If no
    /// record says that name's addresses, they are those that the server listens on.
    pub fn from_config(config: &Config, serial: u32) -> Result<Zone, Vec<Fault>> {
        let apex = Name::from(&config.own.domain.zone_of(&config.own.org));
        let mut draft = Draft::new(apex);
        let whole_file = || Place { file: config.path.clone().into(), line: 0, column: 0 };
        if let Err(error) = add_frame(&mut draft, config, apex, serial) {
            return Err(vec![fault(whole_file(), &error)]);
        }
        let mut faults = Vec::new();
        for record in &config.dns.records {
            if let Err(error) = add_record(&mut draft, record) {
                faults.push(fault(record.place.clone(), &error));
            }
        }
        if let Err(error) = replica::check_counts(draft.records(), draft.names()) {
            faults.push(Fault { place: whole_file(), message: error.to_string() });
        }
        match draft.finish() {
            Ok(zone) if faults.is_empty() => return Ok(zone),
            Ok(_) => (),
            Err(error) => faults.push(fault(whole_file(), &error)),
        }
        Err(faults)
    }

    /// The zone that `config` describes, at the serial that `serials` gives its content.
    pub fn own(config: &Config, serials: &mut SerialStore, now: SystemTime) -> Result<Zone, OwnZoneError> {
        let zone = Zone::from_config(config, 0).map_err(OwnZoneError::Faults)?;
        let serial = serials.serial_for(Digest::of(&zone.encode()), now)?;
        Ok(zone.with_serial(serial))
    }
}

fn add_record(draft: &mut Draft, record: &DnsRecord) -> Result<(), ZoneError> {
    let owner = name_of(&record.name)?;
    match &record.data {
        DnsData::Address(address) => add_address(draft, &owner, record.ttl, *address),
        DnsData::Cname(target) => draft.add(&owner, kind::CNAME, record.ttl, name_of(target)?.as_wire()),
    }
}

fn name_of(text: &str) -> Result<Name, ZoneError> {
    Name::from_text(text).map_err(|reason| ZoneError::Name { text: text.into(), reason })
}

fn add_address(draft: &mut Draft, owner: &Name, ttl: u32, address: IpAddr) -> Result<(), ZoneError> {
    match address {
        IpAddr::V4(v4) => draft.add(owner, kind::A, ttl, &v4.octets()),
        IpAddr::V6(v6) => draft.add(owner, kind::AAAA, ttl, &v6.octets()),
    }
}

/// The SOA, the NS, and this gateway's addresses unless the records say something about its name.
fn add_frame(draft: &mut Draft, config: &Config, apex: Name, serial: u32) -> Result<(), ZoneError> {
    let ttl = config.dns.ttl;
    let gateway = name_of(&format!("{}.{apex}", config.id.name))?;
    let mailbox = name_of(&format!("hostmaster.{apex}"))?;
    let mut soa = [gateway.as_wire(), mailbox.as_wire()].concat();
    let [refresh, retry, expire] = REFRESH_RETRY_EXPIRE;
    for number in [serial, refresh, retry, expire, ttl] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    draft.add(&apex, kind::SOA, ttl, &soa)?;
    draft.add(&apex, kind::NS, ttl, gateway.as_wire())?;
    if config.dns.records.iter().any(|record| name_of(&record.name) == Ok(gateway)) {
        return Ok(());
    }
    let addresses = config.dns.listen.iter().map(|listen| listen.ip());
    addresses.filter(|address| !address.is_loopback()).try_for_each(|a| add_address(draft, &gateway, ttl, a))
}

fn fault(place: Place, error: &ZoneError) -> Fault {
    Fault { place, message: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    use ringway_config::{Dns, Identity, Member, Revoked, Routes};

    use super::*;
    use crate::disk::tests::Scratch;

    fn place(line: u32) -> Place {
        Place { file: PathBuf::from("gateway.toml").into(), line, column: 1 }
    }

    fn config(listen: &[&str], records: Vec<DnsRecord>) -> Config {
        let own = Member {
            org: "org1".parse().unwrap(),
            domain: "consortium.example".parse().unwrap(),
            roots: Vec::new(),
            sites: Vec::new(),
            gateways: Vec::new(),
            revoked: Revoked::default(),
            digest: Digest::of(b""),
            place: place(0),
        };
        Config {
            path: "gateway.toml".into(),
            id: "gw.org1".parse().unwrap(),
            site: "east".parse().unwrap(),
            listen: "0.0.0.0:4600".parse().unwrap(),
            identity: Identity { certificate: PathBuf::new(), key: PathBuf::new() },
            own,
            members: Vec::new(),
            members_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            socket: PathBuf::new(),
            tun: "ringway0".into(),
            routes: Routes { table: 4600, protocol: 146, mark: 1 },
            reserved: Vec::new(),
            dns: Dns { listen: listen.iter().map(|l| l.parse().unwrap()).collect(), ttl: 5, records },
            policy: None,
        }
    }

    fn record(line: u32, name: &str, data: DnsData) -> DnsRecord {
        DnsRecord { name: format!("{name}org1.consortium.example"), ttl: 30, data, place: place(line) }
    }

    fn address(line: u32, name: &str, address: &str) -> DnsRecord {
        record(line, name, DnsData::Address(address.parse().unwrap()))
    }

    fn alias(line: u32, name: &str, target: &str) -> DnsRecord {
        record(line, name, DnsData::Cname(target.into()))
    }

    fn lines(zone: &Zone) -> Vec<String> {
        let mut lines = Vec::new();
        zone.rrsets(|owner, set| {
            let owner = owner.to_string().replace("org1.consortium.example", "@");
            let data: Vec<_> = set.data().map(|data| data.escape_ascii().to_string()).collect();
            lines.push(format!("{owner} {} {} {}", set.ttl(), set.kind(), data.join(" ")));
        });
        lines
    }

    const SOA: &str = r"@ 5 6 \x02gw\x04org1\nconsortium\x07example\x00\nhostmaster\x04org1\nconsortium\x07example\x00\x00\x00\x00\t\x00\x00\x00<\x00\x00\x00\n\x00\x12u\x00\x00\x00\x00\x05";
    const NS: &str = r"@ 5 2 \x02gw\x04org1\nconsortium\x07example\x00";

    #[test]
    fn a_zone_has_its_records_a_soa_and_this_gateway_as_its_server() {
        let records = vec![
            address(1, "peer0.", "10.1.0.11"),
            address(2, "peer0.", "10.1.0.12"),
            address(3, "peer0.", "fd00:1::11"),
            alias(4, "ca.", "peer0.org2.consortium.example"),
        ];
        let zone = Zone::from_config(&config(&["10.1.0.1:53", "127.0.0.1:53"], records), 9).unwrap();
        let expected = [
            NS,
            SOA,
            r"ca.@ 30 5 \x05peer0\x04org2\nconsortium\x07example\x00",
            r"gw.@ 5 1 \n\x01\x00\x01",
            r"peer0.@ 30 1 \n\x01\x00\x0b \n\x01\x00\x0c",
            r"peer0.@ 30 28 \xfd\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x11",
        ];
        assert_eq!(lines(&zone), expected);
    }

    #[test]
    fn the_records_word_about_the_gateways_name_stands() {
        let records = vec![address(1, "gw.", "10.1.0.9")];
        let zone = Zone::from_config(&config(&["10.1.0.1:53"], records), 9).unwrap();
        assert_eq!(lines(&zone), [NS, SOA, r"gw.@ 30 1 \n\x01\x00\t"]);
    }

    #[test]
    fn every_fault_is_reported_at_its_place() {
        let records = vec![
            alias(1, "", "elsewhere.example"),
            address(2, "peer0.", "10.1.0.11"),
            alias(3, "peer0.", "elsewhere.example"),
            alias(4, "a..b", "elsewhere.example"),
            address(5, "peer1.x", "10.1.0.12"),
        ];
        let faults = Zone::from_config(&config(&[], records), 9).unwrap_err();
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(
            faults,
            [
                "gateway.toml:1:1: org1.consortium.example has a CNAME and can have no other record",
                "gateway.toml:3:1: peer0.org1.consortium.example has a CNAME and can have no other record",
                "gateway.toml:4:1: \"a..borg1.consortium.example\" is no domain name: a label must have 1 to 63 octets",
                "gateway.toml:5:1: peer1.xorg1.consortium.example is outside the zone org1.consortium.example",
            ]
        );
    }

    #[test]
    fn the_serial_stays_with_the_content() {
        let scratch = Scratch::new();
        let mut serials = SerialStore::open(&scratch.path().join("serial")).unwrap();
        let mut own = |records, seconds| {
            let now = UNIX_EPOCH + Duration::from_secs(seconds);
            Zone::own(&config(&[], records), &mut serials, now).unwrap().serial()
        };
        assert_eq!(own(vec![], 1000), 1000);
        assert_eq!(own(vec![], 1001), 1000);
        assert_eq!(own(vec![address(1, "a.", "10.0.0.1")], 1000), 1001);
    }
}
