//! [`DeviceName`]: where the file names a TUN device, for the error that the name is in use.

use std::fmt;

use ringway_config::keys::{Key, tun, wireguard};
use ringway_config::{Config, Place};
use ringway_host::tun::TunError;

/// Displayed as `gateway.toml:12:8: [tun] name`.
pub(crate) struct DeviceName {
    place: Place,
    table: &'static str,
}

impl DeviceName {
    /// The tunnels' device.
    pub(crate) fn of_tunnels(config: &Config) -> DeviceName {
        DeviceName::new(config, "[tun]", tun::NAME)
    }

    /// That of WireGuard clients.
    pub(crate) fn of_clients(config: &Config) -> DeviceName {
        DeviceName::new(config, "[wireguard]", wireguard::NAME)
    }

    fn new(config: &Config, table: &'static str, key: Key) -> DeviceName {
        DeviceName {
            place: config.place_of(&key.to_string()),
            table,
        }
    }

    /// `error` with the place, if another name would help.
    pub(crate) fn blame(&self, error: TunError) -> anyhow::Error {
        let is_of_name = matches!(error, TunError::Exists { .. } | TunError::Foreign { .. });
        let error = anyhow::Error::from(error);

        if is_of_name {
            error.context(self.to_string())
        } else {
            error
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} name", self.place, self.table)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_name_that_is_in_use_is_blamed_on_its_key_and_nothing_else_is() {
        let name = DeviceName {
            place: Place::whole(Path::new("gateway.toml")),
            table: "[wireguard]",
        };
        let text = |error| format!("{:#}", name.blame(error));

        assert_eq!(
            text(TunError::Foreign {
                name: "lan0".to_owned()
            }),
            "gateway.toml: [wireguard] name: lan0 is another interface of this host; choose \
             another name"
        );
        let denied = TunError::NotPermitted {
            name: "lan0".to_owned(),
            source: std::io::ErrorKind::PermissionDenied.into(),
        };
        assert!(!text(denied).contains("[wireguard]"));
    }
}
