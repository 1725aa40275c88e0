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
