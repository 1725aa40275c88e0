//! [`Ruleset::evaluate`]: evaluates nftables chains for a packet. A rule that is not understood
//! makes the outcome uncertain, never wrong.

mod rule;
mod value;

use std::collections::BTreeMap;

use super::expression::{Expression, Verdict};
use super::sample::Sample;
use super::set::Set;

/// Maximum depth of nested chains (`NFT_JUMP_STACK_SIZE`).
const MAX_DEPTH: usize = 16;

/// Maximum number of rules evaluated for a packet. Beyond it, the outcome is uncertain.
const MAX_RULES: usize = 20_000;

// linux/netfilter/nf_tables.h: `enum nft_meta_keys`, `nft_payload_bases` and `nft_cmp_ops`.
const META_PROTOCOL: u32 = 1;
pub(super) const META_MARK: u32 = 3;
const META_IIF: u32 = 4;
const META_OIF: u32 = 5;
pub(super) const META_IIFNAME: u32 = 6;
pub(super) const META_OIFNAME: u32 = 7;
const META_NFPROTO: u32 = 15;
pub(super) const META_L4PROTO: u32 = 16;
pub(super) const NETWORK_HEADER: u32 = 1;
pub(super) const TRANSPORT_HEADER: u32 = 2;
pub(super) const EQUAL: u32 = 0;
pub(super) const NOT_EQUAL: u32 = 1;
const LESS: u32 = 2;
const LESS_OR_EQUAL: u32 = 3;
const GREATER: u32 = 4;
const GREATER_OR_EQUAL: u32 = 5;

/// The chains of one table, and those of its sets that are understood. A chain is a list of rules,
/// a rule a list of expressions.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) chains: BTreeMap<String, Vec<Vec<Expression>>>,
    pub(super) sets: BTreeMap<String, Set>,
}

/// What happens to a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Dropped,
    /// Accepted with another address or port.
    Translated,
    /// Depends on a rule that is not understood, and no rule drops it.
    Uncertain,
    /// Depends on a rule that is not understood, and may be dropped.
    MaybeDropped,
}

/// Whether a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

/// What a chain decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChainResult {
    Accepted,
    Dropped,
    Translated,
    /// The chain made no decision.
    Undecided,
}

/// One packet's way through the chains.
struct Traversal<'a> {
    ruleset: &'a Ruleset,
    packet: &'a Sample,
    /// A rule that may apply accepts the packet.
    may_be_accepted: bool,
    /// A rule that may apply drops the packet.
    may_be_dropped: bool,
    /// There is a rule or a policy that drops it, if it comes that far.
    can_drop: bool,
    /// A rule that may apply gives it a mark.
    is_marked: bool,
    /// Number of rules that may still be evaluated.
    left: usize,
}

impl Ruleset {
    /// Evaluates the base chain `chain` for `packet`.
    pub(super) fn evaluate(&self, chain: &str, drops_by_default: bool, packet: &Sample) -> Outcome {
        let mut traversal = Traversal::new(self, packet);
        traversal.can_drop = drops_by_default;

        let end = match traversal.chain(chain, 0) {
            ChainResult::Undecided if drops_by_default => ChainResult::Dropped,
            ChainResult::Undecided => ChainResult::Accepted,
            end => end,
        };
        // Certain only if no rule that may apply decides otherwise.
        match end {
            ChainResult::Accepted if !traversal.may_be_dropped => Outcome::Accepted,
            ChainResult::Dropped if !traversal.may_be_accepted => Outcome::Dropped,
            ChainResult::Translated if !traversal.may_be_accepted && !traversal.may_be_dropped => {
                Outcome::Translated
            }
            _ if traversal.can_drop => Outcome::MaybeDropped,
            _ => Outcome::Uncertain,
        }
    }

    /// True if the base chain `chain` may give `packet` a mark.
    pub(super) fn may_mark(&self, chain: &str, packet: &Sample) -> bool {
        let mut traversal = Traversal::new(self, packet);
        traversal.chain(chain, 0);

        traversal.is_marked
    }
}

