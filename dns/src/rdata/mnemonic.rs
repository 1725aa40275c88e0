//! Mnemonics of numbers in record data.

/// DNSSEC algorithms (RFC 4034, appendix A.1; IANA, DNS Security Algorithm Numbers).
const ALGORITHMS: [(u8, &str); 17] = [
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "NSEC3DSA"),
    (7, "NSEC3RSASHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECCGOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
    // Another name of 12, after the one that is written.
    (12, "ECC-GOST"),
];

/// Certificate types (RFC 4398, section 2.1).
const CERTIFICATES: [(u16, &str); 10] = [
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

/// Types whose data must be written in the generic form of RFC 3597, and such as exist in messages
/// only (IANA, Resource Record TYPEs). hickory-proto knows others.
const OTHER_TYPES: [(u16, &str); 39] = [
    (3, "MD"),
    (4, "MF"),
    (11, "WKS"),
    (22, "NSAP"),
    (23, "NSAP-PTR"),
    (30, "NXT"),
    (31, "EID"),
    (32, "NIMLOC"),
    (34, "ATMA"),
    (38, "A6"),
    (40, "SINK"),
    (41, "OPT"),
    (45, "IPSECKEY"),
    (55, "HIP"),
    (56, "NINFO"),
    (57, "RKEY"),
    (63, "ZONEMD"),
    (66, "DSYNC"),
    (67, "HHIT"),
    (68, "BRID"),
    (100, "UINFO"),
    (101, "UID"),
    (102, "GID"),
    (103, "UNSPEC"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
    (259, "DOA"),
    (260, "AMTRELAY"),
    (261, "RESINFO"),
    (262, "WALLET"),
    (263, "CLA"),
    (264, "IPN"),
    (32768, "TA"),
];

/// The number of a type that this crate cannot read field by field.
pub(super) fn other_type(text: &str) -> Option<u16> {
    find(&OTHER_TYPES, text)
}

/// The number of a DNSSEC algorithm.
pub(crate) fn algorithm(text: &str) -> Option<u8> {
    find(&ALGORITHMS, text)
}

/// The number of a certificate type.
pub(crate) fn certificate_type(text: &str) -> Option<u16> {
    find(&CERTIFICATES, text)
}

fn find<N: Copy>(known: &[(N, &str)], text: &str) -> Option<N> {
    known
        .iter()
        .find(|(_, mnemonic)| mnemonic.eq_ignore_ascii_case(text))
        .map(|(number, _)| *number)
}
