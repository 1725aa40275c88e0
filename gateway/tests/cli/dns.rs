//! `ringway dns`, and what `ringway check` says about zones.

use super::workspace::Workspace;

/// acme with a host, a zone file that includes another, and beta among its members.
fn acme() -> Workspace {
    let workspace = Workspace::with_acme_and_beta();
    workspace.add("beta/beta.member.toml").succeeds();
    workspace.edit("acme/gateway.toml", "# zone-files = ", "zone-files = ");
    let config = workspace.read("acme/gateway.toml");
    let host = "\n[[dns.host]]\nname = \"peer0\"\naddresses = [\"10.211.0.11\", \"fd00:211::11\"]\n\
                services = [\"peer:7051/tcp\"]\n";
    workspace.write("acme/gateway.toml", &format!("{config}{host}"));
    workspace.write(
        "acme/acme.zone",
        "ca CNAME peer0\n*.apps TXT \"a b\"\n$INCLUDE more.zone lab\n",
    );
    workspace.write("acme/more.zone", "@ MX 10 peer0.acme.consortium.example.\n");
    workspace
}

const C: &str = "-c acme/gateway.toml";

#[test]
fn an_answer_says_where_each_record_was_written() {
    let workspace = acme();
    let before = workspace.list("acme");
    let out = workspace
        .ringway(&format!("dns query CA.acme.consortium.example {C}"))
        .succeeds()
        .out;
    assert_eq!(
        out,
        format!(
            ";; gateway gw.acme, from its files; a running one was not asked\n\
             ;; status: NOERROR, flags: qr aa\n\
             ;; question: ca.acme.consortium.example IN A\n\n\
             ;; ANSWER\n\
             ca.acme.consortium.example. 5 IN CNAME peer0.acme.consortium.example.  ; \
             acme/acme.zone:1:1\n\
             peer0.acme.consortium.example. 5 IN A 10.211.0.11  ; {}\n",
            workspace.place("acme/gateway.toml", "10.211.0.11")
        )
    );
    let answer = |question: &str| {
        let out = workspace
            .ringway(&format!("dns query {question} {C}"))
            .succeeds()
            .out;
        out.lines().skip(4).map(str::to_owned).collect::<Vec<_>>()
    };
    let wildcard = answer("x.apps.acme.consortium.example TXT");
    assert_eq!(
        wildcard[1],
        "x.apps.acme.consortium.example. 5 IN TXT \"a b\"  ; acme/acme.zone:2:1"
    );
    let included = answer("lab.acme.consortium.example mx");
    assert_eq!(
        included[1],
        "lab.acme.consortium.example. 5 IN MX 10 peer0.acme.consortium.example.  ; \
         acme/more.zone:1:1"
    );
    let service = answer("_peer._tcp.peer0.acme.consortium.example SRV");
    let place = format!(
        "acme/gateway.toml:{}:13",
        workspace.read("acme/gateway.toml").lines().count()
    );
    let expected = format!(" SRV 0 0 7051 peer0.acme.consortium.example.  ; {place}");
    assert!(service[1].ends_with(&expected), "{service:?}");
    let reverse = answer("11.0.211.10.in-addr.arpa PTR");
    let expected = "11.0.211.10.in-addr.arpa. 5 IN PTR peer0.acme.consortium.example.  ; derived \
     from addresses";
    assert_eq!(reverse[1], expected);
    let missing = answer("gone.acme.consortium.example");
    assert!(
        missing[1].ends_with(" 60 10 1209600 5  ; made by ringway"),
        "{missing:?}"
    );
    assert_eq!(workspace.list("acme"), before, "a question changes nothing");
}

#[test]
fn a_zone_that_was_never_received_is_no_missing_name() {
    let workspace = acme();
    let out = workspace
        .ringway(&format!("dns query peer0.beta.consortium.example {C}"))
        .succeeds()
        .out;
    assert!(out.contains("status: SERVFAIL"), "{out}");
    assert!(
        out.contains(";; zone beta.consortium.example: never received\n"),
        "{out}"
    );
    let out = workspace
        .ringway(&format!("dns query www.example.org {C}"))
        .succeeds()
        .out;
    assert!(out.contains("status: REFUSED"), "{out}");
}

#[test]
fn zones_are_listed_with_where_they_come_from() {
    let out = acme().ringway(&format!("dns zones {C}")).succeeds().out;
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["zone", "serial", "records", "from"]);
    assert_eq!((lines[1][0], lines[1][2]), ("acme.consortium.example", "8"));
    assert_eq!(
        lines[2],
        ["beta.consortium.example", "-", "-", "never", "received"]
    );
}

