//! [`Command`]: the commands of a running emulator, one line each.
//!
//! ```text
//! <both|out|back> clear                      out: from left to right
//! <both|out|back> delay 30ms
//! <both|out|back> jitter 5ms
//! <both|out|back> loss 0.1%
//! <both|out|back> duplicate 1% [3s]          the duplicate arrives this much later
//! <both|out|back> reorder 1% 5ms             held back for this long
//! <both|out|back> corrupt 1%
//! <both|out|back> forge 10% 198.51.100.66    from this source
//! <both|out|back> rate 100mbit 256k          bandwidth and bytes in the queue
//! <both|out|back> mtu 1400 [silent]
//! nat 198.51.100.1 [2001:db8:64::1]
//! nat off
//! rebind
//! counts
//! ```

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use super::conditions::{self, Conditions, Mtu, Rate, Share};
use super::nat::External;

/// A parsed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Changes a condition in one or both directions.
    Set(Directions, Setting),
    /// Translates addresses from now on, or stops doing so.
    Nat(Option<External>),
    /// Makes the translation forget its flows.
    Rebind,
    /// Returns the counts.
    Counts,
}

/// The directions that a setting applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directions {
    /// From left to right.
    pub out: bool,
    /// From right to left.
    pub back: bool,
}

/// A condition's new value; see [`Conditions`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "named after the fields of `Conditions`")]
pub enum Setting {
    /// Resets all conditions.
    Clear,
    Delay(Duration),
    Jitter(Duration),
    Loss(Share),
    Duplicate(Share, Duration),
    Reorder(Share, Duration),
    Corrupt(Share),
    Forge(Share, IpAddr),
    Rate(Rate),
    Mtu(Mtu),
}

impl Setting {
    /// Changes `conditions` accordingly.
    pub fn apply(&self, conditions: &mut Conditions) {
        match *self {
            Setting::Clear => *conditions = Conditions::default(),
            Setting::Delay(delay) => conditions.delay = delay,
            Setting::Jitter(jitter) => conditions.jitter = jitter,
            Setting::Loss(share) => conditions.loss = share,
            Setting::Duplicate(share, later) => conditions.duplicate = (share, later),
            Setting::Reorder(share, later) => conditions.reorder = (share, later),
            Setting::Corrupt(share) => conditions.corrupt = share,
            Setting::Forge(share, source) => conditions.forge = Some((share, source)),
            Setting::Rate(rate) => conditions.rate = Some(rate),
            Setting::Mtu(mtu) => conditions.mtu = Some(mtu),
        }
    }
}

impl FromStr for Command {
    type Err = String;
    fn from_str(line: &str) -> Result<Command, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let both = Directions {
            out: true,
            back: true,
        };
        match words[..] {
            ["both", ref setting @ ..] => Ok(Command::Set(both, parse(setting)?)),
            ["out", ref setting @ ..] => Ok(Command::Set(
                Directions {
                    back: false,
                    ..both
                },
                parse(setting)?,
            )),
            ["back", ref setting @ ..] => Ok(Command::Set(
                Directions { out: false, ..both },
                parse(setting)?,
            )),
            ["nat", "off"] => Ok(Command::Nat(None)),
            ["nat", ref addresses @ ..] if !addresses.is_empty() => {
                Ok(Command::Nat(Some(external(addresses)?)))
            }
            ["rebind"] => Ok(Command::Rebind),
            ["counts"] => Ok(Command::Counts),
            _ => Err(format!("{line:?} is not a command")),
        }
    }
}

fn parse(words: &[&str]) -> Result<Setting, String> {
    match *words {
        ["clear"] => Ok(Setting::Clear),
        ["delay", time] => Ok(Setting::Delay(conditions::duration(time)?)),
        ["jitter", time] => Ok(Setting::Jitter(conditions::duration(time)?)),
        ["loss", share] => Ok(Setting::Loss(share.parse()?)),
        ["duplicate", share] => Ok(Setting::Duplicate(share.parse()?, Duration::ZERO)),
        ["duplicate", share, time] => Ok(Setting::Duplicate(
            share.parse()?,
            conditions::duration(time)?,
        )),
        ["reorder", share, time] => Ok(Setting::Reorder(
            share.parse()?,
            conditions::duration(time)?,
        )),
        ["corrupt", share] => Ok(Setting::Corrupt(share.parse()?)),
        ["forge", share, source] => Ok(Setting::Forge(share.parse()?, address(source)?)),
        ["rate", bits, queue] => Ok(Setting::Rate(Rate {
            bits: conditions::bits(bits)?,
            queue: conditions::bytes(queue)?,
        })),
        ["mtu", bytes] => Ok(Setting::Mtu(Mtu {
            bytes: mtu(bytes)?,
            silent: false,
        })),
        ["mtu", bytes, "silent"] => Ok(Setting::Mtu(Mtu {
            bytes: mtu(bytes)?,
            silent: true,
        })),
        _ => Err(format!("{:?} is not a condition", words.join(" "))),
    }
}

fn mtu(text: &str) -> Result<u16, String> {
    // RFC 791, 3.1: every host must accept 576 bytes.
    text.parse()
        .ok()
        .filter(|bytes| *bytes >= 576)
        .ok_or_else(|| format!("{text:?} is not an MTU; write 576 to 65535"))
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not an address"))
}

fn external(words: &[&str]) -> Result<External, String> {
    let mut external = External::default();
    for word in words {
        match address(word)? {
            IpAddr::V4(v4) => external.v4 = Some(v4),
            IpAddr::V6(v6) => external.v6 = Some(v6),
        }
    }
    Ok(external)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(lines: &[&str]) -> Conditions {
        let mut conditions = Conditions::default();
        for line in lines {
            match line.parse() {
                Ok(Command::Set(_, setting)) => setting.apply(&mut conditions),
                other => panic!("{line}: {other:?}"),
            }
        }
        conditions
    }

    #[test]
    fn each_line_sets_its_condition_and_leaves_the_others() {
        let share = "1%".parse().unwrap();
        let ms = Duration::from_millis;
        let lines = [
            "both delay 30ms",
            "out jitter 5ms",
            "back loss 1%",
            "both duplicate 1% 3s",
            "both reorder 1% 5ms",
            "both corrupt 1%",
            "out forge 1% 192.0.2.9",
            "both rate 8mbit 1k",
            "both mtu 1400 silent",
        ];
        let expected = Conditions {
            delay: ms(30),
            jitter: ms(5),
            loss: share,
            duplicate: (share, ms(3000)),
            reorder: (share, ms(5)),
            corrupt: share,
            forge: Some((share, [192, 0, 2, 9].into())),
            rate: Some(Rate {
                bits: 8_000_000,
                queue: 1024,
            }),
            mtu: Some(Mtu {
                bytes: 1400,
                silent: true,
            }),
        };
        assert_eq!(conditions(&lines), expected);
        assert_eq!(conditions(&[lines[0], "both clear"]), Conditions::default());
    }

    #[test]
    fn the_first_word_selects_the_directions() {
        let directions = |line: &str| match line.parse() {
            Ok(Command::Set(Directions { out, back }, _)) => (out, back),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            ["both clear", "out clear", "back clear"].map(directions),
            [(true, true), (true, false), (false, true)]
        );
    }

    #[test]
    fn refuses_a_line_that_is_not_a_command() {
        for line in [
            "",
            "both",
            "both delay",
            "out loss 2",
            "nat",
            "nat here",
            "both mtu 100",
            "rate 1mbit 1k",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line}");
        }
    }
}
