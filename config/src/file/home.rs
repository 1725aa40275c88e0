//! Default paths of a gateway's state directory and admin socket: beside `gateway.toml`, or below
//! `/var/lib` and `/run` if that file is below `/etc`.

use std::path::{Path, PathBuf};

use super::local_gateway::LocalGateway;
use crate::{GatewayId, defaults};

/// The places of one gateway.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Home {
    pub(super) state_dir: PathBuf,
    pub(super) socket: PathBuf,
    /// Below `/etc`, but an earlier version has left its state beside the file: it is used.
    pub(super) is_state_beside: bool,
}

impl Home {
    /// The places of the gateway whose file is `path`.
    pub(super) fn of(path: &Path, local: &LocalGateway) -> Home {
        let dir = path.parent().unwrap_or(Path::new(""));
        let id = local.id();
        let has_state = dir.join(defaults::STATE_DIR).is_dir();

        // A path without a working directory stays as it is.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Home::choose(dir, &absolute, id.as_ref(), has_state)
    }

    fn choose(dir: &Path, absolute: &Path, id: Option<&GatewayId>, has_state: bool) -> Home {
        let beside = Home {
            state_dir: dir.join(defaults::STATE_DIR),
            socket: dir.join(defaults::SOCKET),
            is_state_beside: false,
        };
        let Some(id) = id.filter(|_| absolute.starts_with("/etc")) else {
            return beside;
        };

        let state_dir = if has_state {
            beside.state_dir
        } else {
            Path::new(defaults::SYSTEM_STATE_DIR).join(id.to_string())
        };
        Home {
            state_dir,
            socket: Path::new(defaults::SYSTEM_SOCKET_DIR).join(format!("{id}.sock")),
            is_state_beside: has_state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(absolute: &str, has_state: bool) -> Home {
        let id = "gw.acme".parse().unwrap();
        let absolute = Path::new(absolute);
        Home::choose(absolute.parent().unwrap(), absolute, Some(&id), has_state)
    }

    #[test]
    fn a_gateway_below_etc_has_its_places_where_the_system_has_them() {
        let home = choose("/etc/ringway/gateway.toml", false);
        assert_eq!(home.state_dir, Path::new("/var/lib/ringway/gw.acme"));
        assert_eq!(home.socket, Path::new("/run/ringway/gw.acme.sock"));
        assert!(!home.is_state_beside);

        let home = choose("/etc/ringway/gateway.toml", true);
        assert_eq!(home.state_dir, Path::new("/etc/ringway/state"));
        assert!(home.is_state_beside, "and it is said");
    }

    #[test]
    fn any_other_gateway_has_them_beside_its_file() {
        for path in ["/srv/etc/gateway.toml", "/etcetera/gateway.toml"] {
            for has_state in [false, true] {
                let home = choose(path, has_state);
                let dir = Path::new(path).parent().unwrap();
                assert_eq!(home.state_dir, dir.join("state"));
                assert_eq!(home.socket, dir.join("ringway.sock"));
                assert!(!home.is_state_beside);
            }
        }
    }
}
