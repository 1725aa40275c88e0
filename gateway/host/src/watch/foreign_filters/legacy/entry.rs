//! [`Entry`]: one rule of iptables-legacy, as the kernel has it in memory
//! (linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h).

use super::super::evaluate::{
    EQUAL, META_IIFNAME, META_L4PROTO, META_OIFNAME, NETWORK_HEADER, NOT_EQUAL,
};
use super::super::expression::{Expression, Verdict};
use super::super::extension::{REGISTER, extension, target};

/// Offsets of the fields in `struct ipt_entry` or `struct ip6t_entry`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// Bytes of an address.
    address: usize,
    /// Offsets of source and destination in the network header.
    header: [u32; 2],
    protocol: usize,
    flags: usize,
    inverted: usize,
    target_offset: usize,
    /// The length of the entry without its matches.
    pub(super) length: usize,
    /// The flag for `goto` instead of `jump`.
    goto_flag: u8,
    /// The flag for a match on fragments (IPv4) or on a traffic class (IPv6).
    extra_match_flag: u8,
}

pub(super) const V4: Layout = Layout {
    address: 4,
    header: [12, 16],
    protocol: 80,
    flags: 82,
    inverted: 83,
    target_offset: 88,
    length: 112,
    goto_flag: 2,
    extra_match_flag: 1,
};

pub(super) const V6: Layout = Layout {
    address: 16,
    header: [8, 24],
    protocol: 128,
    flags: 131,
    inverted: 132,
    target_offset: 140,
    length: 168,
    goto_flag: 4,
    extra_match_flag: 2,
};

// The bits of the field `invflags`.
const NOT_INPUT: u8 = 1;
const NOT_OUTPUT: u8 = 2;
const NOT_SOURCE: u8 = 8;
const NOT_DESTINATION: u8 = 16;
const NOT_PROTOCOL: u8 = 64;

/// Length of the name of an interface, and of the header of a match or a target.
const NAME: usize = libc::IFNAMSIZ;
const EXTENSION: usize = 32;

/// See the head of this file.
pub(super) struct Entry<'a> {
    bytes: &'a [u8],
    layout: Layout,
    /// Offset of the target.
    target: usize,
}

