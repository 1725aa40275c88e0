//! [`SiteChoice`]: a site on the command line, with or without its address ranges.

use std::str::FromStr;

use ringway_config::{NameError, Prefix, SiteId, is_private_range};

use crate::cli::Failure;

/// `name` or `name=prefix[,prefix…]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteChoice {
    /// The site.
    pub name: SiteId,
    /// Its ranges; empty for an existing site.
    pub prefixes: Vec<Prefix>,
}

impl FromStr for SiteChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<SiteChoice, String> {
        let (name, prefixes) = match text.split_once('=') {
            Some((name, prefixes)) => (name, prefixes.split(',').map(str::parse).collect()),
            None => (text, Ok(Vec::new())),
        };

        Ok(SiteChoice {
            name: name.parse().map_err(|error: NameError| error.to_string())?,
            prefixes: prefixes.map_err(|error: ringway_config::PrefixError| error.to_string())?,
        })
    }
}

/// Refuses public ranges unless `is_meant`: members could not reach the Internet hosts in them.
pub(in crate::cli) fn refuse_public(prefixes: &[Prefix], is_meant: bool) -> Result<(), Failure> {
    let public: Vec<String> = prefixes
        .iter()
        .filter(|prefix| !is_private_range(prefix))
        .map(ToString::to_string)
        .collect();
    if public.is_empty() || is_meant {
        return Ok(());
    }

    Err(Failure::Usage(format!(
        "{}: not private address space, so that the members could not reach what is there on the \
         Internet; if it is the organization's own, say --public",
        public.join(", ")
    )))
}