#[test]
fn an_exported_zone_reads_back_as_itself() {
    let workspace = acme();
    let out = workspace
        .ringway(&format!("dns export acme.consortium.example {C}"))
        .succeeds()
        .out;
    workspace.write("out.zone", &out);
    let check = workspace.ringway("dns check out.zone").succeeds().out;
    // This gateway has no DNS server, and so no address in the zone.
    assert_eq!(
        check,
        "out.zone: zone acme.consortium.example, 8 records, in order\n\n\
         warning: out.zone:2:1: the target gw.acme.consortium.example of this NS does not exist; \
         correct it, or add the name\n"
    );
    let again = workspace
        .ringway("dns query --zone-file out.zone lab.acme.consortium.example MX")
        .succeeds()
        .out;
    assert!(
        again.starts_with(";; zone file out.zone\n;; status: NOERROR"),
        "{again}"
    );
    assert!(
        again.contains(" MX 10 peer0.acme.consortium.example.  ; out.zone:"),
        "{again}"
    );
    let unknown = workspace.ringway(&format!("dns export gamma.consortium.example {C}"));
    unknown.refuses(&[
        "error: gamma.consortium.example is not a zone of this gateway; there are \
         acme.consortium.example, beta.consortium.example, and the reverse zones of the members' \
         prefixes, such as 1.10.in-addr.arpa of 10.1.0.0/16",
    ]);
    let never = workspace.ringway(&format!("dns export beta.consortium.example {C}"));
    assert_eq!(
        (never.code, &*never.err),
        (
            1,
            "error: beta.consortium.example cannot be written: never received\n"
        )
    );
}

#[test]
fn a_zone_file_is_checked_by_itself() {
    let workspace = acme();
    let check = workspace
        .ringway("dns check acme/acme.zone --zone acme.consortium.example")
        .succeeds()
        .out;
    assert_eq!(
        check,
        "acme/acme.zone: zone acme.consortium.example, 4 records, in order\n"
    );
    workspace.write(
        "bad.zone",
        "$TTL 5\n@ SOA ns h 1 2 3 4 5\na A 10.0.0.256\na CNAME b\na TXT x\n$INCLUDE ../x\n",
    );
    workspace.ringway("dns check bad.zone --zone acme.consortium.example").refuses(&[
        "bad.zone:3:5: this is no IPv4 address",
        "bad.zone:5:1: a.acme.consortium.example has another record at bad.zone:4:1; a CNAME must \
         be its only one",
        "bad.zone:6:10: ../x is not in the directory of this file; move it there",
    ]);
    workspace
        .ringway("dns check none.zone")
        .refuses(&["none.zone: cannot read the file: No such file or directory (os error 2)"]);
}

#[test]
fn a_zone_file_that_needs_an_origin_says_how_to_name_it() {
    let workspace = Workspace::new();
    workspace.write("a.zone", "a A 10.0.0.1\nb A 10.0.0.256\nc CNAME a\n");
    workspace.ringway("dns check a.zone").refuses(&[
        "a.zone: has names that are relative, and it is not known to what; name the zone: --zone \
         acme.consortium.example",
    ]);
    workspace
        .ringway("dns check a.zone --zone c.example")
        .refuses(&["a.zone:2:5: this is no IPv4 address"]);

    workspace.write("b.zone", "a.c.example. 5 A 10.0.0.256\nb 5 A 10.0.0.1\n");
    let answer = workspace.ringway("dns check b.zone");
    assert_eq!(answer.code, 64);
    assert_eq!(answer.err.lines().count(), 2, "{}", answer.err);

    // Beside a gateway it is probably meant for its zone.
    workspace.init("acme", "--site east=10.211.0.0/16");
    workspace.write("acme/new.zone", "a A 10.211.0.1\n");
    let out = workspace.ringway("dns check acme/new.zone").succeeds().out;
    assert!(out.contains("zone acme.consortium.example, "), "{out}");
}

#[test]
fn check_tells_every_fault_of_the_zone_with_both_places() {
    let workspace = acme();
    workspace.write("acme/more.zone", "x..y A 10.211.0.1\nb A 10.212.0.1\n");
    let zone = workspace.read("acme/acme.zone");
    workspace.write(
        "acme/acme.zone",
        &format!("{zone}peer0 CNAME ca\nwww.example.org. TXT x\n"),
    );
    workspace.ringway(&format!("check {C}")).refuses(&[
        &format!(
            "acme/acme.zone:4:1: peer0.acme.consortium.example has another record at {}; a CNAME \
             must be its only one",
            workspace.place("acme/gateway.toml", "10.211.0.11")
        ),
        "acme/acme.zone:5:1: www.example.org is outside the zone acme.consortium.example",
        "acme/more.zone:1:1: a label must have 1 to 63 octets",
        "acme/more.zone:2:1: 10.212.0.1 is in no site of this organization; write an address in \
         10.211.0.0/16, \
         fd00:211::/48, or foreign-addresses = true in [dns] for a name that this site alone is to \
         have: other members leave such addresses out",
    ]);
}

