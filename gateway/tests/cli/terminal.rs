//! What strangers can fill, read through a terminal: a certificate's subject in a record,
//! everything in the report of a gateway, faults and the log. The screen shows the text and no
//! effect of it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU16;
use std::os::unix::net::UnixListener;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::workspace::Workspace;

const ROWS: u16 = 400;
const COLUMNS: u16 = 200;

/// Moves the cursor, clears, sets the title, asks the terminal, switches the screen, starts lines,
/// hides and reorders.
const HOSTILE: &str = "X\u{1b}[2J\u{1b}[1;1Hroot#\u{1b}]0;title\u{7}\u{1b}[?1049h\u{1b}[8m\u{1b}c\
                       \u{9b}2J\r\n\tfingerprint\u{8}\u{b}\u{c}\u{e}\0\u{7f}\u{202e}\u{2066}\
                       \u{200b}\u{2028}\u{e0041}Y";

/// What stands on the screen before the command writes.
const BEFORE: &str = "what stood there before";

/// Reads `written` as a terminal does. Fails unless the screen then shows just what a reader of the
/// printable characters sees, below what stood there.
#[track_caller]
fn assert_no_effect(what: &str, written: &str) {
    let [rows, columns] = [ROWS, COLUMNS].map(|size| NonZeroU16::new(size).unwrap());
    let mut terminal = vt100::Parser::new(rows, columns, 0);
    terminal.process(format!("{BEFORE}\r\n").as_bytes());
    // As the terminal's driver does for a file.
    let driven = written.replace("\r\n", "\n").replace('\n', "\r\n");
    terminal.process(driven.as_bytes());

    let screen = terminal.screen();
    let mut expected = vec![BEFORE.to_owned()];
    for line in without_colours(written).replace("\r\n", "\n").lines() {
        let characters: Vec<char> = line.trim_end().chars().collect();
        let odd: Vec<&char> = characters.iter().filter(|c| c.is_control()).collect();
        assert!(odd.is_empty(), "{what}: {odd:?} in {line:?}");
        let rows = characters
            .chunks(usize::from(COLUMNS))
            .map(String::from_iter);
        let rows: Vec<String> = rows.collect();
        expected.extend(if rows.is_empty() {
            vec![String::new()]
        } else {
            rows
        });
    }

    let shown: Vec<String> = screen
        .rows(0, COLUMNS)
        .map(|row| row.trim_end().to_owned())
        .collect();
    let count = expected.len();
    assert!(
        count < usize::from(ROWS),
        "{what}: it does not fit the screen"
    );
    let expected: Vec<String> = expected
        .iter()
        .map(|row| row.trim_end().to_owned())
        .collect();
    assert_eq!(shown[..count], expected, "{what}");
    assert!(shown[count..].iter().all(String::is_empty), "{what}");
    assert!(
        !screen.alternate_screen() && !screen.hide_cursor(),
        "{what}"
    );
    assert_eq!(
        screen.cursor_position().1,
        0,
        "{what}: a line is not complete"
    );
}

/// Our own colours: `ESC [ digits m`.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();

    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end.filter(|end| part[*end..].starts_with('m')) {
            Some(end) => plain.push_str(&part[end + 1..]),
            None => plain.push_str(&format!("\u{1b}[{part}")),
        }
    }
    plain
}

/// Puts a CA certificate with a hostile subject into beta's record.
fn set_ca(workspace: &Workspace, not_after: OffsetDateTime) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, HOSTILE);
    params
        .distinguished_name
        .push(DnType::OrganizationName, HOSTILE);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_after = not_after;

    let key = KeyPair::generate().unwrap();
    let certificate = params
        .self_signed(&key)
        .unwrap()
        .pem()
        .replace("\r\n", "\n");
    let genuine = workspace.read("beta/ca/ca.crt");
    workspace.edit("beta/beta.member.toml", &genuine, &certificate);
}

#[test]
fn the_emulator_sees_what_is_not_escaped() {
    let raw = std::panic::catch_unwind(|| assert_no_effect("raw", &format!("{HOSTILE}\n")));
    assert!(raw.is_err(), "the control of these tests");
    assert_no_effect("printable", "one\n\u{1b}[1;31mtwo\u{1b}[0m\n\nthree\n");
}

#[test]
fn a_record_and_the_faults_of_files_have_no_effect() {
    let workspace = Workspace::with_acme_and_beta();
    set_ca(&workspace, OffsetDateTime::now_utc() + Duration::days(90));
    let shown = workspace
        .ringway("member show beta/beta.member.toml")
        .succeeds();
    assert!(shown.out.contains(r"\u{1b}[2J"), "{}", shown.out);
    assert_no_effect("member show", &shown.out);

    let workspace = Workspace::with_acme_and_beta();
    set_ca(&workspace, OffsetDateTime::now_utc() - Duration::days(3));
    workspace.copy("beta/beta.member.toml", "acme/members/beta.member.toml");
    let key = HOSTILE.escape_unicode().to_string().replace("\\u{", "\\U{");
    let key: String = key
        .split("\\U{")
        .skip(1)
        .map(|digits| format!("\\U{:0>8}", digits.trim_end_matches('}')))
        .collect();
    let text = workspace.read("acme/gateway.toml");
    for (verb, extra) in [("check", ""), ("check --json", ""), ("check", "hostile")] {
        let extra = match extra {
            "" => String::new(),
            _ => format!("\n[[dns.record]]\n\"{key}\" = \"{key}\"\nname = \"{key}\"\n"),
        };
        workspace.write("acme/gateway.toml", &format!("{text}{extra}"));
        let checked = workspace.ringway(&format!("{verb} -c acme/gateway.toml"));
        assert_eq!(checked.code, 64, "{}", checked.err);
        assert_no_effect(verb, &checked.out);
        assert_no_effect(verb, &checked.err);
    }
}

