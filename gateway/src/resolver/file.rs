//! A file in the form of resolv.conf(5): two servers stand at its top, between two lines of ours.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};

/// The lines around ours in a file.
const BEGIN: &str = "# ringway: the next lines are those of the consortium's gateways";
const END: &str = "# ringway: end";

/// Servers in a file. glibc asks three at most (resolv.conf(5), MAXNS); the last one is for those
/// that the host asked before, which know the names of elsewhere.
const IN_A_FILE: usize = 2;

/// The text of the file, if it can be one of ours.
pub(super) fn usable(path: &Path) -> anyhow::Result<String> {
    let shown = path.display();
    // What is behind a link is another program's, which writes it again.
    if path.is_symlink() {
        bail!(
            "{shown} is a link, the file of another program; if that is systemd-resolved, write \
             resolver = \"systemd-resolved\""
        );
    }

    fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))
}

/// True if these servers stand in the file.
pub(super) fn stands(path: &Path, servers: &[IpAddr]) -> anyhow::Result<bool> {
    let text = usable(path)?;

    Ok(with(&text, servers) == text)
}

/// True if the file was another one. In place: it may be mounted by itself, as in a container.
pub(super) fn write(path: &Path, servers: &[IpAddr]) -> anyhow::Result<bool> {
    let before = usable(path)?;
    let after = with(&before, servers);
    if after == before {
        return Ok(false);
    }

    fs::write(path, after).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}

fn with(text: &str, servers: &[IpAddr]) -> String {
    with_servers(text, &servers[..servers.len().min(IN_A_FILE)])
}

/// The text with these servers before all others (resolv.conf(5) asks them in order).
fn with_servers(text: &str, servers: &[IpAddr]) -> String {
    let mut rest = String::new();
    let mut is_ours = false;
    for line in text.lines() {
        match line {
            BEGIN => is_ours = true,
            END if is_ours => is_ours = false,
            _ if is_ours => {}
            _ => rest.extend([line, "\n"]),
        }
    }
    if servers.is_empty() {
        return rest;
    }

    let servers: String = servers
        .iter()
        .map(|server| format!("nameserver {server}\n"))
        .collect();
    format!("{BEGIN}\n{servers}{END}\n{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_stand_before_all_others_and_are_taken_out_again() {
        let text = "search corp.example\nnameserver 192.0.2.53\n";
        let servers = |texts: &[&str]| -> Vec<IpAddr> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        let one = with_servers(text, &servers(&["10.1.0.1", "fd00:1::1"]));
        assert_eq!(
            one,
            format!("{BEGIN}\nnameserver 10.1.0.1\nnameserver fd00:1::1\n{END}\n{text}")
        );

        let other = with_servers(&one, &servers(&["10.1.0.2"]));
        assert_eq!(
            other,
            format!("{BEGIN}\nnameserver 10.1.0.2\n{END}\n{text}")
        );
        assert_eq!(with_servers(&other, &servers(&[])), text);
    }

    #[test]
    fn a_file_that_is_gone_is_reported_and_not_created() {
        let gone = std::env::temp_dir().join(format!("ringway-gone-{}", std::process::id()));
        let servers = ["10.1.0.1".parse().unwrap()];

        let expected = format!("cannot read {}", gone.display());
        assert_eq!(stands(&gone, &servers).unwrap_err().to_string(), expected);
        assert_eq!(write(&gone, &servers).unwrap_err().to_string(), expected);
        assert!(!gone.exists());
    }

    #[test]
    fn a_link_is_left_alone() {
        let dir = std::env::temp_dir().join(format!("ringway-resolver-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (target, link) = (dir.join("stub"), dir.join("resolv.conf"));
        fs::write(&target, "nameserver 127.0.0.53\n").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let refused = write(&link, &["10.1.0.1".parse().unwrap()]);
        let text = fs::read_to_string(&target).unwrap();
        fs::remove_dir_all(&dir).unwrap();

        assert!(refused.unwrap_err().to_string().contains("is a link"));
        assert_eq!(text, "nameserver 127.0.0.53\n");
    }
}
