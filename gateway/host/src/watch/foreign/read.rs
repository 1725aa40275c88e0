//! Reads the base chains of other programs, with their tables, over netlink.

use std::io;

use rtnetlink::packet_core::{NLM_F_DUMP, NlasIterator};
use rtnetlink::sys::protocols::NETLINK_NETFILTER;

use super::evaluate::Ruleset;
use super::expression::{Expression, Verdict, read_verdict};
use super::set::Set;
use crate::netlink::raw::{Attributes, RawSocket, push_attribute};

/// linux/netfilter/nfnetlink.h: the subsystem, in the upper byte of each message type.
const NFTABLES: u16 = 10 << 8;
const GET_CHAIN: u16 = NFTABLES | 4;
const GET_RULE: u16 = NFTABLES | 7;
const GET_SET: u16 = NFTABLES | 10;
const GET_ELEMENTS: u16 = NFTABLES | 13;

/// Length of `struct nfgenmsg`.
const HEADER: usize = 4;
const TABLE: u16 = 1;

/// `NFT_SET_INTERVAL`: the set lists the starts and the ends of ranges.
const RANGES: u32 = 4;
/// `NFT_SET_CONCAT`: ranges over several fields, which are not understood.
const FIELDS: u32 = 128;
/// `NFT_SET_ELEM_INTERVAL_END` and `NFT_SET_ELEM_CATCHALL`.
const RANGE_END: u32 = 1;
const EVERYTHING: u32 = 2;

/// linux/netfilter_ipv4.h: `NF_IP_PRI_CONNTRACK`.
const PRIORITY_TRACKING: i32 = -200;

/// Maximum number of elements read of a set; with more, the set is not understood.
const ELEMENTS: usize = 4096;

/// Families of tables (linux/netfilter.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    Inet,
    V4,
    V6,
    Netdev,
}

/// A chain that is attached to a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BaseChain {
    pub(super) family: Family,
    pub(super) table: String,
    pub(super) name: String,
    pub(super) hook: Hook,
    /// Of the hooks `ingress` and `egress`: the only interfaces that the chain sees. A final `*`
    /// stands for every name that begins so.
    pub(super) devices: Vec<String>,
    /// Its policy is drop.
    pub(super) drops_rest: bool,
    /// Its priority is before connection tracking.
    pub(super) is_early: bool,
    /// iptables-legacy made it; nftables does not show it.
    pub(super) is_legacy: bool,
}

/// The hook of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hook {
    /// As a packet comes from an interface, before everything else.
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    /// As a packet is handed to an interface, after everything else.
    Egress,
}

impl BaseChain {
    /// False if the chain does not see what passes `interface`.
    pub(super) fn sees(&self, interface: &str) -> bool {
        let is_hooked = |device: &String| match device.strip_suffix('*') {
            Some(beginning) => interface.starts_with(beginning),
            None => device == interface,
        };

        !matches!(self.hook, Hook::Ingress | Hook::Egress) || self.devices.iter().any(is_hooked)
    }
}

impl Family {
    fn read(number: u8) -> Option<Family> {
        match i32::from(number) {
            1 => Some(Family::Inet),
            5 => Some(Family::Netdev),
            libc::AF_INET => Some(Family::V4),
            libc::AF_INET6 => Some(Family::V6),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Family::Inet => 1,
            Family::Netdev => 5,
            Family::V4 => libc::AF_INET as u8,
            Family::V6 => libc::AF_INET6 as u8,
        }
    }

    /// In the notation of `nft`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Family::Inet => "inet",
            Family::V4 => "ip",
            Family::V6 => "ip6",
            Family::Netdev => "netdev",
        }
    }

    /// The name in iptables.
    pub(super) fn iptables(self) -> &'static str {
        match self {
            Family::V6 => "ip6tables",
            Family::V4 | Family::Inet | Family::Netdev => "iptables",
        }
    }

    pub(super) fn has(self, is_v4: bool) -> bool {
        match self {
            Family::Inet | Family::Netdev => true,
            Family::V4 => is_v4,
            Family::V6 => !is_v4,
        }
    }
}

/// Reads nftables in the network namespace of the thread that opened it.
pub(super) struct Reader {
    socket: RawSocket,
}

impl Reader {
    pub(super) fn open() -> io::Result<Reader> {
        Ok(Reader {
            socket: RawSocket::open(NETLINK_NETFILTER)?,
        })
    }

    /// The chains that see whole packets of this host and through it, in tables of other names than
    /// `own`.
    pub(super) fn base_chains(&mut self, own: &str) -> io::Result<Vec<BaseChain>> {
        let mut chains = Vec::new();

        self.list(GET_CHAIN, &request(0, &[]), |family, message| {
            let chain = read_chain(family, &Attributes(message));
            chains.extend(chain.filter(|chain| chain.table != own));
        })?;
        Ok(chains)
    }

