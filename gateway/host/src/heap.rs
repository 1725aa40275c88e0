//! The heap: memory that was freed goes back to the system.
//!
//! glibc keeps most of it: a hundred handshakes at once or a zone that was replaced would leave the
//! daemon as large as it was at its worst. The shell decides when to trim.

/// Gives every page that holds no allocation back to the system.
///
/// May take milliseconds, so it must not run on a thread that others wait for.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "libc has no safe wrapper of malloc_trim(3)")]
    // SAFETY: malloc_trim(3) takes no pointer, and any thread may call it at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const SIZE: u64 = 64 << 20;

    #[test]
    fn returns_freed_memory_that_lies_between_allocations() {
        let mut blocks: Vec<Option<Box<[u8; 1000]>>> = (0..SIZE / 1000)
            .map(|_| Some(Box::new([1; 1000])))
            .collect();
        // One stays in every hundred kilobytes, so that no run of pages is at the heap's end.
        for (i, block) in blocks.iter_mut().enumerate() {
            if i % 100 != 0 {
                *block = None;
            }
        }

        let before = resident();
        trim();
        let after = resident();
        assert!(
            before - after > SIZE / 2,
            "{before} bytes before, {after} after"
        );
        drop(blocks);
    }

    /// Bytes of this process's heap and stacks in memory, roughly: other tests share the process.
    fn resident() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}
