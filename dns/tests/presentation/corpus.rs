//! The snippets: for each type a good line, and that line with one field replaced after the other,
//! by good values and by bad ones; and lines by hand.

/// Words of snippets that need the generic form here although both checkers read them: types of
/// signed zones, and those whose fields depend on each other.
pub(crate) const REFUSED: [&str; 16] = [
    " WKS ",
    " NSAP ",
    " NSAP-PTR ",
    " KEY ",
    " IPSECKEY ",
    " RRSIG ",
    " NSEC ",
    " DNSKEY ",
    " NSEC3 ",
    " NSEC3PARAM ",
    " HIP ",
    " CDS ",
    " CDNSKEY ",
    " CSYNC ",
    " SIG ",
    " ZONEMD ",
];

/// Snippets that both checkers read although an RFC forbids them.
pub(crate) const FORBIDDEN: [&str; 5] = [
    // RFC 7043, section 3.2: two digits for each octet.
    "EUI48 0-0-5e-00-53-2a",
    // RFC 9460, section 14.3.2: reserved.
    "key65535",
    // RFC 9848, section 4: a list of configurations, with its length.
    " . ech",
    // RFC 1876, section 2: 16 octets.
    "LOC \\# 2 0102",
    // RFC 9460, section 2.2.
    "HTTPS \\# 2 0001",
];

const NAME: &[&str] = &[
    "m",
    "M.Sub",
    "@",
    "a.b.",
    ".",
    "\\100x",
    "a\\.b",
    "a..b",
    "-x",
    "under_score",
    "x234567890123456789012345678901234567890123456789012345678901234",
];
const U8: &[&str] = &["0", "255", "007", "256", "-1", "+1", "x", "1.5"];
const U16: &[&str] = &["10", "0", "65535", "65536", "-1", "+1", "x"];
const IPV4: &[&str] = &[
    "10.0.0.1",
    "255.255.255.255",
    "10.0.0",
    "10.0.0.256",
    "::1",
    "10.0.0.1.",
];
const IPV6: &[&str] = &[
    "fd00::1",
    "::",
    "::ffff:1.2.3.4",
    "FD00::A",
    "1::2::3",
    "fd00::1/64",
    "x",
];
const TEXT: &[&str] = &[
    "abc",
    "\"a b\"",
    "\"\"",
    "\"\\\"q\\\"\"",
    "\\065\\066",
    "\"\\001\"",
    "a\\;b",
    "\"a;b\"",
    "\"\\256\"",
    "a\\\\b",
    "\"tab\\009\"",
    "\"\u{e9}\"",
];
const TAG: &[&str] = &["issue", "ISSUE", "x1", "is-sue", "\"\"", "a23456789012345"];
const LONG: &[&str] = &[
    "\"ca.example; account=\\065B\"",
    "x",
    "\"\"",
    "\"a b\"",
    "\"\\\"\"",
    "\"\\200\"",
];
const HEX: &[&str] = &["0a0B", "0A 0b", "( 0a\n 0b )", "0g", "0a0", ""];
const BASE64: &[&str] = &["AAAA", "AA AA", "AQ==", "A", "AQ=", "@@@@", ""];
const ALGORITHM: &[&str] = &["8", "RSASHA256", "rsasha256", "255", "256", "FOO"];
const CERTIFICATE: &[&str] = &["PKIX", "1", "uri", "65535", "65536", "FOO"];
const LOCATOR: &[&str] = &[
    "2001:0DB8:1140:1000",
    "1:2:3:4",
    "1:2:3",
    "1:2:3:4:5",
    "::1",
    "1:2:3:g",
];
const EUI48: &[&str] = &[
    "00-00-5e-00-53-2a",
    "00-00-5E-00-53-2A",
    "00:00:5e:00:53:2a",
    "0-0-5e-00-53-2a",
];
const EUI64: &[&str] = &[
    "00-00-5e-ef-10-00-00-2a",
    "00-00-5e-ef-10-00-00",
    "00-00-5e-ef-10-00-00-2a-2b",
];

