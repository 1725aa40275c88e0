//! [`SocketGroup`]: the group of the sockets, by the name in the file.

use anyhow::Context as _;
use nix::unistd::Group;
use ringway_config::keys::gateway::SOCKET_GROUP;
use ringway_config::{Config, Place};

/// The group whose members may use the socket.
#[derive(Debug, Clone)]
pub struct SocketGroup {
    pub(crate) name: String,
    /// Where the file names it.
    pub(super) place: Place,
}

impl SocketGroup {
    /// That of `config`, if it names one.
    pub fn of(config: &Config) -> Option<SocketGroup> {
        Some(SocketGroup {
            name: config.socket_group.clone()?,
            place: config.place_of(&SOCKET_GROUP.to_string()),
        })
    }

    /// The group of this host. The error is what `check` says before a start.
    pub fn look_up(&self) -> anyhow::Result<Group> {
        let SocketGroup { name, place } = self;
        let group =
            Group::from_name(name).with_context(|| format!("cannot look up group {name:?}"))?;

        group.with_context(|| {
            format!("{place}: there is no group {name:?}; create it with groupadd {name}")
        })
    }
}