const HERE: &str = "-c acme/gateway.toml";

#[test]
fn hosts_are_added_and_removed_and_the_rest_of_the_file_stays() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16");
    let before = workspace.read("acme/gateway.toml");
    let add = |options: &str| workspace.ringway(&format!("dns add {options} {HERE}"));
    add("peer0=10.211.0.11:7051 orderer0=10.211.0.10:7050 --ttl 30").succeeds();
    add("peer0.acme.consortium.example=10.211.0.12 --service explorer:8080/tcp").succeeds();
    let text = workspace.read("acme/gateway.toml");
    let expected = "\n[[dns.host]]\nname = \"peer0\"\naddresses = [\"10.211.0.11\", \
                    \"10.211.0.12\"]\nservices = [\"peer:7051/tcp\", \"explorer:8080/tcp\"]\n\
                    ttl = 30\n";
    assert!(text.contains(expected), "{text}");
    let again = add("peer0=10.211.0.11:7051").succeeds().out;
    assert!(again.starts_with("Nothing changes"), "{again}");

    for (wrong, part) in [
        ("peer1=10.212.0.1", "10.212.0.1"),
        ("peer1=10.211.0.1 --service explorer", "is no service"),
        ("a..b=10.211.0.1", ""),
        ("peer1.beta.consortium.example=10.211.0.1", ""),
    ] {
        let answer = add(wrong);
        assert!(
            answer.code == 64 && answer.err.contains(part),
            "{wrong}: {answer:?}"
        );
        assert_eq!(workspace.read("acme/gateway.toml"), text, "{wrong}");
    }

    let remove = |name: &str| workspace.ringway(&format!("dns remove {name} {HERE}"));
    remove("peer0 orderer0.acme.consortium.example.").succeeds();
    assert_eq!(workspace.read("acme/gateway.toml"), before);
    remove("peer0").refuses(&[
        "error: there is no host or record peer0 in acme/gateway.toml; zone files are edited as \
         text",
    ]);
}

#[test]
fn a_host_that_a_rule_names_is_removed_with_a_warning() {
    let workspace = Workspace::new();
    workspace.init("acme", "--site east=10.211.0.0/16 --host peer0=10.211.0.11");
    workspace
        .ringway(&format!(
            "policy allow --from all --to peer0 --port 9000 {HERE}"
        ))
        .succeeds();
    let out = workspace
        .ringway(&format!("dns remove peer0 {HERE}"))
        .succeeds()
        .out;
    assert!(out.contains("warning: acme/gateway.toml:"), "{out}");
}

#[test]
fn a_query_by_address_as_json_and_for_names_of_nobody() {
    let workspace = acme();
    let query = |arguments: &str| {
        let answer = workspace.ringway(&format!("dns query {arguments} {C}"));
        answer.succeeds().out
    };

    let reverse = query("-x 10.211.0.11");
    assert!(
        reverse.contains("IN PTR peer0.acme.consortium.example."),
        "{reverse}"
    );
    assert!(query("-x fd00:211::11").contains(" IN PTR peer0."));
    let nobodys = query("x.consortium.example");
    assert!(
        nobodys.contains("status: NXDOMAIN, flags: qr aa"),
        "{nobodys}"
    );
    let outside = query("www.example.com");
    assert!(
        outside.contains(
            "status: REFUSED, flags: qr\n;; question: www.example.com IN A\n;; refused: it is not \
             below consortium.example, and no reverse name of a member: this gateway asks nobody"
        ),
        "{outside}"
    );

    let json = query("ca.acme.consortium.example --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["status"], "NOERROR");
    assert_eq!(json["answer"][0]["source"], "acme/acme.zone:1:1");
    let zones = workspace
        .ringway(&format!("dns zones --json {C}"))
        .succeeds()
        .out;
    let zones: serde_json::Value = serde_json::from_str(&zones).unwrap();
    assert_eq!(zones["zones"][0]["zone"], "acme.consortium.example");
}

#[test]
fn our_own_example_of_a_zone_file_is_in_order() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/examples/acme.zone");
    let answer = Workspace::new()
        .ringway(&format!("dns check {example}"))
        .succeeds();
    assert!(
        answer.out.ends_with(" records, in order\n"),
        "{}",
        answer.out
    );
    assert!(
        answer.out.contains(": zone acme.consortium.example, "),
        "{}",
        answer.out
    );
}
