//! [`WireGuardClient`]: a host behind NAT with Debian's wireguard-go and wg-quick, and nothing of
//! ours but the file that `ringway node add --wireguard` prints.

use std::fs;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::Scene;
use crate::attached_node::AttachedNode;

/// Takes the place of resolvconf(8), which wg-quick calls for `DNS`, and keeps what comes.
const RESOLVCONF: &str = "#!/bin/sh
if [ \"$1\" = -a ]; then cat >\"$(dirname \"$0\")/resolvers\"; fi
";

/// The host. Its tunnel ends when the value is dropped.
pub struct WireGuardClient {
    host: AttachedNode,
    /// The file that is up.
    up: Option<PathBuf>,
}

impl WireGuardClient {
    /// A host behind NAT.
    pub fn create(scene: &Scene, binary: &str, name: &str) -> WireGuardClient {
        let host = AttachedNode::bare(scene, binary, name);
        fs::create_dir_all(host.dir()).expect("its directory is writable");
        let stub = host.dir().join("resolvconf");
        fs::write(&stub, RESOLVCONF).expect("its directory is writable");
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&stub, mode).expect("it is there");

        WireGuardClient { host, up: None }
    }

    /// Brings the tunnel of this file up, as device `device`, in the place of the one before.
    pub fn up(&mut self, device: &str, file: &str) {
        self.down();
        let path = self.dir().join(format!("{device}.conf"));
        fs::write(&path, file).expect("its directory is writable");
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, mode).expect("it is there");

        let said = self.quick("up", &path);
        assert!(
            !self.sh(&format!("wg show {device} peers")).is_empty(),
            "{said}"
        );
        self.up = Some(path);
    }

    /// Ends the tunnel.
    pub fn down(&mut self) {
        if let Some(path) = self.up.take() {
            self.quick("down", &path);
        }
    }

    /// What wg-quick has told the resolver.
    pub fn resolvers(&self) -> String {
        fs::read_to_string(self.dir().join("resolvers")).unwrap_or_default()
    }

    fn quick(&self, verb: &str, path: &std::path::Path) -> String {
        let dir = self.dir().display().to_string();
        let path = path.display();

        self.sh(&format!(
            "export PATH={dir}:$PATH WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go; \
             wg-quick {verb} {path} 2>&1"
        ))
    }
}

impl Deref for WireGuardClient {
    type Target = AttachedNode;

    fn deref(&self) -> &AttachedNode {
        &self.host
    }
}

impl DerefMut for WireGuardClient {
    fn deref_mut(&mut self) -> &mut AttachedNode {
        &mut self.host
    }
}

impl Drop for WireGuardClient {
    fn drop(&mut self) {
        self.down();
    }
}
