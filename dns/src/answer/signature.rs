//! [`Signature`]: the TSIG record of a query (RFC 8945). No key is known here, so a signed query is
//! answered with the error BADKEY (section 5.2.1).

use super::CLASS_ANY;
use crate::name::wire_len;
use crate::rdata::kind;

/// Error BADKEY (RFC 8945, section 3).
const BADKEY: u16 = 17;
/// Octets of the response's record besides the names: type, class, TTL and length, then the time,
/// the fudge, an empty MAC, the ID, the error and no other data.
const FIXED: usize = 10 + 16;

/// The parts of the record that the response repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signature<'m> {
    /// The name of the key, in wire format.
    key: &'m [u8],
    /// The name of the algorithm, in wire format.
    algorithm: &'m [u8],
    /// The time when the query was signed, and the seconds that it may differ from ours.
    time_and_fudge: [u8; 8],
    original_id: [u8; 2],
}

impl<'m> Signature<'m> {
    /// `key` is the record's owner, uncompressed; `None` if the record is malformed.
    pub(super) fn parse(key: &'m [u8], data: &'m [u8]) -> Option<Signature<'m>> {
        if wire_len(key).ok()? != key.len() {
            return None;
        }
        let (algorithm, rest) = data.split_at_checked(wire_len(data).ok()?)?;
        let (time_and_fudge, rest) = rest.split_first_chunk()?;
        let (mac_len, rest) = rest.split_first_chunk()?;
        let rest = rest.get(usize::from(u16::from_be_bytes(*mac_len))..)?;
        // The error, which means nothing in a query, and the length of what follows.
        let ([id_high, id_low, _, _, len_high, len_low], other) = rest.split_first_chunk()?;

        let other_len = usize::from(u16::from_be_bytes([*len_high, *len_low]));
        (other.len() == other_len).then_some(Signature {
            key,
            algorithm,
            time_and_fudge: *time_and_fudge,
            original_id: [*id_high, *id_low],
        })
    }

    /// The number of octets that [`Signature::put`] appends.
    pub(super) fn len(&self) -> usize {
        self.key.len() + self.algorithm.len() + FIXED
    }

    /// Appends the record that says BADKEY. It is not signed, as there is no key.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let data_len = (self.algorithm.len() + 16) as u16;

        out.extend_from_slice(self.key);
        for word in [kind::TSIG, CLASS_ANY, 0, 0, data_len] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        out.extend_from_slice(self.algorithm);
        out.extend_from_slice(&self.time_and_fudge);
        // RFC 8945, section 5.3.2: unsigned, which is a MAC of no octets.
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.original_id);
        out.extend_from_slice(&BADKEY.to_be_bytes());
        out.extend_from_slice(&[0, 0]);
    }
}

#[cfg(test)]
mod tests {
    use crate::answer::{Outcome, Transport, answer, rcode};
    use crate::zone::tests::zone;
    use crate::zones::ZoneSet;

    /// A query for `peer0.org1.example`, signed with the key `k`.
    const SIGNED: &[u8] = b"\x00\x4d\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\
        \x05peer0\x04org1\x07example\x00\x00\x01\x00\x01\
        \x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1a\
        \x06sha256\x00TTTTTT\x01\x2c\x00\x02MM\x00\x4d\x00\x00\x00\x00";
    /// The record in the response: no MAC, and error 17.
    const BADKEY: &[u8] = b"\x01k\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x18\
        \x06sha256\x00TTTTTT\x01\x2c\x00\x00\x00\x4d\x00\x11\x00\x00";

    fn respond(query: &[u8]) -> (Outcome, Vec<u8>) {
        let zones = ZoneSet::of([zone(
            "org1.example",
            "@ SOA gw h 1 1 1 1 5\npeer0 A 10.1.0.11\n",
        )]);
        let mut response = Vec::new();
        let outcome = answer(&zones, query, Transport::Udp, &mut response);
        (outcome, response)
    }

    #[test]
    fn a_query_signed_with_an_unknown_key_gets_badkey() {
        let (outcome, response) = respond(SIGNED);

        assert_eq!(outcome, Outcome::Answered(rcode::NOTAUTH));
        assert_eq!(
            response[..12],
            *b"\x00\x4d\x81\x09\x00\x01\x00\x00\x00\x00\x00\x01"
        );
        assert!(response.ends_with(BADKEY), "{}", response.escape_ascii());
    }

    #[test]
    fn a_malformed_signature_or_one_before_another_record_is_a_format_error() {
        let mut two = [SIGNED, BADKEY].concat();
        two[11] = 2;
        let cut = SIGNED[..SIGNED.len() - 1].to_vec();
        let mut class = SIGNED.to_vec();
        class[38] = 1;

        for query in [two, cut, class] {
            let (outcome, response) = respond(&query);
            assert_eq!(outcome, Outcome::Answered(rcode::FORMERR));
            assert!(!response.windows(2).any(|octets| octets == [0, 0xfa]));
        }
    }
}
