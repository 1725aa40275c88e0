//! Remedies as they are shown: a command must work when it is copied, and so it names the
//! gateway's file unless that is the one that it would take anyway.

use std::path::Path;

use super::{CONFIG_VARIABLE, default_config};

/// What separates a command from the words about it.
const COMMENT: &str = "   # ";

/// `remedy`, in which each command of this program is about the gateway of the file `config`.
pub(super) fn for_gateway(remedy: &str, config: &Path) -> String {
    match option(config) {
        Some(option) => with_option(remedy, &option),
        None => remedy.to_owned(),
    }
}

/// ` -c FILE`; nothing where a command takes that file without it.
pub(super) fn option_text(config: &Path) -> String {
    option(config).unwrap_or_default()
}

fn option(config: &Path) -> Option<String> {
    let in_environment = std::env::var_os(CONFIG_VARIABLE).filter(|path| !path.is_empty());
    let is_taken_anyway = match &in_environment {
        Some(path) => Path::new(path) == config,
        None => default_config() == config,
    };

    (!is_taken_anyway).then(|| format!(" -c {}", quoted(&config.display().to_string())))
}

/// As a shell reads it as one word.
pub(super) fn quoted(path: &str) -> String {
    if !path.is_empty() && path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// True if a shell takes `c` as it is.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-+,:@%=".contains(c)
}

fn with_option(remedy: &str, option: &str) -> String {
    let (command, comment) = match remedy.split_once(COMMENT) {
        Some((command, comment)) => (command, Some(comment)),
        None => (remedy, None),
    };
    let mut text = command.to_owned();

    if command.starts_with("ringway ") && !command.contains(" -c ") {
        text.push_str(option);
    }
    if let Some(comment) = comment {
        text.push_str(COMMENT);
        text.push_str(comment);
    }
    // A second step, in words.
    if text.ends_with("then ringway reload") {
        text.push_str(option);
    }
    text
}

/// True for a command, and false for a sentence: it begins with the name of a program.
pub(super) fn is_command(remedy: &str) -> bool {
    const PROGRAMS: [&str; 27] = [
        "apt-get",
        "chmod",
        "chown",
        "date",
        "df",
        "du",
        "ebtables",
        "firewall-cmd",
        "groupadd",
        "install",
        "ip",
        "ip6tables",
        "ip6tables-legacy",
        "iptables",
        "iptables-legacy",
        "ls",
        "mkdir",
        "modprobe",
        "mount",
        "nft",
        "ringway",
        "sed",
        "ss",
        "sudo",
        "sysctl",
        "timedatectl",
        "ufw",
    ];

    let first = remedy.split_whitespace().next();
    first.is_some_and(|first| PROGRAMS.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_file_before_the_words_about_it() {
        let cases = [
            (
                "ringway status --peer gw.beta",
                "ringway status --peer gw.beta -c a.toml",
            ),
            (
                "ringway check   # correct them, then ringway reload",
                "ringway check -c a.toml   # correct them, then ringway reload -c a.toml",
            ),
            ("ringway status -c b.toml", "ringway status -c b.toml"),
            ("nft list ruleset", "nft list ruleset"),
            (
                "its organization must renew it",
                "its organization must renew it",
            ),
        ];
        for (remedy, shown) in cases {
            assert_eq!(with_option(remedy, " -c a.toml"), shown);
        }
    }

    #[test]
    fn a_path_stays_one_word() {
        assert_eq!(
            quoted("/etc/ringway/gateway.toml"),
            "/etc/ringway/gateway.toml"
        );
        assert_eq!(quoted("my gateway's.toml"), r"'my gateway'\''s.toml'");
    }

    #[test]
    fn the_usual_file_is_not_named() {
        let usual = default_config();
        assert_eq!(for_gateway("ringway check", &usual), "ringway check");
        assert_eq!(
            for_gateway("ringway check", Path::new("other.toml")),
            "ringway check -c other.toml"
        );
    }
}
