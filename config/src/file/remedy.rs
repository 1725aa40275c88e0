//! What to write in place of a value with a fault: the value itself in its correct form where that
//! can be seen in it, else the example of its key. An operator pastes what a fault says, so an
//! example with somebody else's address is never said without the word.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::address::{address_in, without_brackets};

/// Bytes of a value that is shown again.
const MOST_SHOWN: usize = 100;

/// The end of a fault that has nothing but the form of the key.
pub(super) fn of_form(form: &str) -> String {
    // Tables and numbers are meant as they stand, and so is what has a placeholder. A text is the
    // name, address or file of another installation.
    let is_example = form.contains('"') && !form.starts_with('[') && !form.contains('<');
    let word = if is_example {
        "write for example"
    } else {
        "write"
    };

    format!("{word} {form}")
}

/// `key = [value]`, of a text that stands alone where the form has an array.
pub(super) fn in_an_array(form: &str, raw: &str) -> Option<String> {
    let (key, example) = form.split_once(" = ")?;
    // Text with blanks is a list in one, or a command with its arguments.
    let is_whole = !raw.contains(char::is_whitespace) && raw.len() <= MOST_SHOWN;

    (example.starts_with('[') && is_whole).then(|| format!("write {key} = [{raw}]"))
}

/// `key = value`, of the only element of an array where the form has none.
pub(super) fn alone(form: &str, raw: &str) -> Option<String> {
    let (key, example) = form.split_once(" = ")?;
    let is_whole = !raw.contains('\n') && raw.len() <= MOST_SHOWN;

    (!example.starts_with('[') && is_whole).then(|| format!("write {key} = {raw}"))
}

/// What is wrong with a text in the place of an address: `wrong`, and the address that is in it.
pub(super) fn no_address(text: &str, wrong: &str) -> String {
    match address_in(text) {
        Some(address) => format!("{text:?} {wrong}; write \"{address}\""),
        None => format!("{text:?} {wrong}"),
    }
}

/// What is wrong with a text in the place of an address and a port: `wrong`, and the text with the
/// usual `port` if it has none of its own.
pub(super) fn no_socket(text: &str, wrong: &str, port: u16) -> String {
    match socket_in(text, port) {
        Some(socket) => format!("{text:?} {wrong}; write \"{socket}\""),
        None => format!("{text:?} {wrong}"),
    }
}

fn socket_in(text: &str, usual: u16) -> Option<SocketAddr> {
    let every = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    // `:4600` and `*:4600`, as other programs have it for every address.
    let port = text.strip_prefix('*').unwrap_or(text).strip_prefix(':');
    if let Some(port) = port.and_then(|port| port.parse().ok()) {
        return (port != 0).then(|| SocketAddr::new(every, port));
    }

    let usual = SocketAddr::new(address_in(text)?, usual);
    Some(without_brackets(text).unwrap_or(usual))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_for_the_operators_own_is_an_example() {
        assert_eq!(
            of_form(r#"key = "gateway.key""#),
            r#"write for example key = "gateway.key""#
        );
        for form in [
            "ttl = 5",
            "[[site]] with name and prefixes",
            r#"keys = ["sha256:<64 hexadecimal digits>"]"#,
        ] {
            assert_eq!(of_form(form), format!("write {form}"));
        }
    }

    #[test]
    fn a_missing_port_is_the_usual_one() {
        for (text, meant) in [
            ("10.1.0.1", Some("10.1.0.1:53")),
            ("10.1.0.1:0", Some("10.1.0.1:53")),
            ("fd00::1", Some("[fd00::1]:53")),
            ("fd00::1:4600", Some("[fd00::1]:4600")),
            (":4600", Some("0.0.0.0:4600")),
            ("*:4600", Some("0.0.0.0:4600")),
            (":0", None),
            ("gw.example:4600", None),
            ("", None),
        ] {
            assert_eq!(
                socket_in(text, 53).map(|socket| socket.to_string()),
                meant.map(str::to_owned),
                "{text}"
            );
        }
    }
}
