//! Remedies as commands to copy: they name the gateway's file unless it is the default.

use std::path::Path;

use ringway_config::Config;
use ringway_intent::Remedy;

use super::{CONFIG_VARIABLE, default_config};

/// `remedy` as text, whose commands refer to the gateway of the file `config`.
pub(super) fn for_gateway(remedy: &Remedy, config: &Path) -> String {
    remedy.text(&option_text(config))
}

/// How the daemon of `config` is started.
pub(super) fn start(config: &Config) -> Remedy {
    match config.attach {
        Some(_) => Remedy::ringway("attach run"),
        None => Remedy::ringway("run"),
    }
}

/// ` -c FILE`; empty for the default file.
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

/// The path as one word for a shell.
pub(super) fn quoted(path: &str) -> String {
    if !path.is_empty() && path.chars().all(is_plain) {
        path.to_owned()
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

/// True if a shell takes `c` literally.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "/._-+,:@%=".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let check = Remedy::ringway("check");
        assert_eq!(for_gateway(&check, &usual), "ringway check");
        assert_eq!(
            for_gateway(&check, Path::new("other.toml")),
            "ringway check -c other.toml"
        );
    }
}
