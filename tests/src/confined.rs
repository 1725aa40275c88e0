//! [`Confined`]: a program that runs the gateway as its systemd unit would; see `tests/confined`.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A script that takes the place of the program. It is removed when the value is dropped.
pub struct Confined(PathBuf);

impl Confined {
    /// In the place of `binary`, for the test `test`.
    pub fn new(test: &str, binary: &str) -> Confined {
        let name = format!("ringway-confined-{test}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let script = format!(
            "#!/bin/sh\nexec {ROOT}/tests/confined {ROOT}/deploy/systemd/ringway.service {binary} \
             \"$@\"\n"
        );
        fs::write(&path, script).expect("a file for the test");
        fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("it is ours");
        Confined(path)
    }

    /// To be run.
    pub fn path(&self) -> &str {
        self.0.to_str().expect("it is made of ASCII")
    }

    /// Fails the test if the process `pid` has any right that the unit does not give it.
    pub fn assert_confines(pid: u32) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        for line in [
            "Uid:\t64600\t64600\t64600\t64600",
            "Gid:\t64600\t64600\t64600\t64600",
            // CAP_NET_ADMIN and CAP_NET_BIND_SERVICE.
            "CapEff:\t0000000000001400",
            "CapBnd:\t0000000000001400",
            "NoNewPrivs:\t1",
            "Seccomp:\t2",
        ] {
            assert!(status.contains(line), "{line:?} is not in {status}");
        }

        let mounts = fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("it runs");
        let root = mounts
            .lines()
            .rfind(|line| line.split(' ').nth(4).is_some_and(|point| point == "/"));
        let options = root.and_then(|line| line.split(' ').nth(5));
        assert!(options.is_some_and(|options| options.starts_with("ro")));
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        // It is in a directory for what may be left.
        _ = fs::remove_file(Path::new(&self.0));
    }
}
