//! [`Remedy`]: how what is wrong is put right, by a command or in words. What it is, is known where
//! it is made: nobody looks for commands in texts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What separates a command from the words about it.
const ABOUT: &str = "   # ";

/// How something is put right.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "lowercase")]
pub enum Remedy {
    /// Nothing is known.
    #[default]
    None,
    /// A sentence.
    Words {
        /// It.
        text: String,
    },
    /// A command line, to be copied.
    Command {
        /// It.
        line: String,
        /// What it does, or what to do with its answer; may be empty.
        about: String,
    },
    /// A command of this program, about the gateway that has the problem.
    Ringway {
        /// What follows the program's name, but for the option that names the gateway.
        arguments: String,
        /// As for [`Remedy::Command`].
        about: String,
        /// A reload is the second step.
        then_reload: bool,
    },
}

impl Remedy {
    /// The command `line`. Words about it follow `   # `.
    pub fn command(line: impl AsRef<str>) -> Remedy {
        let (line, about) = split(line.as_ref());

        Remedy::Command { line, about }
    }

    /// `ringway` with these arguments. Words about it follow `   # `.
    pub fn ringway(arguments: impl AsRef<str>) -> Remedy {
        let (arguments, about) = split(arguments.as_ref());

        Remedy::Ringway {
            arguments,
            about,
            then_reload: false,
        }
    }

    /// After a command of this program, a reload.
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

    /// True for a line to be copied.
    pub fn is_command(&self) -> bool {
        matches!(self, Remedy::Command { .. } | Remedy::Ringway { .. })
    }

    /// For people. Commands of this program get `option`, such as ` -c gateway.toml`.
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

/// Words; an empty text is none.
impl From<String> for Remedy {
    fn from(text: String) -> Remedy {
        if text.is_empty() {
            Remedy::None
        } else {
            Remedy::Words { text }
        }
    }
}

/// Words; an empty text is none.
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
