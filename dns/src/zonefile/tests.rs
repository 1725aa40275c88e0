//! Forms of zone files that are read, and faults with their places.

use super::*;

fn origin() -> Name {
    Name::from_text("org1.example").unwrap()
}

fn faults(text: &str) -> Vec<String> {
    Zone::from_text(text, Some(&origin()))
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn reads_the_forms_of_rfc_1035_2308_and_3597() {
    let zone = Zone::from_text(
        "$TTL 1h\n\
         @ IN SOA ns hostmaster ( 1 ; the serial\n  60 10 ; and so on\n 1d 5 )\n\
         \tNS ns\n\
         ns 300 IN A 10.0.0.1\n\
         ns IN 300 AAAA fd00::1\n\
         $ORIGIN sub.org1.example.\n\
         a TXT \"two words\" plain \"a \\\" and \\065\"\n\
         b DNAME elsewhere.example.\n\
         c TYPE65280 \\# 3 0a0b 0c\n\
         d TYPE1 \\# 4 0a000002\n\
         e SRV 0 0 7051 a\n\
         f CAA 0 issue \"ca.example\"\n\
         *.g NAPTR 1 2 \"u\" \"s\" \"\" .\n\
         h 5 CLASS1 HTTPS 1 a port=53\n\
         i SVCB 0 @\n\
         j LOC 1 N 2 E 0\n\
         k TYPE29 \\# 16 00121613803 6ee80806ddd0000989680\n\
         $GENERATE 8-9 l$ A 10.0.0.${1}\n",
        Some(&origin()),
    )
    .unwrap();
    let mut lines = Vec::new();
    zone.rrsets(|owner, set| {
        for data in set.data() {
            lines.push(format!(
                "{owner} {} {} {}",
                set.ttl(),
                set.kind(),
                data.escape_ascii()
            ));
        }
    });
    assert_eq!(
        lines,
        [
            r"org1.example 3600 2 \x02ns\x04org1\x07example\x00",
            concat!(
                r"org1.example 3600 6 \x02ns\x04org1\x07example\x00\nhostmaster\x04org1\x07e",
                r"xample\x00\x00\x00\x00\x01\x00\x00\x00<\x00\x00\x00\n\x00\x01Q\x80\x00\x00",
                r"\x00\x05",
            ),
            r"ns.org1.example 300 1 \n\x00\x00\x01",
            concat!(
                r"ns.org1.example 300 28 \xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
                r"\x00\x00\x00\x01",
            ),
            r#"a.sub.org1.example 3600 16 \ttwo words\x05plain\ta \" and A"#,
            r"b.sub.org1.example 3600 39 \telsewhere\x07example\x00",
            r"c.sub.org1.example 3600 65280 \n\x0b\x0c",
            r"d.sub.org1.example 3600 1 \n\x00\x00\x02",
            concat!(
                r"e.sub.org1.example 3600 33 \x00\x00\x00\x00\x1b\x8b\x01a\x03sub\x04org1",
                r"\x07example\x00",
            ),
            r"f.sub.org1.example 3600 257 \x00\x05issueca.example",
            r"*.g.sub.org1.example 3600 35 \x00\x01\x00\x02\x01u\x01s\x00\x00",
            concat!(
                r"h.sub.org1.example 5 65 \x00\x01\x01a\x03sub\x04org1\x07example\x00\x00",
                r"\x03\x00\x02\x005",
            ),
            r"i.sub.org1.example 3600 64 \x00\x00\x03sub\x04org1\x07example\x00",
            concat!(
                r"j.sub.org1.example 3600 29 \x00\x12\x16\x13\x806\xee\x80\x80m\xdd\x00",
                r"\x00\x98\x96\x80",
            ),
            concat!(
                r"k.sub.org1.example 3600 29 \x00\x12\x16\x13\x806\xee\x80\x80m\xdd\x00",
                r"\x00\x98\x96\x80",
            ),
            r"l8.sub.org1.example 3600 1 \n\x00\x00\t",
            r"l9.sub.org1.example 3600 1 \n\x00\x00\n",
        ]
    );
}

#[test]
fn a_zone_without_ttls_has_the_one_that_its_soa_says() {
    let zone = Zone::from_text("@ SOA ns h 1 2 3 4 77\na A 10.0.0.1\n", Some(&origin())).unwrap();
    zone.rrsets(|owner, set| assert_eq!(set.ttl(), 77, "{owner}"));
    let faults = faults("a A 10.0.0.1\n@ SOA ns h 1 2 3 4 77\n");
    assert_eq!(
        faults,
        ["1:1: no TTL is given, neither here nor before; write $TTL 5"]
    );
}

#[test]
fn a_record_without_a_ttl_has_the_one_that_was_stated_last() {
    let text = "@ 100 SOA ns h 1 2 3 4 77\n@ NS ns\nns 200 A 10.0.0.1\nb A 10.0.0.2\n";
    let zone = Zone::from_text(text, Some(&origin())).unwrap();

    let mut ttls = Vec::new();
    zone.rrsets(|owner, set| ttls.push(format!("{owner} {} {}", set.kind(), set.ttl())));
    assert_eq!(
        ttls,
        [
            "org1.example 2 100",
            "org1.example 6 100",
            "b.org1.example 1 200",
            "ns.org1.example 1 200"
        ]
    );
}

#[test]
fn the_case_of_a_target_makes_no_other_record() {
    let text = "@ 5 SOA ns h 1 1 1 1 5\nw MX 1 m\nw MX 1 M\nw SRV 1 1 1 m\nw SRV 1 1 1 M\n";
    let zone = Zone::from_text(text, Some(&origin())).unwrap();

    assert_eq!(zone.records(), 3);
}

#[test]
fn every_fault_is_reported_at_its_place() {
    let text = "@ 5 SOA ns h 1 1 1 1 5\n\
                a A 10.0.0.256\n\
                b  WHAT x\n\
                c A 10.0.0.1 10.0.0.2\n\
                d..e A 10.0.0.1\n\
                other.example. A 10.0.0.1\n\
                $INCLUDE file\n\
                f CNAME g\nf A 10.0.0.1\n\
                h TYPE1 \\# 4 0a\n\
                i TXT \"open\n";
    assert_eq!(
        faults(text),
        [
            "2:5: this is no IPv4 address",
            "3:4: \"WHAT\" is no record type; write TYPE and its number if it is new",
            "4:14: nothing may follow the data",
            "5:1: a label must have 1 to 63 octets",
            "7:10: $INCLUDE is allowed in files only",
            "10:12: the length and the hexadecimal digits do not agree",
            "11:7: the quotation mark is never closed",
            "6:1: other.example is outside the zone org1.example",
            "9:1: f.org1.example has a CNAME and can have no other record",
        ]
    );
    let text = "@ 5 SOA ns h 1 1 1 1 5\na CH A 10.0.0.1\nb CLASS3 TXT x\nc TYPE65280 \\# 1 +a\n\
                d MX +1 m\ne ANY x\nf NSEC a A\ng HTTPS 1 a..b\n\
                h LOC 91 N 4 E -2.00m\ni HTTPS 1 . alpn=h2 port=x\n\
                $GENERATE 1-2 j$ A 10.0.0.${255}\n$GENERATE 2-1 k$ A 10.0.0.$\n";
    assert_eq!(
        faults(text),
        [
            "2:3: only records of class IN are served",
            "3:3: only records of class IN are served",
            "4:16: the length and the hexadecimal digits do not agree",
            "5:6: this is no number up to 65535",
            "6:1: type 255 cannot stand in a zone",
            "7:1: the fields of this type are not supported; write its data in the generic form of \
             RFC 3597: TYPE47 \\# <length> <hexadecimal digits>",
            "8:11: a label must have 1 to 63 octets",
            "9:7: this is no angle; write degrees, minutes, seconds and N or S",
            "10:21: port: this is no port",
            "11:20: this is no IPv4 address",
            "12:11: this is no range such as 1-10 or 0-254/2",
        ]
    );
    assert_eq!(
        faults("a 5 A 10.0.0.1"),
        ["1:1: the file has no SOA record that can be read"]
    );
}

#[test]
fn a_type_that_exists_is_not_called_none_and_the_generic_form_serves() {
    let soa = "@ 5 SOA ns h 1 1 1 1 5\n";
    for (kind, number) in [
        ("IPSECKEY", 45),
        ("HIP", 55),
        ("amtrelay", 260),
        ("WKS", 11),
    ] {
        let found = faults(&format!("{soa}a {kind} 1 2 3\n"));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(&format!("TYPE{number} \\#")), "{found:?}");

        let generic = format!("{soa}a {kind} \\# 1 0a\n");
        let zone = Zone::from_text(&generic, Some(&origin())).unwrap();
        assert_eq!(zone.records(), 2);
    }
    assert_eq!(
        faults(&format!("{soa}a TKEY x\n")),
        ["2:1: type 249 cannot stand in a zone"]
    );
}

