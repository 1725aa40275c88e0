//! Leaves secrets out of any text, by what they look like: private keys in PEM, PINs in PKCS#11
//! URIs, passwords in URLs, what follows a word such as `password`; and by their value, where that
//! is known ([`Secrets`]).

use std::collections::BTreeSet;

/// Replaces what is removed.
pub(super) const REMOVED: &str = "(removed)";

/// Parts of the names of what is secret, in small letters, without `-` and `_`.
const WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "psk",
    "presharedkey",
    "privatekey",
    "apikey",
    "accesskey",
    "credential",
    "authorization",
];

/// Shorter ones may be anything.
const SHORTEST: usize = 6;

/// The markers of any private key in PEM.
const BEGIN: &str = "-----BEGIN ";
const KEY: &str = "PRIVATE KEY";

const PIN: &str = "pin-value=";

/// Secrets whose values are known.
#[derive(Debug, Default)]
pub(super) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// Those of the environment, by the names of its variables.
    pub(super) fn of_environment(variables: impl Iterator<Item = (String, String)>) -> Secrets {
        let mut secrets = Secrets::default();

        for (name, value) in variables {
            let is_pin = name.to_lowercase().ends_with("pin");
            // The place of a secret is none, and stands everywhere.
            if (is_secret(&name) || is_pin) && !value.starts_with('/') {
                secrets.learn(&value);
            }
        }
        secrets
    }

    pub(super) fn learn(&mut self, secret: &str) {
        let secret = secret.trim();

        if secret != REMOVED && (secret.len() >= SHORTEST || secret.contains(' ')) {
            self.0.insert(secret.to_owned());
            // As logs and JSON quote it.
            let quoted = format!("{secret:?}");
            self.0.insert(quoted[1..quoted.len() - 1].to_owned());
        }
    }

    fn remove_from(&self, text: &str) -> String {
        let mut secrets: Vec<&String> = self.0.iter().collect();
        // One may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));

        let mut text = text.to_owned();
        for secret in secrets {
            text = text.replace(secret.as_str(), REMOVED);
        }
        text
    }
}

fn is_secret(name: &str) -> bool {
    let plain = name.to_lowercase().replace(['-', '_'], "");

    WORDS.iter().any(|word| plain.contains(word))
}

/// `text` without `secrets`, and without what looks like one.
pub(super) fn text(text: &str, secrets: &Secrets) -> String {
    let text = secrets.remove_from(text);
    let mut kept = String::with_capacity(text.len());
    let mut is_key = false;

    for line in text.split_inclusive('\n') {
        if line.contains(BEGIN) && line.contains(KEY) {
            is_key = true;
            kept.push_str(REMOVED);
            kept.push('\n');
        }
        if !is_key {
            let line = without_pin(line, &[';', '&', '\'', '"', ' ', '\n'], &mut Vec::new());
            let line = without_login(&line, &mut Vec::new());
            kept.push_str(&without_named(&line));
        }
        if line.contains("-----END ") {
            is_key = false;
        }
    }
    kept
}

/// The value of a setting without secrets, and those that it has had.
pub(super) fn value(text: &str) -> (String, Vec<String>) {
    let mut found = Vec::new();
    if text.contains(BEGIN) && text.contains(KEY) {
        return (REMOVED.to_owned(), found);
    }

    // RFC 7512, section 2.3: nothing else ends an attribute.
    let kept = without_pin(text, &[';', '&'], &mut found);
    let kept = without_login(&kept, &mut found);
    (kept, found)
}

/// RFC 7512, section 2.4: the PIN of a token.
fn without_pin(line: &str, ends: &[char], found: &mut Vec<String>) -> String {
    let mut parts = line.split(PIN);
    let mut kept = parts.next().unwrap_or_default().to_owned();

    for part in parts {
        let end = part.find(ends).unwrap_or(part.len());
        found.push(part[..end].to_owned());
        kept += &format!("{PIN}{REMOVED}{}", &part[end..]);
    }
    kept
}

/// RFC 3986, section 3.2.1: user and password before the host of a URL.
fn without_login(line: &str, found: &mut Vec<String>) -> String {
    const MARK: &str = "://";
    let mut parts = line.split(MARK);
    let mut kept = parts.next().unwrap_or_default().to_owned();

    for part in parts {
        let end = part.find(['/', '?', '#', '"', '\'', ' ', '\n']);
        let authority = &part[..end.unwrap_or(part.len())];
        kept += MARK;
        match authority.rsplit_once('@') {
            Some((login, _)) => {
                let password = login
                    .split_once(':')
                    .map_or(login, |(_, password)| password);
                found.push(password.to_owned());
                kept += &format!("{REMOVED}{}", &part[login.len()..]);
            }
            None => kept += part,
        }
    }
    kept
}

