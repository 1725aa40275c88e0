//! Files that an editor of Windows has written: commands that edit them change what they say alone.

use super::workspace::Workspace;

const FILE: &str = "acme/gateway.toml";
const RECORD: &str = "acme/acme.member.toml";

/// The lines that are in `after` and not in `before`, and how many of `before` are gone.
fn change<'t>(before: &str, after: &'t str) -> (Vec<&'t str>, usize) {
    let old: Vec<&str> = before.split('\n').collect();
    let new: Vec<&str> = after.split('\n').collect();
    let added = new.iter().filter(|line| !old.contains(line));
    let gone = old.iter().filter(|line| !new.contains(line));

    (added.copied().collect(), gone.count())
}

#[test]
fn an_edit_keeps_line_ends_and_byte_order_mark() {
    for (mark, end) in [("", "\r\n"), ("\u{feff}", "\n"), ("\u{feff}", "\r\n")] {
        let workspace = Workspace::with_acme_and_beta();
        workspace.add("beta/beta.member.toml").succeeds();
        for file in [FILE, RECORD] {
            let text = workspace.read(file).replace('\n', end);
            workspace.write(file, &format!("{mark}{text}"));
        }
        // The record has changed since the gateway has accepted it.
        workspace.set_serial(RECORD, 7);
        let file = workspace.read(FILE);
        let record = workspace.read(RECORD);

        let answer = workspace
            .ringway(&format!(
                "policy allow --from beta --to 10.211.0.11 --port 8443 -c {FILE}"
            ))
            .succeeds();
        let shown = answer.out.lines();
        let removed = shown.filter(|line| line.starts_with('-') && !line.starts_with("---"));
        assert_eq!(removed.count(), 0, "{}", answer.out);
        let with_rule = workspace.read(FILE);
        assert_eq!(change(&file, &with_rule).1, 0);

        workspace
            .ringway(&format!("dns add peer7=10.211.0.17 -c {FILE}"))
            .succeeds();
        let with_host = workspace.read(FILE);
        let (added, gone) = change(&with_rule, &with_host);
        assert_eq!(gone, 0);
        assert!(
            added
                .iter()
                .all(|line| line.ends_with('\r') == (end == "\r\n"))
        );

        workspace
            .ringway(&format!("site add depot=10.217.0.0/16 -c {FILE}"))
            .succeeds();
        let after = workspace.read(RECORD);
        assert_eq!(change(&record, &after).1, 1, "the serial alone");
        for text in [workspace.read(FILE), after] {
            assert!(text.starts_with(mark));
            assert_eq!(text.matches('\n').count(), text.matches(end).count());
        }
    }
}