#[test]
fn ttl_and_class_stand_once_before_the_type_in_either_order() {
    let soa = "@ 5 SOA ns h 1 1 1 1 5\n";
    for good in ["5 IN A", "IN 5 A", "5 A", "IN A", "CLASS1 1h30m A", "A"] {
        let text = format!("{soa}a {good} 10.0.0.1\n");
        assert!(Zone::from_text(&text, Some(&origin())).is_ok(), "{good}");
    }

    let class = "the class is there already; leave one of them";
    let twice = "the record has two TTLs; leave one of them";
    let large = "this TTL is too large; write at most 2147483647 seconds";
    let none = "this is no TTL; write seconds or 1h30m";
    for (head, column, fault) in [
        ("IN IN A", 6, class),
        ("IN 5 CLASS1 A", 8, class),
        ("5 IN 6 A", 8, twice),
        ("4294967296 A", 3, large),
        ("99999999999999999999999 A", 3, large),
        ("99999w A", 3, large),
        ("1hm A", 3, none),
    ] {
        let found = faults(&format!("{soa}a {head} 10.0.0.1\n"));
        assert_eq!(found, [format!("2:{column}: {fault}")], "{head}");
    }
    assert_eq!(
        faults(&format!("$TTL 4294967296\n{soa}")),
        [format!("1:6: {large}")]
    );
}
