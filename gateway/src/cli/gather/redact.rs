//! Removes what must not be handed out: private keys, PINs and passwords, and arguments of
//! commands.

use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table, Value as Toml};

/// Replaces what is removed.
const REMOVED: &str = "(removed)";

/// Arrays with a program as first element: its arguments may be credentials of a cloud.
const COMMANDS: [&str; 2] = ["on-active", "on-standby"];

/// Parts of setting names that mark a secret, even in settings that do not exist yet.
const SECRETS: [&str; 4] = ["password", "secret", "token", "pin"];

/// The markers of any private key in PEM.
const BEGIN: &str = "-----BEGIN ";
const KEY: &str = "PRIVATE KEY-----";

/// `text` without private keys, and without the PINs in PKCS#11 URIs (RFC 7512, 2.4).
pub(super) fn text(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut is_key = false;

    for line in text.split_inclusive('\n') {
        if line.contains(BEGIN) && line.contains(KEY) {
            is_key = true;
            kept.push_str(REMOVED);
            kept.push('\n');
        }
        if !is_key {
            kept.push_str(&without_pin(line));
        }
        if line.contains("-----END ") {
            is_key = false;
        }
    }
    kept
}

fn without_pin(line: &str) -> String {
    let mut parts = line.split("pin-value=");
    let mut kept = parts.next().unwrap_or_default().to_owned();

    for part in parts {
        let end = part.find([';', '&', '\'', '"', ' ', '\n']);
        let rest = end.map_or("", |end| &part[end..]);
        kept += &format!("pin-value={REMOVED}{rest}");
    }
    kept
}

/// The contents of a TOML file as JSON, without comments and secrets; `None` if it is no TOML.
pub(super) fn file(text: &str) -> Option<String> {
    let document: DocumentMut = text.parse().ok()?;
    let value = table(document.as_table());

    let text = serde_json::to_string_pretty(&value).ok()?;
    Some(text + "\n")
}

fn table(table: &Table) -> Value {
    let entries = table.iter().map(|(key, item)| {
        let value = if is_secret(key) {
            json!(REMOVED)
        } else {
            without_arguments(key, of(item))
        };
        (key.to_owned(), value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

fn is_secret(key: &str) -> bool {
    SECRETS.iter().any(|secret| key.contains(secret))
}

fn without_arguments(key: &str, value: Value) -> Value {
    match value {
        Value::Array(parts) if COMMANDS.contains(&key) && parts.len() > 1 => {
            json!([parts[0], REMOVED])
        }
        other => other,
    }
}

fn of(item: &Item) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => of_value(value),
        Item::Table(inner) => table(inner),
        Item::ArrayOfTables(tables) => tables.iter().map(table).collect(),
    }
}

fn of_value(value: &Toml) -> Value {
    match value {
        Toml::String(text) => json!(text.value()),
        Toml::Integer(number) => json!(number.value()),
        Toml::Float(number) => json!(number.value()),
        Toml::Boolean(boolean) => json!(boolean.value()),
        Toml::Datetime(time) => json!(time.value().to_string()),
        Toml::Array(values) => values.iter().map(of_value).collect(),
        Toml::InlineTable(inner) => table(&inner.clone().into_table()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_private_key_is_left_whatever_its_kind_and_place() {
        for kind in ["", "EC ", "RSA ", "ENCRYPTED "] {
            let all = format!(
                "before\n  key: -----BEGIN {kind}PRIVATE KEY-----\nMHcCAQ\nxyz==\n\
                 -----END {kind}PRIVATE KEY-----\nafter\n"
            );
            assert_eq!(text(&all), "before\n(removed)\nafter\n");
        }
        // A truncated key.
        assert_eq!(
            text("a\n-----BEGIN PRIVATE KEY-----\nMHc"),
            "a\n(removed)\n"
        );
        let certificate = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n";
        assert_eq!(text(certificate), certificate);
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
            assert_eq!(text(line), kept);
        }
    }

    #[test]
    fn a_file_keeps_its_settings_and_loses_comments_arguments_and_passwords() {
        let kept = file(
            "# my password is hunter2\nversion = 1 # hunter2\nproxy = { password = \"hunter2\" }\n\
             [ha]\non-active = [\"/usr/bin/aws\", \"--key\", \"hunter2\"] # hunter2\n\
             on-standby = [\"/bin/true\"]\n[[dns.host]]\nname = \"peer0\"\n",
        )
        .unwrap();
        assert!(!kept.contains("hunter2"), "{kept}");
        let value: Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(
            value,
            json!({
                "version": 1,
                "proxy": { "password": REMOVED },
                "ha": { "on-active": ["/usr/bin/aws", REMOVED], "on-standby": ["/bin/true"] },
                "dns": { "host": [{ "name": "peer0" }] },
            })
        );
        assert_eq!(file("version = "), None);
    }
}
