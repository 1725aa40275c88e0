//! What a file in TOML says, as JSON, without what must not be handed out: comments, the arguments
//! of commands, whatever no setting is called, and secrets inside of settings. And which
//! [`Secrets`] it has, so that they are found in what other commands print, too.

use std::net::IpAddr;

use ringway_config::{Prefix, keys};
use serde_json::{Map, Value, json};
use toml_edit::{DocumentMut, Item, Table, Value as Toml};

use super::scrub::{self, REMOVED, Secrets};

/// Arrays with a program as first element: its arguments may be credentials of a cloud.
const COMMANDS: [&str; 2] = ["on-active", "on-standby"];

/// `text` as JSON; `None` if it is no TOML. What is left out of it is added to `secrets`.
pub(super) fn file(text: &str, secrets: &mut Secrets) -> Option<String> {
    let document: DocumentMut = text.parse().ok()?;
    let value = table(document.as_table(), secrets);

    let text = serde_json::to_string_pretty(&value).ok()?;
    Some(text + "\n")
}

fn table(table: &Table, secrets: &mut Secrets) -> Value {
    let mut entries = Map::new();

    for (key, item) in table.iter() {
        let value = if !keys::is_known(key) {
            learn_all(&of(item, secrets), secrets);
            json!(REMOVED)
        } else if COMMANDS.contains(&key) {
            without_arguments(of(item, secrets), secrets)
        } else {
            of(item, secrets)
        };
        entries.insert(key.to_owned(), value);
    }
    Value::Object(entries)
}

/// Nobody knows what a setting is that there is not: each text in it may be secret.
fn learn_all(value: &Value, secrets: &mut Secrets) {
    match value {
        Value::String(text) => secrets.learn(text),
        Value::Array(values) => values.iter().for_each(|value| learn_all(value, secrets)),
        Value::Object(entries) => entries.values().for_each(|value| learn_all(value, secrets)),
        _ => {}
    }
}

fn without_arguments(value: Value, secrets: &mut Secrets) -> Value {
    let Value::Array(parts) = value else {
        learn_all(&value, secrets);
        return json!(REMOVED);
    };
    let (program, arguments) = match parts.as_slice() {
        [program, arguments @ ..] if !arguments.is_empty() => (program, arguments),
        _ => return json!(parts),
    };

    for argument in arguments.iter().filter_map(Value::as_str) {
        // An address is no credential, and stands everywhere.
        if argument.parse::<IpAddr>().is_err() && argument.parse::<Prefix>().is_err() {
            secrets.learn(argument);
        }
    }
    json!([program, REMOVED])
}

fn of(item: &Item, secrets: &mut Secrets) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Value(value) => of_value(value, secrets),
        Item::Table(inner) => table(inner, secrets),
        Item::ArrayOfTables(tables) => tables.iter().map(|one| table(one, secrets)).collect(),
    }
}

fn of_value(value: &Toml, secrets: &mut Secrets) -> Value {
    match value {
        Toml::String(text) => {
            let (kept, found) = scrub::value(text.value());
            for secret in found {
                secrets.learn(&secret);
            }
            json!(kept)
        }
        Toml::Integer(number) => json!(number.value()),
        Toml::Float(number) => json!(number.value()),
        Toml::Boolean(boolean) => json!(boolean.value()),
        Toml::Datetime(time) => json!(time.value().to_string()),
        Toml::Array(values) => values.iter().map(|one| of_value(one, secrets)).collect(),
        Toml::InlineTable(inner) => table(&inner.clone().into_table(), secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_keeps_its_settings_and_loses_comments_arguments_and_what_is_no_setting() {
        let mut secrets = Secrets::default();
        let kept = file(
            "# my password is hunter2\nversion = 1 # hunter2\nproxy = { login = \"hunter22\" }\n\
             [ha]\non-active = [\"/usr/bin/aws\", \"10.2.0.0/16\", \"hunter23\"] # hunter2\n\
             on-standby = [\"/bin/true\"]\n[[dns.host]]\nname = \"peer0\"\n\
             [identity]\nkey = \"pkcs11:token=a;pin-value=my pin\"\n",
            &mut secrets,
        )
        .unwrap();
        let value: Value = serde_json::from_str(&kept).unwrap();
        assert_eq!(
            value,
            json!({
                "version": 1,
                "proxy": REMOVED,
                "ha": { "on-active": ["/usr/bin/aws", REMOVED], "on-standby": ["/bin/true"] },
                "dns": { "host": [{ "name": "peer0" }] },
                "identity": { "key": "pkcs11:token=a;pin-value=(removed)" },
            })
        );
        assert_eq!(file("version = ", &mut secrets), None);

        let said = "hunter22, 10.2.0.0/16, \"hunter23\" and my pin";
        assert_eq!(
            scrub::text(said, &secrets),
            "(removed), 10.2.0.0/16, \"(removed)\" and (removed)"
        );
    }
}
