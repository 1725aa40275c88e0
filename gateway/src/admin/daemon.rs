//! [`DaemonReport`]: version, process and paths of the running daemon.

use std::path::Path;
use std::process;
use std::time::SystemTime;

use ringway_config::Config;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::report::DaemonReport;

impl DaemonReport {
    /// The report of this process, which has run the gateway of `config` since `started`.
    pub fn of(config: &Config, started: SystemTime) -> DaemonReport {
        let own = config.own.gateway(&config.id.name);
        let endpoints = own.into_iter().flat_map(|own| &own.endpoints);

        DaemonReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: process::id(),
            started: rfc3339(started),
            uptime_s: started.elapsed().unwrap_or_default().as_secs(),
            site: match &config.attach {
                Some(attach) => attach.site.to_string(),
                None => config.site.to_string(),
            },
            config: absolute(&config.path),
            state_dir: absolute(&config.state_dir),
            socket: absolute(&config.socket),
            tun: config.tun.to_string(),
            listen: config.listen.to_string(),
            endpoints: endpoints.map(ToString::to_string).collect(),
            dns: config.dns.listen.iter().map(ToString::to_string).collect(),
            resolver: None,
        }
    }
}

fn absolute(path: &Path) -> String {
    // The operator may read the report in another directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());

    path.display().to_string()
}

/// The time format of all reports; empty after the year 9999, which the format cannot express.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    OffsetDateTime::from(time)
        .replace_nanosecond(0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}