impl<'a> Entry<'a> {
    /// The entry at `offset`; `None` at the end of the table, or if it is malformed.
    pub(super) fn at(entries: &'a [u8], offset: usize, layout: Layout) -> Option<Entry<'a>> {
        let rest = entries.get(offset..)?;
        let target = u16_at(rest, layout.target_offset)?;
        let length = u16_at(rest, layout.target_offset + 2)?;

        let is_sound = layout.length <= target && target + EXTENSION <= length;
        is_sound.then_some(Entry {
            bytes: rest.get(..length)?,
            layout,
            target,
        })
    }

    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// True if the entry begins a chain or ends the table.
    pub(super) fn is_head(&self) -> bool {
        self.head().is_some()
    }

    /// The name of the chain that begins after this entry.
    pub(super) fn head(&self) -> Option<String> {
        let data = self.bytes.get(self.target + EXTENSION..)?;

        (self.target_name() == "ERROR").then(|| text(data))
    }

    /// True for `goto` instead of `jump`.
    pub(super) fn is_goto(&self) -> bool {
        self.bytes[self.layout.flags] & self.layout.goto_flag != 0
    }

    /// The offset to which the entry jumps.
    pub(super) fn jump(&self) -> Option<u32> {
        u32::try_from(self.standard()?).ok()
    }

    /// The verdict, if it is one of the kernel's.
    pub(super) fn standard_verdict(&self) -> Option<Verdict> {
        // linux/netfilter/x_tables.h: verdicts are stored as -n - 1.
        match self.standard()? {
            -1 => Some(Verdict::Drop),
            -2 => Some(Verdict::Accept),
            -5 => Some(Verdict::Return),
            _ => None,
        }
    }

    /// The verdict of an entry that does not jump.
    pub(super) fn decision(&self) -> Expression {
        let name = self.target_name();

        if name.is_empty() {
            self.standard_verdict()
                .map_or(Expression::UnknownTarget, Expression::Verdict)
        } else {
            target(&name)
        }
    }

    /// The conditions of the rule, as nftables expressions.
    pub(super) fn conditions(&self) -> Vec<Expression> {
        let Layout {
            address, header, ..
        } = self.layout;
        let mut steps = Vec::new();

        // `struct ipt_ip` begins with source, destination and their masks, followed by the names of
        // both interfaces and the masks of these.
        for (index, inverted) in [(0, NOT_SOURCE), (1, NOT_DESTINATION)] {
            let mask = self.field((2 + index) * address, address);
            if mask.iter().any(|byte| *byte != 0) {
                let value = self.field(index * address, address);
                steps.extend(load_address(header[index], address, mask));
                steps.push(self.compare(inverted, value));
            }
        }
        for (index, key, inverted) in [(0, META_IIFNAME, NOT_INPUT), (1, META_OIFNAME, NOT_OUTPUT)]
        {
            let names = 4 * address;
            let mask = self.field(names + (2 + index) * NAME, NAME);
            // For a name with a final `+`, the mask covers only the prefix before it.
            let length = mask.iter().take_while(|byte| **byte != 0).count();
            if length > 0 {
                steps.push(Expression::Meta { key, to: REGISTER });
                let name = self.field(names + index * NAME, length);
                steps.push(self.compare(inverted, name));
            }
        }
        let protocol = u16_at(self.bytes, self.layout.protocol).unwrap_or_default();
        // 0 means any protocol.
        if protocol != 0 {
            let key = META_L4PROTO;
            steps.push(Expression::Meta { key, to: REGISTER });
            steps.push(self.compare(NOT_PROTOCOL, &[protocol as u8]));
        }
        // Sample packets have neither fragments nor a traffic class.
        if self.bytes[self.layout.flags] & self.layout.extra_match_flag != 0 {
            steps.push(Expression::Unknown);
        }

        steps.extend(self.matches());
        steps
    }

    fn matches(&self) -> Vec<Expression> {
        let mut steps = Vec::new();
        let mut offset = self.layout.length;

        while offset < self.target {
            let rest = &self.bytes[offset..self.target];
            let length = u16_at(rest, 0).unwrap_or_default();
            let Some(one) = rest.get(..length).filter(|one| one.len() >= EXTENSION) else {
                steps.push(Expression::Unknown);
                break;
            };

            steps.extend(read_match(one));
            offset += length;
        }
        steps
    }

    fn compare(&self, inverted: u8, data: &[u8]) -> Expression {
        let is_inverted = self.bytes[self.layout.inverted] & inverted != 0;

        Expression::Compare {
            register: REGISTER,
            operator: if is_inverted { NOT_EQUAL } else { EQUAL },
            data: data.to_vec(),
        }
    }

    fn field(&self, at: usize, length: usize) -> &[u8] {
        &self.bytes[at..at + length]
    }

    fn standard(&self) -> Option<i32> {
        let data = self.bytes.get(self.target + EXTENSION..)?;

        let verdict = data.first_chunk().copied().map(i32::from_ne_bytes)?;
        self.target_name().is_empty().then_some(verdict)
    }

    fn target_name(&self) -> String {
        text(&self.bytes[self.target + 2..self.target + EXTENSION - 1])
    }
}

fn load_address(offset: u32, length: usize, mask: &[u8]) -> [Expression; 2] {
    [
        Expression::Payload {
            base: NETWORK_HEADER,
            offset,
            length: length as u32,
            to: REGISTER,
        },
        Expression::Bitwise {
            from: REGISTER,
            to: REGISTER,
            mask: mask.to_vec(),
            xor: vec![0; length],
        },
    ]
}

/// One match, with its header.
fn read_match(bytes: &[u8]) -> Vec<Expression> {
    let name = text(&bytes[2..EXTENSION - 1]);
    let revision = bytes[EXTENSION - 1];

    extension(&name, revision.into(), &bytes[EXTENSION..])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..)?.first_chunk()?;

    Some(u16::from_ne_bytes(*two).into())
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);

    String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned()
}
