//! Checks what `[ha]` needs on this host: an interface, a network, the programs. A gateway starts
//! without them, and reports them too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ringway_config::{Config, Hook};
use ringway_host::virtual_address::VirtualAddresses;
use ringway_intent::{Finding, Links, Remedy, far_virtual_addresses};

pub(super) async fn find(config: &Config, links: &Links) -> Vec<Finding> {
    let ha = &config.ha;
    let mut findings = Vec::new();

    // Without addresses, only the programs are needed.
    if !ha.addresses.is_empty() {
        findings.extend(interface(config).await);
        findings.extend(far_virtual_addresses(config, links));
    }
    let hooks = [("on-active", &ha.on_active), ("on-standby", &ha.on_standby)];
    for (key, hook) in hooks {
        findings.extend(hook.as_ref().and_then(|hook| program(key, hook)));
    }
    findings
}

async fn interface(config: &Config) -> Option<Finding> {
    let name = &config.ha.interface;
    let kernel = VirtualAddresses::open().ok()?;
    let found = kernel.interface(name).await.ok()?;

    found.is_none().then(|| Finding {
        name: "ha interface".to_owned(),
        what: format!("[ha] interface {name} is no interface of this host"),
        remedy: Remedy::command("ip link   # lists them; correct [ha] interface"),
    })
}

fn program(key: &str, hook: &Hook) -> Option<Finding> {
    let program = &hook.program;
    let (reason, command) = match fs::metadata(program) {
        Err(error) => (error.to_string(), format!("ls -l {program}")),
        Ok(file) if !file.is_file() => ("it is no file".to_owned(), format!("ls -ld {program}")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => (
            "it is not executable".to_owned(),
            format!("chmod +x {program}"),
        ),
        Ok(_) => return None,
    };

    Some(Finding {
        name: format!("ha {key}"),
        what: format!("[ha] {key}: {program} cannot be run: {reason}"),
        remedy: Remedy::command(format!("{command}   # or correct [ha] {key}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_existing_file_is_made_executable() {
        let remedy = |path: &str| {
            let hook = Hook {
                program: path.into(),
                arguments: Vec::new(),
            };
            program("on-active", &hook).map(|finding| finding.remedy.to_string())
        };

        let missing = remedy("/nonexistent/move-route").unwrap();
        assert!(
            missing.starts_with("ls -l /nonexistent/move-route "),
            "{missing}"
        );
        let file = remedy("/proc/version").unwrap();
        assert!(file.starts_with("chmod +x /proc/version "), "{file}");
        assert_eq!(remedy("/bin/sh"), None);
    }
}
