//! The features that this program offers its peers in `Hello`, with their names.

use ringway_core::message::{ATTACH, FRAGMENTS, POLICY_QUESTIONS, SIBLING_ROUTES, SIBLINGS};

/// Each feature's bit and its name, as in gateway/PROTOCOL.md.
pub const FEATURES: [(u64, &str); 5] = [
    (FRAGMENTS, "fragments"),
    (SIBLINGS, "siblings"),
    (POLICY_QUESTIONS, "policy-questions"),
    (ATTACH, "attach"),
    (SIBLING_ROUTES, "sibling-routes"),
];

/// All feature bits.
pub fn bits() -> u64 {
    FEATURES.iter().fold(0, |bits, (bit, _)| bits | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_a_bit_of_its_own() {
        assert_eq!(bits().count_ones() as usize, FEATURES.len());
    }
}