impl<'a> Traversal<'a> {
    fn new(ruleset: &'a Ruleset, packet: &'a Sample) -> Traversal<'a> {
        Traversal {
            ruleset,
            packet,
            may_be_accepted: false,
            may_be_dropped: false,
            can_drop: false,
            is_marked: false,
            left: MAX_RULES,
        }
    }

    fn chain(&mut self, name: &str, depth: usize) -> ChainResult {
        // The chain was deleted in the meantime, or is nested deeper than the kernel allows.
        let Some(rules) = self.ruleset.chains.get(name).filter(|_| depth < MAX_DEPTH) else {
            self.mark_unknown();
            return ChainResult::Undecided;
        };

        for rule in rules {
            // A list of blocked addresses may have hundreds of thousands of rules.
            if self.left == 0 {
                self.mark_unknown();
                return ChainResult::Undecided;
            }
            self.left -= 1;

            let (applies, verdict) = self.ruleset.run(rule, self.packet);
            self.is_marked |= applies != Match::No && rule.contains(&Expression::SetMark);
            match self.apply(applies, verdict, depth) {
                Next::Rule => {}
                Next::Caller => return ChainResult::Undecided,
                Next::Decided(end) => return end,
            }
        }
        ChainResult::Undecided
    }

    /// Applies a rule's verdict.
    fn apply(&mut self, applies: Match, verdict: Decision, depth: usize) -> Next {
        if applies == Match::No {
            return Next::Rule;
        }
        let is_certain = applies == Match::Yes;

        match verdict {
            Decision::None => Next::Rule,
            Decision::Unknown => {
                self.mark_unknown();
                Next::Rule
            }
            Decision::Known(Verdict::Continue) => Next::Rule,
            Decision::Known(Verdict::Return) if is_certain => Next::Caller,
            // The rest of the chain may not be reached, so its verdicts are uncertain.
            Decision::Known(Verdict::Return) => {
                self.mark_uncertain();
                Next::Rule
            }
            Decision::Known(Verdict::Accept) => self.decide(ChainResult::Accepted, is_certain),
            Decision::Known(Verdict::Drop) => {
                self.can_drop = true;
                self.decide(ChainResult::Dropped, is_certain)
            }
            Decision::Known(Verdict::Translate) => self.decide(ChainResult::Translated, is_certain),
            Decision::Known(Verdict::Jump(chain)) => {
                let end = self.chain(&chain, depth + 1);
                self.decide(end, is_certain)
            }
            Decision::Known(Verdict::Goto(chain)) => {
                let end = self.chain(&chain, depth + 1);
                // Unlike a jump, a goto never returns to the rest of this chain.
                match self.decide(end, is_certain) {
                    Next::Rule if is_certain => Next::Caller,
                    next => next,
                }
            }
        }
    }

    fn decide(&mut self, end: ChainResult, is_certain: bool) -> Next {
        match end {
            ChainResult::Undecided => Next::Rule,
            end if is_certain => Next::Decided(end),
            // The rule may apply or not, so both outcomes remain possible.
            ChainResult::Accepted | ChainResult::Translated => {
                self.may_be_accepted = true;
                Next::Rule
            }
            ChainResult::Dropped => {
                self.may_be_dropped = true;
                Next::Rule
            }
        }
    }

    /// Any verdict is possible.
    fn mark_unknown(&mut self) {
        self.can_drop = true;
        self.mark_uncertain();
    }

    fn mark_uncertain(&mut self) {
        self.may_be_accepted = true;
        self.may_be_dropped = true;
    }
}

enum Next {
    /// Continue with the next rule of the chain.
    Rule,
    /// Return to the calling chain.
    Caller,
    Decided(ChainResult),
}

/// The decision of a rule, if it applies.
enum Decision {
    None,
    Unknown,
    Known(Verdict),
}

impl Match {
    fn of(applies: bool) -> Match {
        if applies { Match::Yes } else { Match::No }
    }

    fn inverted_if(self, is_inverted: bool) -> Match {
        match self {
            Match::Yes => Match::of(!is_inverted),
            Match::No => Match::of(is_inverted),
            Match::Maybe => Match::Maybe,
        }
    }

    fn and(self, other: Match) -> Match {
        match (self, other) {
            (Match::No, _) | (_, Match::No) => Match::No,
            (Match::Maybe, _) | (_, Match::Maybe) => Match::Maybe,
            (Match::Yes, Match::Yes) => Match::Yes,
        }
    }
}

#[cfg(test)]
mod tests;