#[test]
fn the_report_of_a_gateway_has_no_effect() {
    let workspace = Workspace::with_acme_and_beta();
    let listener = UnixListener::bind(workspace.path().join("acme/ringway.sock")).unwrap();
    let verbs = [
        "status",
        "status --all",
        "status --drops",
        "status --check",
        "status --json",
        "status --org beta",
        "status --peer gw.beta",
        "policy denied",
        "reload",
    ];
    let answering = std::thread::spawn(move || {
        for _ in verbs {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = String::new();
            BufReader::new(&client).read_line(&mut request).unwrap();
            let answer = if request == "reload\n" {
                reload()
            } else {
                report()
            };
            client.write_all(answer.to_string().as_bytes()).unwrap();
        }
    });

    for verb in verbs {
        let shown = workspace.ringway(&format!("{verb} -c acme/gateway.toml"));
        assert!(
            shown.out.contains("[2J"),
            "{verb}: {} {}",
            shown.out,
            shown.err
        );
        assert_no_effect(verb, &shown.out);
        assert_no_effect(verb, &shown.err);
    }
    answering.join().unwrap();
}

fn reload() -> Value {
    json!({"at": HOSTILE, "adopted": false, "changes": [HOSTILE], "faults": [HOSTILE],
           "warnings": [HOSTILE]})
}

/// A report whose every string is hostile, but for those that choose what is shown.
fn report() -> Value {
    let drift = json!({"org": HOSTILE, "kind": HOSTILE, "ours": null, "theirs": null,
                       "what": HOSTILE});
    let tunnel = |state: &str| {
        json!({"peer": HOSTILE, "org": "beta", "address": HOSTILE, "state": state,
               "endpoints": [{"endpoint": HOSTILE, "result": HOSTILE, "at": HOSTILE}],
               "certificate_until": HOSTILE, "since": HOSTILE, "age_s": 3600, "rtt_us": null,
               "outages": [{"began": HOSTILE, "lasted_s": 1.5, "reason": HOSTILE}],
               "path_mtu": 1500, "tx_bytes": 0, "rx_bytes": 0, "drops": {HOSTILE: 1},
               "last_error": HOSTILE, "records_differ": [HOSTILE], "record_drift": [drift],
               "refused": {HOSTILE: HOSTILE}, "refused_by_peer": {HOSTILE: HOSTILE}})
    };
    let mut asked_for = tunnel("down");
    asked_for["peer"] = json!("gw.beta");
    let item = json!({"kind": HOSTILE, "name": HOSTILE, "since": HOSTILE, "remedy": HOSTILE,
                      "what": format!("gw.beta beta {HOSTILE}")});

    json!({
        "gateway": HOSTILE, "state": HOSTILE, "attention": [item],
        "daemon": {"version": HOSTILE, "pid": 1, "started": HOSTILE, "uptime_s": 1,
                   "site": HOSTILE, "config": HOSTILE, "state_dir": HOSTILE, "socket": HOSTILE,
                   "tun": HOSTILE, "listen": HOSTILE, "endpoints": [HOSTILE], "dns": [HOSTILE]},
        "last_reload": reload(),
        "tunnels": [asked_for, tunnel("up"), tunnel(HOSTILE)],
        "routes": [{"prefix": HOSTILE, "org": "beta", "gateway": HOSTILE, "verdict": HOSTILE,
                    "conflict_with": HOSTILE, "installed": true}],
        "zones": [{"apex": HOSTILE, "serial": 1, "age_s": 1, "origin": HOSTILE,
                   "refused": HOSTILE, "refused_by": [HOSTILE],
                   "fragments": [{"gateway": HOSTILE, "state": "missing", "records": null,
                                  "refused": HOSTILE, "left_out": [HOSTILE]}]}],
        "revocation_lists": [{"org": "beta", "issuer": HOSTILE, "number": HOSTILE, "revoked": 1,
                              "next_update": HOSTILE, "stale": true}],
        "checks": [{"host": HOSTILE, "address": HOSTILE, "state": HOSTILE, "since": HOSTILE,
                    "error": HOSTILE}],
        "certificates": [{"subject": HOSTILE, "not_after": HOSTILE}],
        "drops": {HOSTILE: 1}, "filtered": {HOSTILE: 1}, "restored": {HOSTILE: 1},
        "policy": {"flows_ours": 0, "flows_theirs": 0, "flows_evicted": 1, "flows_unrecorded": 1,
                   "grace": 1, "drops": {HOSTILE: 1}, "orgs": {HOSTILE: 1}, "rules": [],
                   "denied": [{"at": HOSTILE, "arrives": true, "org": HOSTILE, "reason": HOSTILE,
                               "source": HOSTILE, "destination": HOSTILE, "service": HOSTILE}]},
    })
}

#[test]
fn the_log_of_a_start_has_no_effect() {
    let workspace = Workspace::with_acme_and_beta();
    set_ca(&workspace, OffsetDateTime::now_utc() - Duration::days(3));
    workspace.copy("beta/beta.member.toml", "acme/members/beta.member.toml");

    // It warns of the certificate, and ends: the name is taken. On a terminal of its own, so that
    // the log has its colours.
    let answer = workspace.offline(
        "ip tuntap add dev ringway0 mode tun; export ringway
         script -qec '$ringway run -c acme/gateway.toml' /dev/null || true",
    );
    assert!(
        answer.out.contains(r"\u{1b}[2J"),
        "{} {}",
        answer.out,
        answer.err
    );
    assert!(
        answer.out.contains("ringway0 is another interface"),
        "{}",
        answer.out
    );
    assert_no_effect("run", &answer.out);
}
