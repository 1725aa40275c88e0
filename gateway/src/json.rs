//! JSON that is safe to print: RFC 8259 allows C1 controls and bidirectional marks in strings
//! unescaped.

use std::fmt::Write as _;

use ringway_config::is_printable;
use serde::Serialize;

/// Version of the `--json` output of every verb: `"schema"` in each document. It changes when a
/// field is removed or changes its meaning, not for new fields.
const SCHEMA: u32 = 1;

/// Replaces characters that a terminal would interpret or hide by `\uXXXX` (RFC 8259, section 7).
/// They occur only inside strings, so the meaning does not change. Newlines between tokens stay.
pub(crate) fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character == '\n' || is_printable(character) {
            text.push(character);
            continue;
        }

        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// The `--json` output: the version of its format, then the report.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: u32,
    #[serde(flatten)]
    report: &'a T,
}

/// A report for `--json`, which is a struct or a map: indented, with a final newline.
pub(crate) fn document(report: &impl Serialize) -> serde_json::Result<String> {
    pretty(&Document {
        schema: SCHEMA,
        report,
    })
}

fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    Ok(printable(&serde_json::to_string_pretty(value)?) + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_begins_with_the_version_of_its_format() {
        #[derive(Serialize)]
        struct Report {
            ok: bool,
        }

        let printed = document(&Report { ok: true }).unwrap();
        assert_eq!(printed, "{\n  \"schema\": 1,\n  \"ok\": true\n}\n");
    }

    #[test]
    fn a_printable_text_means_the_same() {
        let hostile = "\u{1b}[2J\u{9b}2J\u{7f}\u{202e}\u{2028}\u{e0041}\n\"ä\\";
        let printed = pretty(&[hostile]).unwrap();
        assert_eq!(
            printed,
            "[\n  \"\\u001b[2J\\u009b2J\\u007f\\u202e\\u2028\\udb40\\udc41\\n\\\"ä\\\\\"\n]\n"
        );
        assert_eq!(
            serde_json::from_str::<[String; 1]>(&printed).unwrap(),
            [hostile]
        );
    }
}
