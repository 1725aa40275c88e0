//! [`owner`]: the process that has a TUN device. A daemon that does not answer is found by it.

use std::fs;
use std::path::Path;

use ringway_config::TunName;

/// The number and the name of the process that has device `name` of this thread's network
/// namespace. `None` if there is none, or this user may not see it.
pub fn owner(name: &TunName) -> Option<(u32, String)> {
    let here = fs::read_link("/proc/thread-self/ns/net").ok()?;
    // tun_chr_show_fdinfo() in drivers/net/tun.c.
    let line = format!("iff:\t{name}");

    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
            continue;
        };
        let dir = entry.path();
        if fs::read_link(dir.join("ns/net")).is_ok_and(|there| there == here) && has(&dir, &line) {
            let program = fs::read_to_string(dir.join("comm")).unwrap_or_default();
            return Some((pid, program.trim().to_owned()));
        }
    }
    None
}

/// True if a file descriptor of the process behind `dir` is described by `line`.
fn has(dir: &Path, line: &str) -> bool {
    let descriptors = fs::read_dir(dir.join("fdinfo")).into_iter().flatten();

    descriptors.flatten().any(|descriptor| {
        let text = fs::read_to_string(descriptor.path()).unwrap_or_default();
        text.lines().any(|found| found == line)
    })
}
