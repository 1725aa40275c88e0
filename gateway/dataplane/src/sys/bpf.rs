//! bpf(2): a map that this process shares with a small program, and a program for a TUN device.
//!
//! Soundness: bpf(2) gets an initialized attribute block and its size, and reads what the block
//! points to (instructions, licence), which is alive during the call. The mapping is one page of a
//! map that the kernel made for it, is never moved, and is unmapped only when [`Counters`] is
//! dropped; it is accessed as atomics alone, as the kernel's program does. ioctl(2) reads an `int`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

const MAP_CREATE: libc::c_long = 0;
const PROG_LOAD: libc::c_long = 5;

const ARRAY: u32 = 2;
const MMAPABLE: u32 = 1 << 10;
const SOCKET_FILTER: u32 = 1;

/// TUNSETFILTEREBPF of linux/if_tun.h.
const SET_FILTER: libc::Ioctl = 0x8004_54e1_u32 as libc::Ioctl;

/// Counters that a [`Counters`] holds.
pub(crate) const COUNTERS: usize = 16;

/// Bytes that are mapped: at least one page.
const MAPPED: usize = 4096;

/// One instruction (bpf(2), `struct bpf_insn`).
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) code: u8,
    /// Destination in the low half, source in the high half.
    pub(crate) registers: u8,
    pub(crate) offset: i16,
    pub(crate) immediate: i32,
}

/// The attributes of the two calls; both begin with 32-bit words.
#[repr(C)]
struct MapAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
}

#[repr(C)]
struct ProgramAttributes {
    kind: u32,
    count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// Counters in memory that the kernel's programs see too.
pub(crate) struct Counters {
    map: OwnedFd,
    values: NonNull<AtomicU64>,
}

// SAFETY: the values are atomics in memory that stays mapped as long as this lives.
unsafe impl Send for Counters {}
// SAFETY: as above.
unsafe impl Sync for Counters {}

impl Counters {
    /// All zero. Error: the kernel does not allow it (CAP_BPF), or does not know it (Linux 5.5).
    pub(crate) fn new() -> io::Result<Counters> {
        let map = call(
            MAP_CREATE,
            &MapAttributes {
                kind: ARRAY,
                key_size: 4,
                value_size: (COUNTERS * size_of::<u64>()) as u32,
                entries: 1,
                // Mapped, so that the threads count without a system call.
                flags: MMAPABLE,
            },
        )?;

        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                MAPPED,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }

        let values = NonNull::new(address.cast()).ok_or(io::ErrorKind::Other)?;
        Ok(Counters { map, values })
    }

    /// The descriptor that instructions name the map by.
    pub(crate) fn descriptor(&self) -> i32 {
        self.map.as_raw_fd()
    }

    /// One of the counters.
    pub(crate) fn value(&self, at: usize) -> &AtomicU64 {
        assert!(at < COUNTERS, "there are {COUNTERS} counters");
        // SAFETY: in bounds of the mapping, aligned, and only accessed atomically.
        unsafe { self.values.add(at).as_ref() }
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        // SAFETY: this mapping was made in `new`, and no reference to it outlives this value.
        unsafe { libc::munmap(self.values.as_ptr().cast(), MAPPED) };
    }
}

/// Has `program` say of each packet for the TUN device how many of its bytes to keep: none drops
/// it. The program lives as long as the device.
pub(crate) fn filter_tun(tun: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    const LICENCE: &std::ffi::CStr = c"Apache-2.0";
    let loaded = call(
        PROG_LOAD,
        &ProgramAttributes {
            kind: SOCKET_FILTER,
            count: program.len() as u32,
            instructions: program.as_ptr() as u64,
            licence: LICENCE.as_ptr() as u64,
            log_level: 0,
            log_size: 0,
            log: 0,
            kernel_version: 0,
            flags: 0,
        },
    )?;

    let descriptor: libc::c_int = loaded.as_raw_fd();
    // SAFETY: the kernel reads one `int` at this address.
    let result = unsafe { libc::ioctl(tun.as_raw_fd(), SET_FILTER, &raw const descriptor) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// bpf(2), for a command that gives a descriptor.
fn call<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are initialized and as long as stated; what they point to is alive.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<T>(),
        )
    };
    let descriptor = i32::try_from(result).map_err(|_| io::ErrorKind::Other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }

    // SAFETY: the kernel has just given this descriptor, and nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
