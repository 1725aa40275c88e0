//! [`Ruleset::run`]: evaluates one rule for a packet.

use std::collections::BTreeMap;

use super::super::expression::{Expression, Register, Verdict};
use super::super::sample::Sample;
use super::value::{Value, load};
use super::{Decision, Match, Ruleset};

/// The result of a lookup in a set.
enum Found<'a> {
    Nothing,
    Element(Option<&'a Verdict>),
    Unknown,
}

impl Ruleset {
    /// Whether the rule applies, and what it decides then.
    pub(super) fn run(&self, rule: &[Expression], packet: &Sample) -> (Match, Decision) {
        let mut registers: BTreeMap<Register, Value> = BTreeMap::new();
        let mut applies = Match::Yes;

        for step in rule {
            if let Some((register, value)) = load(step, &registers, packet) {
                registers.insert(register, value);
                continue;
            }
            match step {
                Expression::VerdictMap { set, register } => {
                    return match self.look_up(set, registers.get(register)) {
                        Found::Nothing => (Match::No, Decision::None),
                        Found::Element(Some(verdict)) => {
                            (applies, Decision::Known(verdict.clone()))
                        }
                        Found::Element(None) | Found::Unknown => (applies, Decision::Unknown),
                    };
                }
                Expression::Verdict(verdict) => return (applies, Decision::Known(verdict.clone())),
                Expression::UnknownTarget => return (applies, Decision::Unknown),
                condition => applies = applies.and(self.holds(condition, &registers, packet)),
            }
            if applies == Match::No {
                break;
            }
        }
        (applies, Decision::None)
    }

    /// Whether the packet meets a condition.
    fn holds(
        &self,
        condition: &Expression,
        registers: &BTreeMap<Register, Value>,
        packet: &Sample,
    ) -> Match {
        match condition {
            Expression::Compare {
                register,
                operator,
                data,
            } => loaded(registers, *register).compare(*operator, data),
            Expression::Range {
                register,
                first,
                last,
                is_inverted,
            } => loaded(registers, *register)
                .is_within(first, last)
                .inverted_if(*is_inverted),
            Expression::Lookup {
                set,
                register,
                is_inverted,
            } => match self.look_up(set, registers.get(register)) {
                Found::Nothing => Match::of(*is_inverted),
                Found::Element(_) => Match::of(!is_inverted),
                Found::Unknown => Match::Maybe,
            },
            Expression::Ports(ports) => packet.has_port(ports).map_or(Match::Maybe, Match::of),
            Expression::StateMask(mask) => {
                let is_in = packet.state.bit().map(|bit| Match::of(bit & mask != 0));
                is_in.unwrap_or(Match::Maybe)
            }
            Expression::DestinationType(types) => Match::of(packet.has_destination_type(*types)),
            Expression::Never => Match::No,
            // An expression that is not understood may match or not.
            Expression::Unknown => Match::Maybe,
            // No influence on the outcome.
            _ => Match::Yes,
        }
    }

    fn look_up(&self, set: &str, register: Option<&Value>) -> Found<'_> {
        let Some(set) = self.sets.get(set) else {
            return Found::Unknown;
        };
        let Some(found) = register.and_then(Value::known) else {
            return Found::Unknown;
        };

        match set.find(&found) {
            Some(verdict) => Found::Element(verdict.as_ref()),
            // The sample's hosts represent others, which may be in one of the ranges.
            None if set.has_ranges() => Found::Unknown,
            None => Found::Nothing,
        }
    }
}

fn loaded(registers: &BTreeMap<Register, Value>, register: Register) -> &Value {
    registers.get(&register).unwrap_or(&Value::Unknown)
}
