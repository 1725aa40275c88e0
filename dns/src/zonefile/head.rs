//! The part of a record before its data: `[<TTL>] [<class>] <type>`, TTL and class in either order
//! and each at most once (RFC 1035, section 5.1).

use super::lexer::Token;
use super::{Place, ZoneFileError, data, ttl};
use crate::rdata::plain_number;

/// A record's type, and its TTL if it has one of its own.
pub(super) struct Head {
    pub(super) kind: u16,
    pub(super) ttl: Option<u32>,
}

/// The class of a record.
enum Class {
    /// IN, the only one that is served.
    Internet,
    Other,
}

/// Takes the head from `tokens`; `at` is where the record starts.
pub(super) fn read(at: Place, tokens: &mut &[Token<'_>]) -> Result<Head, ZoneFileError> {
    let mut found = None;
    let mut has_class = false;
    loop {
        let [token, rest @ ..] = *tokens else {
            return Err(at.fault("the record has no type"));
        };
        *tokens = rest;

        // No type begins with a digit.
        if ttl::looks_like_one(token) {
            if found.is_some() {
                return Err(token.at.fault("the record has two TTLs; leave one of them"));
            }
            found = Some(ttl::read(token)?);
            continue;
        }
        match class(token.text) {
            Some(Class::Internet) if has_class => {
                return Err(token
                    .at
                    .fault("the class is there already; leave one of them"));
            }
            Some(Class::Internet) => has_class = true,
            Some(Class::Other) => {
                return Err(token.at.fault("only records of class IN are served"));
            }
            None => {
                let kind = data::kind(token)?;
                return Ok(Head { kind, ttl: found });
            }
        }
    }
}

/// The class that `text` names (RFC 1035, section 3.2.4; RFC 3597, section 5); `None` if it is not
/// a class.
fn class(text: &str) -> Option<Class> {
    match &*text.to_ascii_uppercase() {
        "IN" => Some(Class::Internet),
        "CS" | "CH" | "HS" => Some(Class::Other),
        other => match plain_number::<u16>(other.strip_prefix("CLASS")?)? {
            1 => Some(Class::Internet),
            _ => Some(Class::Other),
        },
    }
}