const TYPES: &[(&str, &[&[&str]])] = &[
    ("A", &[IPV4]),
    ("AAAA", &[IPV6]),
    ("NS", &[NAME]),
    ("CNAME", &[NAME]),
    ("PTR", &[NAME]),
    ("MB", &[NAME]),
    ("MG", &[NAME]),
    ("MR", &[NAME]),
    ("MINFO", &[NAME, NAME]),
    ("HINFO", &[TEXT, TEXT]),
    ("MX", &[U16, NAME]),
    ("TXT", &[TEXT]),
    ("SPF", &[TEXT]),
    ("AVC", &[TEXT]),
    ("RP", &[NAME, NAME]),
    ("AFSDB", &[U16, NAME]),
    ("X25", &[&["\"311061700956\""]]),
    ("ISDN", &[&["\"150862028003217\""], &["\"004\"", ""]]),
    ("RT", &[U16, NAME]),
    ("PX", &[U16, NAME, NAME]),
    (
        "GPOS",
        &[&["\"-32.6882\""], &["\"116.8652\""], &["\"10.0\""]],
    ),
    ("SRV", &[U16, U16, U16, NAME]),
    (
        "NAPTR",
        &[U16, U16, &["\"u\"", "u", "\"\""], TEXT, &["\"\""], NAME],
    ),
    ("KX", &[U16, NAME]),
    ("CERT", &[CERTIFICATE, U16, ALGORITHM, BASE64]),
    ("DNAME", &[NAME]),
    ("DS", &[U16, ALGORITHM, &["5"], HEX]),
    ("SSHFP", &[U8, U8, HEX]),
    ("DHCID", &[BASE64]),
    ("TLSA", &[U8, U8, U8, HEX]),
    ("SMIMEA", &[U8, U8, U8, HEX]),
    ("TALINK", &[NAME, NAME]),
    ("OPENPGPKEY", &[BASE64]),
    ("ZONEMD", &[&["2018031500"], &["9"], &["240"], HEX]),
    ("NID", &[U16, LOCATOR]),
    ("L32", &[U16, IPV4]),
    ("L64", &[U16, LOCATOR]),
    ("LP", &[U16, NAME]),
    ("EUI48", &[EUI48]),
    ("EUI64", &[EUI64]),
    ("URI", &[U16, U16, LONG]),
    ("CAA", &[U8, TAG, LONG]),
    ("DLV", &[U16, ALGORITHM, &["5"], HEX]),
    ("TYPE65280", &[&["\\# 3 0a0b0c", "\\# 0", "\\# 2 0a", "x"]]),
];

/// Parameters of SVCB and HTTPS records: the examples of RFC 9460, appendix D, and others.
const SERVICES: &[&str] = &[
    "0 foo.example.com.",
    "1 .",
    "16 foo.example.com. port=53",
    "1 foo.example.com. key667=hello",
    "1 foo.example.com. key667=\"hello\\210qoo\"",
    "1 foo.example.com. ipv6hint=\"2001:db8::1,2001:db8::53:1\"",
    "1 example.com. ipv6hint=\"2001:db8:122:344::192.0.2.33\"",
    "16 foo.example.org. (alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1)",
    "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
    "16 foo.example.org. alpn=f\\\\\\092oo\\092,bar,h2",
    "1 foo.example.com. (key123=abc key123=def)",
    "1 foo.example.com. mandatory",
    "1 foo.example.com. alpn",
    "1 foo.example.com. port",
    "1 foo.example.com. ipv4hint",
    "1 foo.example.com. ipv6hint",
    "1 foo.example.com. no-default-alpn=abc",
    "1 foo.example.com. mandatory=key123",
    "1 foo.example.com. mandatory=mandatory",
    "1 foo.example.com. (mandatory=key123,key123 key123=abc)",
    "1 . port=8443 alpn=h2",
    "1 . alpn=\"h2,h3\" port=8443",
    "1 . alpn=h2\\044h3",
    "1 . alpn=h2,h3",
    "1 . key3=\\000\\065",
    "1 . key3=\\000",
    "1 . key1=\\002h2",
    "1 . key1=h2",
    "1 . key4=\\010\\000\\000\\001",
    "1 . key9=x",
    "1 . key65534=x",
    "1 . key65535=x",
    "1 . key65536=x",
    "1 . key09=x",
    "1 . KEY9=x",
    "1 . alpn=h2 no-default-alpn",
    "1 . no-default-alpn",
    "1 . alpn=h2 no-default-alpn=\"\"",
    "1 . port=0",
    "1 . port=65536",
    "1 . port=+1",
    "1 . port=\"53\"",
    "1 . port=53 port=54",
    "1 . ipv4hint=10.0.0.1,10.0.0.2",
    "1 . ipv4hint=10.0.0.1,",
    "1 . ipv4hint=10.0.0",
    "1 . ipv4hint=fd00::1",
    "1 . alpn=h2,",
    "1 . alpn=,h2",
    "1 . alpn=\"\"",
    "1 . ech=AAAA",
    "1 . ech=\"AAAA\"",
    "1 . ech=A",
    "1 . ech",
    "1 . dohpath=/dns-query{?dns}",
    "1 . dohpath=/x",
    "1 . mandatory=alpn alpn=h2",
    "1 . mandatory=port alpn=h2",
    "1 . mandatory=alpn,port alpn=h2 port=1",
    "1 . mandatory=port,alpn alpn=h2 port=1",
    "1 . mandatory=key1 alpn=h2",
    "1 . foo=bar",
    "1 . alpn=\"h2\"port=53",
    "1 . alpn=h2\"h3\"",
    "1 . \"alpn=h2\"",
    "1 . =x",
    "65536 .",
    "1",
    "1 a..b",
    "0 . port=53",
    "1 . key667",
    "1 . key667=",
    "1 . key667=\"\"",
    "1 . key667=\"a b\"",
];