/// `password = hunter2`, `"token": "…"`, `--secret=…`, `Authorization: Bearer …`.
fn without_named(line: &str) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut rest = line;

    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at + 1);
        kept.push_str(before);
        rest = after;
        let so_far = &line[..line.len() - rest.len() - 1];
        if !is_secret(name_at_the_end_of(so_far)) {
            continue;
        }

        let value = after.trim_start_matches([' ', '"', '\'', '\\']);
        let scheme = ["Bearer ", "Basic "].iter();
        let scheme: usize = scheme
            .filter(|it| value.starts_with(**it))
            .map(|it| it.len())
            .sum();
        let length = value[scheme..].find([' ', '"', '\'', '\\', ',', ';', '\n']);
        let length = length.map_or(value.len(), |length| scheme + length);
        // A word such as `true` tells nothing, and what is removed already stays so.
        if length > 4 && !value.starts_with(REMOVED) {
            kept.push_str(&after[..after.len() - value.len()]);
            kept.push_str(REMOVED);
            rest = &value[length..];
        }
    }
    kept + rest
}

/// The last word of `text`, but for quotes and blanks; not an attribute of a PKCS#11 URI, whose
/// `token` is a label.
fn name_at_the_end_of(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '"', '\'', '\\']);
    let start = text.rfind(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
    let start = start.map_or(0, |at| at + 1);

    let name = &text[start..];
    if name != "token" {
        return name;
    }
    let uri = text[..start].rsplit_once("pkcs11:");
    let is_attribute = uri.is_some_and(|(_, uri)| !uri.contains([' ', '"', '\'']));
    if is_attribute { "" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(line: &str) -> String {
        text(line, &Secrets::default())
    }

    #[test]
    fn no_private_key_is_left_whatever_its_kind_and_place() {
        for kind in ["", "EC ", "RSA ", "ENCRYPTED ", "OPENSSH "] {
            let all = format!(
                "before\n  key: -----BEGIN {kind}PRIVATE KEY-----\nMHcCAQ\nxyz==\n\
                 -----END {kind}PRIVATE KEY-----\nafter\n"
            );
            assert_eq!(scrubbed(&all), "before\n(removed)\nafter\n");
        }
        // A truncated key.
        assert_eq!(
            scrubbed("a\n-----BEGIN PRIVATE KEY-----\nMHc"),
            "a\n(removed)\n"
        );
        let certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        assert_eq!(scrubbed(certificate), certificate);
    }

    #[test]
    fn pins_are_left_out_wherever_they_end() {
        for (line, kept) in [
            (
                "'pkcs11:token=a;pin-value=1234;object=b'\n",
                "'pkcs11:token=a;pin-value=(removed);object=b'\n",
            ),
            ("x?pin-value=1234", "x?pin-value=(removed)"),
            (
                "pin-value=1 pin-value=2\n",
                "pin-value=(removed) pin-value=(removed)\n",
            ),
            ("pin-source=file:/pin\n", "pin-source=file:/pin\n"),
        ] {
            assert_eq!(scrubbed(line), kept);
        }
    }

    #[test]
    fn what_is_called_a_secret_is_left_out_in_every_notation() {
        for secret in [
            "password = hunter2",
            "\"token\": \"hunter2\", \"x\": 1",
            "--secret=hunter2",
            "AWS_SECRET_ACCESS_KEY='hunter2'",
            "Authorization: Bearer hunter2",
            "PresharedKey = hunter2=",
            "private-key:hunter2",
            "https://user:hunter2@registry.example/x",
            "https://hunter2@registry.example",
            "comment \\\"psk=hunter2\\\"",
        ] {
            let kept = scrubbed(&format!("{secret}\n"));
            assert!(
                !kept.contains("hunter2") && kept.contains(REMOVED),
                "{kept}"
            );
        }
        for plain in [
            "10.1.0.1:4600 at 12:30:00, fd00::1\n",
            "no token here: nothing\n",
            "https://registry.example/a@b\n",
            "\"secret\": true\n",
            "pkcs11:token=gateways;object=a\n",
        ] {
            assert_eq!(scrubbed(plain), plain);
        }
    }

    #[test]
    fn secrets_of_the_environment_are_known_by_the_names_of_their_variables() {
        let variables = [
            ("RINGWAY_PIN", "hunter2"),
            ("AWS_SESSION_TOKEN", "abc\"def"),
            ("HOME", "/root/x"),
            ("TOKEN_FILE", "/root/x"),
            ("DB_PASSWORD", "1"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secrets = Secrets::of_environment(variables.into_iter());

        assert_eq!(
            text("hunter2 abc\"def abc\\\"def /root/x 1\n", &secrets),
            "(removed) (removed) (removed) /root/x 1\n"
        );
    }
}