    /// Every rule of a table, and its sets.
    pub(super) fn table(&mut self, family: Family, table: &str) -> io::Result<Ruleset> {
        let mut ruleset = Ruleset::default();
        let name = zero_terminated(table);
        let of_table = request(family.number(), &[(TABLE, &name)]);
        let is_ours = |found: Option<Family>, message: &[u8]| {
            found == Some(family) && Attributes(message).find(TABLE).as_ref() == Some(&name)
        };

        // Chains are listed by themselves, since one without rules is the target of jumps, too.
        self.list(GET_CHAIN, &of_table, |found, message| {
            if is_ours(found, message) {
                let chain = Attributes(message).find(3).unwrap_or_default();
                ruleset.chains.entry(text(&chain)).or_default();
            }
        })?;
        self.list(GET_RULE, &of_table, |found, message| {
            if is_ours(found, message) {
                let chain = Attributes(message).find(2).unwrap_or_default();
                let steps = Attributes(message).find(4).unwrap_or_default();
                let rule = NlasIterator::new(steps.as_slice())
                    .flatten()
                    .map(|step| Expression::read(step.value()))
                    .collect();
                ruleset.chains.entry(text(&chain)).or_default().push(rule);
            }
        })?;

        let mut sets = Vec::new();
        self.list(GET_SET, &of_table, |found, message| {
            let flags = Attributes(message).number(3).unwrap_or_default();
            let name = Attributes(message).find(2);
            if is_ours(found, message) && flags & FIELDS == 0 {
                sets.extend(name.map(|name| (name, flags & RANGES != 0)));
            }
        })?;
        for (set, has_ranges) in sets {
            if let Some(read) = self.read_set(family, &name, &set, has_ranges)? {
                ruleset.sets.insert(text(&set), read);
            }
        }
        Ok(ruleset)
    }

    /// `None` if the set is not understood.
    fn read_set(
        &mut self,
        family: Family,
        table: &[u8],
        set: &[u8],
        has_ranges: bool,
    ) -> io::Result<Option<Set>> {
        let request = request(family.number(), &[(TABLE, table), (2, set)]);
        let mut elements = Vec::new();
        let mut is_understood = true;

        self.list(GET_ELEMENTS, &request, |_, message| {
            let list = Attributes(message).find(3).unwrap_or_default();
            for element in NlasIterator::new(list.as_slice()).flatten() {
                let element = Attributes(element.value());
                let key = element.find(1).and_then(|key| Attributes(&key).find(1));
                let flags = element.number(3).unwrap_or_default();
                let verdict = element.find(2).and_then(|data| verdict_of(&data));
                is_understood &= flags & EVERYTHING == 0 && elements.len() < ELEMENTS;
                if is_understood {
                    elements.extend(key.map(|key| (key, flags & RANGE_END != 0, verdict)));
                }
            }
        })?;
        Ok(is_understood.then(|| Set::of(elements, has_ranges)))
    }

    fn list(
        &mut self,
        kind: u16,
        request: &[u8],
        mut each: impl FnMut(Option<Family>, &[u8]),
    ) -> io::Result<()> {
        let answer = self.socket.ask(kind, NLM_F_DUMP, request, |_, message| {
            if let Some((header, attributes)) = message.split_at_checked(HEADER) {
                each(Family::read(header[0]), attributes);
            }
        });

        match answer {
            // It was deleted meanwhile.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn read_chain(family: Option<Family>, chain: &Attributes<'_>) -> Option<BaseChain> {
    // These translate addresses, see the first packet of a connection alone, and hardly ever drop.
    if text(&chain.find(7).unwrap_or_default()) == "nat" {
        return None;
    }
    let called = chain.find(4)?;
    let called = Attributes(&called);
    let family = family?;
    let hook = Hook::read(family, called.number(1)?)?;
    let priority = called.number(2)? as i32;
    let is_first = priority <= PRIORITY_TRACKING;

    Some(BaseChain {
        family,
        table: text(&chain.find(TABLE)?),
        name: text(&chain.find(3)?),
        hook,
        devices: devices(&called),
        // linux/netfilter.h: NF_DROP is 0.
        drops_rest: chain.number(5) == Some(0),
        is_early: match hook {
            Hook::Ingress | Hook::Egress => true,
            Hook::Prerouting | Hook::Output => is_first,
            Hook::Input | Hook::Forward | Hook::Postrouting => false,
        },
        is_legacy: false,
    })
}

impl Hook {
    /// linux/netfilter.h: `enum nf_inet_hooks` and `nf_dev_hooks`.
    fn read(family: Family, number: u32) -> Option<Hook> {
        match (family, number) {
            (Family::Netdev, 0) | (Family::Inet, 5) => Some(Hook::Ingress),
            (Family::Netdev, 1) => Some(Hook::Egress),
            (Family::Netdev, _) => None,
            (_, 0) => Some(Hook::Prerouting),
            (_, 1) => Some(Hook::Input),
            (_, 2) => Some(Hook::Forward),
            (_, 3) => Some(Hook::Output),
            (_, 4) => Some(Hook::Postrouting),
            _ => None,
        }
    }
}

/// The interfaces of `enum nft_hook_attributes`: one by itself, or a list of names and of how names
/// begin.
fn devices(called: &Attributes<'_>) -> Vec<String> {
    let mut devices = Vec::from_iter(called.find(3).map(|name| text(&name)));

    let list = called.find(4).unwrap_or_default();
    for device in NlasIterator::new(list.as_slice()).flatten() {
        let name = text(device.value());
        devices.push(if device.kind() == 2 { name + "*" } else { name });
    }
    devices
}

fn verdict_of(data: &[u8]) -> Option<Verdict> {
    match read_verdict(data)? {
        Expression::Verdict(verdict) => Some(verdict),
        _ => None,
    }
}

/// A request: `struct nfgenmsg`, and the attributes.
fn request(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![family, 0, 0, 0];

    for (kind, value) in attributes {
        push_attribute(&mut bytes, *kind, value);
    }
    bytes
}

fn zero_terminated(name: &str) -> Vec<u8> {
    name.bytes().chain([0]).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned()
}
