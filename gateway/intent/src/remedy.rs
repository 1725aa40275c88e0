//! [`Remedy`]: how to fix a problem, as a command or in words. The code that detects the problem
//! decides which; no code searches texts for commands.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What separates a command from the words about it.
const ABOUT: &str = "   # ";

/// How to fix a problem.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum Remedy {
    /// No remedy is known.
    #[default]
    None,
    /// Words, for a problem that no single command fixes.
    Words {
        /// A sentence.
        text: String,
    },
    /// A command line, to be copied.
    Command {
        /// The command line.
        line: String,
        /// What it does, or what to do with its output; may be empty.
        about: String,
    },
    /// A command of this program, for the gateway that has the problem.
    Ringway {
        /// The arguments, without the option that names the gateway.
        arguments: String,
        /// As in [`Remedy::Command`].
        about: String,
        /// A reload must follow.
        then_reload: bool,
    },
}

impl Remedy {
    /// A command line. A comment for the reader may follow `   # `.
    pub fn command(line: impl AsRef<str>) -> Remedy {
        let (line, about) = split(line.as_ref());

        Remedy::Command { line, about }
    }

    /// `ringway` with these arguments. A comment for the reader may follow `   # `.
    pub fn ringway(arguments: impl AsRef<str>) -> Remedy {
        let (arguments, about) = split(arguments.as_ref());

        Remedy::Ringway {
            arguments,
            about,
            then_reload: false,
        }
    }

    /// Adds a reload after a command of this program.
    pub fn then_reload(self) -> Remedy {
        match self {
            Remedy::Ringway {
                arguments, about, ..
            } => Remedy::Ringway {
                arguments,
                about,
                then_reload: true,
            },
            other => other,
        }
    }

    /// True if it is a command line to be copied.
    pub fn is_command(&self) -> bool {
        matches!(self, Remedy::Command { .. } | Remedy::Ringway { .. })
    }

    /// Text for people. Commands of this program get `option`, such as ` -c gateway.toml`.
    pub fn text(&self, option: &str) -> String {
        match self {
            Remedy::None => String::new(),
            Remedy::Words { text } => text.clone(),
            Remedy::Command { line, about } => joined(line, about),
            Remedy::Ringway {
                arguments,
                about,
                then_reload,
            } => {
                let mut text = joined(&format!("ringway {arguments}{option}"), about);
                if *then_reload {
                    text.push_str(&format!(", then ringway reload{option}"));
                }
                text
            }
        }
    }
}

fn split(text: &str) -> (String, String) {
    let (line, about) = text.split_once(ABOUT).unwrap_or((text, ""));

    (line.to_owned(), about.to_owned())
}

fn joined(line: &str, about: &str) -> String {
    match about {
        "" => line.to_owned(),
        about => format!("{line}{ABOUT}{about}"),
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(""))
    }
}

/// Words; an empty text means none.
impl From<String> for Remedy {
    fn from(text: String) -> Remedy {
        if text.is_empty() {
            Remedy::None
        } else {
            Remedy::Words { text }
        }
    }
}

/// Words; an empty text means none.
impl From<&str> for Remedy {
    fn from(text: &str) -> Remedy {
        Remedy::from(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_of_ours_names_the_file_before_the_words_about_it() {
        let cases = [
            (
                Remedy::ringway("status --peer gw.beta"),
                "ringway status --peer gw.beta -c a.toml",
            ),
            (
                Remedy::ringway("check   # correct them").then_reload(),
                "ringway check -c a.toml   # correct them, then ringway reload -c a.toml",
            ),
            (
                Remedy::command("nft list ruleset   # shows it"),
                "nft list ruleset   # shows it",
            ),
            (
                Remedy::from("ringway is a word here"),
                "ringway is a word here",
            ),
            (Remedy::from(""), ""),
        ];
        for (remedy, shown) in cases {
            assert_eq!(remedy.text(" -c a.toml"), shown);
        }
    }
}
