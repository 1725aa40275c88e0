//! Steers the datagrams of a port to one of its sockets (SO_ATTACH_REUSEPORT_CBPF, socket(7)).
//!
//! Soundness: the one block passes a pointer to a `sock_fprog` and its size; the kernel reads that,
//! and as many instructions as it names, during the call only. Both live that long.

use std::io;
use std::os::fd::AsRawFd;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MOD, BPF_RET, BPF_W,
};

/// `BPF_A` of linux/filter.h, which libc does not define: the return value is the accumulator.
const BPF_A: u32 = 0x10;

/// Attaches the program for `count` sockets to the port of `socket`, one of them. It sees the UDP
/// payload:
///
/// ```text
///   first two bits not 00 (no data packet), or too short ─► socket 0
///   session index, bytes 4 to 7 ─► socket index mod count
/// ```
pub(crate) fn by_index(socket: &impl AsRawFd, count: u32) -> io::Result<()> {
    let mut program = [
        step(BPF_LD | BPF_B | BPF_ABS, 0),
        step(BPF_ALU | BPF_AND | BPF_K, 0xc0),
        // Skips the next step if the accumulator is 0.
        libc::sock_filter {
            jt: 1,
            ..step(BPF_JMP | BPF_JEQ | BPF_K, 0)
        },
        step(BPF_RET | BPF_K, 0),
        step(BPF_LD | BPF_W | BPF_ABS, 4),
        step(BPF_ALU | BPF_MOD | BPF_K, count),
        step(BPF_RET | BPF_A, 0),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };

    // SAFETY: `program` and the instructions that it points to are live; setsockopt(2) copies both.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            std::ptr::from_ref(&program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };

    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// An instruction that does not jump. A load beyond the end of the datagram ends the program with
/// 0.
fn step(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}
