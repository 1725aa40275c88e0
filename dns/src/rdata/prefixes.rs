//! Address prefix lists (RFC 3123, section 4) in wire format.

/// One item of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item<'d> {
    /// IANA's address family number: 1 is IPv4, 2 is IPv6.
    pub(crate) family: u16,
    pub(crate) prefix_len: u8,
    pub(crate) is_negated: bool,
    /// The address without the zero octets at its end.
    pub(crate) address: &'d [u8],
}

/// The items of `data`, up to the first that is cut short.
pub(crate) fn items(data: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = data;

    std::iter::from_fn(move || {
        let ([high, low, prefix_len, len], tail) = rest.split_first_chunk()?;
        // RFC 3123, section 4: the upper bit of the length negates the item.
        let (address, tail) = tail.split_at_checked(usize::from(len & 0x7f))?;

        rest = tail;
        Some(Item {
            family: u16::from_be_bytes([*high, *low]),
            prefix_len: *prefix_len,
            is_negated: len & 0x80 != 0,
            address,
        })
    })
}

/// True if `data` is a list of prefixes. A family that is not known here may have any address.
pub(crate) fn is_list(data: &[u8]) -> bool {
    let len: usize = items(data).map(|item| 4 + item.address.len()).sum();

    len == data.len() && items(data).all(|item| is_item(&item))
}

fn is_item(item: &Item<'_>) -> bool {
    let octets = match item.family {
        1 => 4,
        2 => 16,
        _ => return true,
    };

    // RFC 3123, section 4: no zeros stand at the end of an address.
    usize::from(item.prefix_len) <= octets * 8
        && item.address.len() <= octets
        && item.address.last() != Some(&0)
}
