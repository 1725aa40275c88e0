//! [`fetch`]: reads a table of iptables-legacy from the kernel. Sound, because each call passes a
//! buffer with its length, and the kernel writes no more than that.
#![expect(unsafe_code, reason = "libc has no safe wrapper of these options")]

use std::io;
use std::os::fd::AsRawFd as _;

use socket2::{Domain, Socket, Type};

use super::super::chain::Family;
use super::{Table, entry};

/// linux/netfilter_ipv4/ip_tables.h: `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`; IPv6 has the same.
const GET_INFO: libc::c_int = 64;
const GET_ENTRIES: libc::c_int = 65;

/// Length of a table's name.
const NAME: usize = 32;
/// Length of `struct ipt_getinfo`: name, hooks, two offsets for each of five hooks, entries, bytes.
const INFO: usize = NAME + 4 + 2 * 5 * 4 + 2 * 4;
/// Length of the head of `struct ipt_get_entries`: name, size, padding.
const HEAD: usize = NAME + 8;

/// Maximum size of a table, in bytes. A rule has at least 150 bytes.
const MAX_SIZE: usize = 64 * 1024 * 1024;

/// Attempts, if a program changes the table between the two requests.
const ATTEMPTS: u32 = 3;

/// The table `name`, in the network namespace of the calling thread.
pub(super) fn fetch(family: Family, name: &'static str) -> io::Result<Table> {
    let mut attempts = 1;

    loop {
        match fetch_once(family, name) {
            // EAGAIN: the table was replaced between the two requests.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts < ATTEMPTS => {
                attempts += 1;
            }
            result => return result,
        }
    }
}

fn fetch_once(family: Family, name: &'static str) -> io::Result<Table> {
    let (domain, level, layout) = match family {
        Family::V6 => (Domain::IPV6, libc::IPPROTO_IPV6, entry::V6),
        Family::V4 | Family::Inet | Family::Netdev => (Domain::IPV4, libc::IPPROTO_IP, entry::V4),
    };

    // The socket is used only for options and needs no port.
    let socket = Socket::new(domain, Type::DGRAM.cloexec(), None)?;
    let mut info = buffer_for(name, INFO);
    get_option(&socket, level, GET_INFO, &mut info)?;
    let number = |at: usize| {
        let bytes = info[at..].first_chunk().expect("an offset inside the info");
        u32::from_ne_bytes(*bytes)
    };
    // `struct ipt_getinfo`: after the table's hooks come the offsets of each hook's chain and of
    // its policy.
    let offsets = |at: usize| [0, 1, 2, 3, 4].map(|hook| number(at + 4 * hook));
    let size = number(INFO - 4) as usize;
    if size > MAX_SIZE {
        return Err(io::ErrorKind::OutOfMemory.into());
    }

    let mut entries = buffer_for(name, HEAD + size);
    entries[NAME..NAME + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    get_option(&socket, level, GET_ENTRIES, &mut entries)?;
    Ok(Table {
        name,
        layout,
        begins: offsets(NAME + 4),
        policies: offsets(NAME + 4 + 20),
        entries: entries.split_off(HEAD),
    })
}

/// A request for the table `name`, with room for the answer.
fn buffer_for(name: &str, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];

    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

fn get_option(
    socket: &Socket,
    level: libc::c_int,
    option: libc::c_int,
    buffer: &mut [u8],
) -> io::Result<()> {
    let mut length = buffer.len() as libc::socklen_t;

    // SAFETY: the descriptor is open, and `length` is that of `buffer`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            option,
            buffer.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
