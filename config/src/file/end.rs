//! The last line of a record, `[end]`. One that was cut short does not have it.

use super::source::Source;
use super::table::Table;
use crate::keys;

const END: &str = "[end]";

/// Reports a record that was cut short, or to whose end something was added.
pub(super) fn check(table: &Table<'_>, source: &Source<'_>) {
    let Some(end) = table.optional(&keys::member::END) else {
        return table.fault("the record does not end with the line [end]; it is not whole");
    };
    // A key in it is reported as unknown.
    end.table(&keys::end::SCHEMA);

    // A line that is exactly this is the table's header: in no text that is TOML can a string or
    // an array that holds such a line end the file.
    match source.text.strip_suffix('\n') {
        Some(text) if last_line(text) == END => {}
        None if last_line(source.text) == END => end.fault(
            "the line [end] has no end: the file's last byte must be a newline, and is missing; \
             take the file again as it was handed out, or add it if the file is yours",
        ),
        _ => end.fault("[end] is not the last line; nothing may follow it but the line's end"),
    }
}

/// Without the carriage return that some editors write.
fn last_line(text: &str) -> &str {
    let line = text.rsplit('\n').next().unwrap_or_default();
    line.strip_suffix('\r').unwrap_or(line)
}
