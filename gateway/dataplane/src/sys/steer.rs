//! Which socket of a port gets a datagram (SO_ATTACH_REUSEPORT_CBPF, socket(7)).
//!
//! Soundness: the one block passes a pointer to a `sock_fprog` and its size; the kernel reads that, and as many
//! instructions as it names, during the call only. Both live that long.

use std::io;
use std::os::fd::AsRawFd;

use libc::{
    BPF_ABS, BPF_ALU, BPF_AND, BPF_B, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD, BPF_MOD, BPF_RET, BPF_W,
};

/// `BPF_A` of linux/filter.h: what is returned is in the accumulator.
const BPF_A: u32 = 0x10;

/// Attaches the program for `count` sockets to the port of `socket`, one of them. It sees the UDP payload:
///
/// ```text
///   first two bits not 00 (no data packet), or too short ─► socket 0
///   session index, bytes 4 to 7 ─► socket index mod count
/// ```
pub(crate) fn by_index(socket: &impl AsRawFd, count: u32) -> io::Result<()> {
    let step = |code: u32, jt, jf, k| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut program = [
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, 0),
        step(BPF_ALU | BPF_AND | BPF_K, 0, 0, 0xc0),
        step(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 0),
        step(BPF_RET | BPF_K, 0, 0, 0),
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, 4),
        step(BPF_ALU | BPF_MOD | BPF_K, 0, 0, count),
        step(BPF_RET | BPF_A, 0, 0, 0),
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
