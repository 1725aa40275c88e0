//! Places on earth in presentation format (RFC 1876, section 3).

use super::lexer::Token;
use super::{Place, ZoneFileError};
use crate::rdata::plain_number;

/// The equator and the prime meridian, in thousandths of a second of arc.
const ORIGIN: u32 = 1 << 31;
/// The altitude that is written as 0, in centimetres above the lowest one.
const SEA_LEVEL: i64 = 10_000_000;

/// The wire format of a place.
pub(super) fn parse(at: Place, tokens: &[Token<'_>]) -> Result<Vec<u8>, ZoneFileError> {
    let mut words = Words { at, tokens };
    let latitude = words.angle(90, "N", "S")?;
    let longitude = words.angle(180, "E", "W")?;
    let altitude = words.altitude()?;
    // RFC 1876, section 3: unless they are given, 1 m, 10 km and 10 m.
    let size = words.precision(0x12)?;
    let horizontal = words.precision(0x16)?;
    let vertical = words.precision(0x13)?;
    if let Some(token) = words.tokens.first() {
        return Err(token.at.fault("nothing may follow the data"));
    }

    let mut data = vec![0, size, horizontal, vertical];
    for number in [latitude, longitude, altitude] {
        data.extend(number.to_be_bytes());
    }
    Ok(data)
}

/// The words that are still to be read.
struct Words<'t, 'a> {
    at: Place,
    tokens: &'a [Token<'t>],
}

impl<'t, 'a> Words<'t, 'a> {
    fn next(&mut self) -> Result<&'a Token<'t>, ZoneFileError> {
        let (token, rest) = self
            .tokens
            .split_first()
            .ok_or_else(|| self.at.fault("the record's data is incomplete"))?;

        self.tokens = rest;
        Ok(token)
    }

    /// `<degrees> [<minutes> [<seconds>]] <direction>`.
    fn angle(&mut self, most: u64, plus: &str, minus: &str) -> Result<u32, ZoneFileError> {
        // Degrees, minutes and seconds, as thousandths of a second.
        let units = [(most, 3_600_000), (59, 60_000), (59, 1000)];
        let mut sum: u64 = 0;
        for index in 0..4 {
            let token = self.next()?;
            let is_plus = token.text.eq_ignore_ascii_case(plus);
            if index > 0 && (is_plus || token.text.eq_ignore_ascii_case(minus)) {
                return finish_angle(sum, most, is_plus)
                    .ok_or_else(|| token.at.fault(format!("more than {most} degrees")));
            }

            // Only seconds have decimal places.
            let places = if index == 2 { 3 } else { 0 };
            let value = units.get(index).and_then(|(limit, unit)| {
                let scale = 10_u64.pow(places);
                let value =
                    decimal(token.text, places).filter(|value| *value < (limit + 1) * scale);
                value.map(|value| value * unit / scale)
            });
            sum += value.ok_or_else(|| {
                token.at.fault(format!(
                    "this is no angle; write degrees, minutes, seconds and {plus} or {minus}"
                ))
            })?;
        }

        Err(self
            .at
            .fault(format!("the direction, {plus} or {minus}, is missing")))
    }

    /// Metres with two decimal places, perhaps below zero.
    fn altitude(&mut self) -> Result<u32, ZoneFileError> {
        let token = self.next()?;
        let (sign, text) = match token.text.strip_prefix('-') {
            Some(text) => (-1, text),
            None => (1, token.text),
        };

        metres(text)
            .and_then(|centimetres| i64::try_from(centimetres).ok())
            .and_then(|centimetres| u32::try_from(SEA_LEVEL + sign * centimetres).ok())
            .ok_or_else(|| token.at.fault("this is no altitude in metres"))
    }

    /// A size in metres as a digit and a power of ten, in centimetres; `default` if none follows.
    fn precision(&mut self, default: u8) -> Result<u8, ZoneFileError> {
        if self.tokens.is_empty() {
            return Ok(default);
        }

        let token = self.next()?;
        metres(token.text)
            .filter(|centimetres| *centimetres <= 9_000_000_000)
            .map(digit_and_power)
            .ok_or_else(|| {
                token
                    .at
                    .fault("this is no size in metres, at most 90000000")
            })
    }
}

fn finish_angle(sum: u64, most: u64, is_plus: bool) -> Option<u32> {
    let sum = u32::try_from(sum)
        .ok()
        .filter(|sum| u64::from(*sum) <= most * 3_600_000)?;

    Some(if is_plus { ORIGIN + sum } else { ORIGIN - sum })
}

fn digit_and_power(centimetres: u64) -> u8 {
    let mut digit = centimetres;
    let mut power = 0;
    // RFC 1876, section 2: what stands behind the first digit is lost.
    while digit > 9 {
        digit /= 10;
        power += 1;
    }

    (digit as u8) << 4 | power
}

/// Centimetres of a number of metres, with or without the unit.
fn metres(text: &str) -> Option<u64> {
    decimal(text.strip_suffix(['m', 'M']).unwrap_or(text), 2)
}

/// A decimal number with at most `places` digits after the point, times ten to the power of
/// `places`.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = u32::try_from(fraction.len()).ok()?;
    let missing = places.checked_sub(digits)?;

    let whole: u64 = plain_number(whole)?;
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        plain_number(fraction)?
    };
    whole
        .checked_mul(10_u64.pow(places))?
        .checked_add(fraction * 10_u64.pow(missing))
}