const LOCATIONS: &[&str] = &[
    "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m",
    "42 21 54 N 71 06 18 W -24m 30m",
    "42 21 43.952 N 71 5 6.344 W -24m 1m 200m",
    "52 14 05 N 00 08 50 E 10m",
    "2 7 19 S 116 2 25 E 10m",
    "42 21 28.764 N 71 00 51.617 W -44m 2000m",
    "1 N 2 E 0",
    "90 N 180 E 42849672.95m",
    "90 0 0.001 N 0 E 0",
    "91 N 0 E 0",
    "0 N 181 E 0",
    "0 60 N 0 E 0",
    "0 0 60 N 0 E 0",
    "1 N 2 E",
    "1 2 E 0",
    "1 N 2 E -100000.00m",
    "1 N 2 E -100001m",
    "1 N 2 E 0 99999999m",
    "1 N 2 E 0 1 2 3 4",
    "1 0 0.5 N 2 0 0.25 W 1.5",
    "1 n 2 e 0m",
    "1 0 0.1234 N 2 E 0",
    "x N 2 E 0",
    "1 N 2 E 0 0",
];

const PREFIXES: &[&str] = &[
    "1:192.168.32.0/21 !1:192.168.38.0/28",
    "1:224.0.0.0/4 2:FF00:0:0:0:0:0:0:0/8",
    "",
    "1:0.0.0.0/0",
    "1:10.0.0.0/33",
    "2:::/129",
    "1:10.0.0.0",
    "1:fd00::/8",
    "!2:fd00::/8",
    "x:10.0.0.0/8",
    "1:10.0.0.1/8",
];

/// Whole snippets.
const OTHERS: &[&str] = &[
    "h HINFO PC Linux extra",
    "x CAA 0 iodef mailto:a b",
    "b A 10.1.0.3\nc 200 A 10.1.0.4\nd A 10.1.0.5",
    "w TXT a\nw TXT A",
    "$TTL 2h\nx A 10.1.0.1\ny 5 A 10.1.0.1\nz A 10.1.0.1",
    "$ORIGIN sub\nx A 10.1.0.1",
    "x IN 5 A 10.1.0.1",
    "x 5 IN A 10.1.0.1",
    "x CLASS1 A 10.1.0.1",
    "x TYPE1 \\# 4 0a010001",
    "x A \\# 4 0a010001",
    "x A \\# 3 0a0100",
    "x LOC \\# 2 0102",
    "x HTTPS \\# 3 000100",
    "x HTTPS \\# 2 0001",
    "x TXT (\n a\n b )",
    "x TXT a ; comment",
    "x TXT a;comment",
    "  TXT more",
    "x DNAME y\nx DNAME z",
    "\\120 A 10.1.0.1",
    "*.x A 10.1.0.1",
    "a\\.b A 10.1.0.1",
    "x CNAME y\nx A 10.1.0.1",
    "x NOTYPE y",
    "x WKS 10.0.0.1 TCP 25",
    "x NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00",
    "x IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==",
    "x NSEC y A MX",
    "x CDS 1 8 2 00",
    "x CSYNC 66 3 A NS AAAA",
    "x DNSKEY 256 3 8 AAAA",
    "$GENERATE 1-3 h$ A 10.0.0.$",
    "$GENERATE 0-4/2 h${1,3,x} CNAME t$",
    "$GENERATE 3-1 h$ A 10.0.0.$",
];

pub(crate) fn snippets() -> Vec<String> {
    let mut snippets = Vec::new();
    for (kind, fields) in TYPES {
        of_type(&mut snippets, kind, fields);
    }
    for (kind, lines) in [
        ("SVCB", SERVICES),
        ("HTTPS", SERVICES),
        ("LOC", LOCATIONS),
        ("APL", PREFIXES),
    ] {
        snippets.extend(lines.iter().map(|line| format!("x {kind} {line}")));
    }
    snippets.extend(OTHERS.iter().map(ToString::to_string));

    snippets
}

/// The good line, then each field's values in it, then it cut short and lengthened.
fn of_type(snippets: &mut Vec<String>, kind: &str, fields: &[&[&str]]) {
    let good: Vec<&str> = fields.iter().map(|values| values[0]).collect();
    for (index, values) in fields.iter().enumerate() {
        for value in *values {
            let mut line = good.clone();
            line[index] = value;
            snippets.push(format!("x {kind} {}", line.join(" ")));
        }
    }

    let shorter = &good[..good.len() - 1];
    snippets.push(format!("x {kind} {}", shorter.join(" ")));
    snippets.push(format!("x {kind} {} extra", good.join(" ")));
    let long = "y".repeat(256);
    snippets.push(format!("x {kind} {} {long}", shorter.join(" ")));
}
