//! LOC (RFC 1876): the text of a place on earth, and its 16 octets. hickory-proto does not know the type.
//!
//! ```text
//!   version  size  horizontal precision  vertical precision  latitude  longitude  altitude
//!      1      1             1                    1              4          4         4       octets
//! ```
//! Sizes and precisions are centimetres as mantissa and power of ten, a nibble each; latitude and longitude
//! thousandths of seconds of arc from 2^31 (north and east are above); altitude centimetres above -100,000 m.

/// The equator, the prime meridian.
const MIDDLE: u32 = 1 << 31;
/// Thousandths of a second of arc in a degree, and in a minute.
const DEGREE: u32 = 3_600_000;
const MINUTE: u32 = 60_000;
/// Centimetres below sea level at which altitudes begin.
const BASE: i64 = 10_000_000;
/// What is not written (RFC 1876, section 3): 1 m, 10,000 m and 10 m.
const DEFAULTS: [u8; 3] = [0x12, 0x16, 0x13];

/// True if `data` is well-formed: of a later version, or of this one.
pub(crate) fn is_loc(data: &[u8]) -> bool {
    match data.first() {
        Some(0) => text(data).is_some(),
        version => version.is_some(),
    }
}

/// The octets of `words`, as RFC 1876, section 3, has them. The error says what is wrong.
pub(crate) fn parse(words: &[&str]) -> Result<[u8; 16], &'static str> {
    let mut words = words.iter().copied();
    let latitude =
        angle(&mut words, ["N", "S"], 90).ok_or("the latitude is not like 52 22 23.000 N")?;
    let longitude =
        angle(&mut words, ["E", "W"], 180).ok_or("the longitude is not like 4 53 32.000 E")?;
    let altitude = words
        .next()
        .and_then(centimetres)
        .and_then(|cm| u32::try_from(cm.checked_add(BASE)?).ok());
    let altitude =
        altitude.ok_or("the altitude is not like -2.00m, from -100000 to 42849672.95")?;
    let mut sizes = DEFAULTS;
    for (size, word) in sizes.iter_mut().zip(words.by_ref()) {
        let word = centimetres(word)
            .and_then(power)
            .ok_or("sizes and precisions are 0 to 90000000.00m")?;
        *size = word;
    }
    if words.next().is_some() {
        return Err("nothing may follow size, horizontal and vertical precision");
    }
    let mut data = [0; 16];
    data[1..4].copy_from_slice(&sizes);
    for (at, value) in [(4, latitude), (8, longitude), (12, altitude)] {
        data[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    Ok(data)
}

/// `degrees [minutes [seconds[.thousandths]]] N|S`: to the letter that ends it.
fn angle<'t>(
    words: &mut impl Iterator<Item = &'t str>,
    signs: [&str; 2],
    limit: u32,
) -> Option<u32> {
    let degrees = words
        .next()?
        .parse::<u32>()
        .ok()
        .filter(|degrees| *degrees <= limit)?;
    let mut sum = degrees * DEGREE;
    let mut word = words.next()?;
    if let Ok(minutes) = word.parse::<u32>() {
        sum += Some(minutes).filter(|minutes| *minutes < 60)? * MINUTE;
        word = words.next()?;
        if word.starts_with(|c: char| c.is_ascii_digit()) {
            sum += u32::try_from(decimal(word, 3)?)
                .ok()
                .filter(|thousandths| *thousandths < MINUTE)?;
            word = words.next()?;
        }
    }
    let [above, below] = signs.map(|sign| sign.eq_ignore_ascii_case(word));
    if sum > limit * DEGREE || !(above || below) {
        return None;
    }
    Some(if above { MIDDLE + sum } else { MIDDLE - sum })
}

/// Metres with or without an `m`.
fn centimetres(word: &str) -> Option<i64> {
    let word = word.strip_suffix(['m', 'M']).unwrap_or(word);
    match word.strip_prefix('-') {
        Some(below) => Some(-decimal(below, 2)?),
        None => decimal(word, 2),
    }
}

/// A number with at most `places` digits after its point, times ten to the power of `places`.
fn decimal(word: &str, places: usize) -> Option<i64> {
    let (whole, part) = word.split_once('.').unwrap_or((word, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 10
        || part.len() > places
        || !is_number(whole)
        || !is_number(part)
    {
        return None;
    }
    format!("{whole}{part:0<places$}").parse().ok()
}

/// Mantissa and exponent; what does not fit one digit is cut off, as in the RFC's own program.
fn power(mut centimetres: i64) -> Option<u8> {
    if centimetres < 0 {
        return None;
    }
    let mut exponent = 0;
    while centimetres > 9 {
        centimetres /= 10;
        exponent += 1;
    }
    (exponent <= 9).then_some((centimetres as u8) << 4 | exponent)
}

/// The text of `data`; `None` if it is not of version 0, or malformed.
pub(crate) fn text(data: &[u8]) -> Option<String> {
    let data: &[u8; 16] = data.try_into().ok()?;
    let number = |at: usize| {
        data[at..]
            .first_chunk()
            .map(|octets| u32::from_be_bytes(*octets))
    };
    if data[0] != 0 {
        return None;
    }
    let latitude = angle_text(number(4)?, ["N", "S"], 90)?;
    let longitude = angle_text(number(8)?, ["E", "W"], 180)?;
    let altitude = i64::from(number(12)?) - BASE;
    let mut words = vec![latitude, longitude, metres(altitude)];
    for size in &data[1..4] {
        let (mantissa, exponent) = (size >> 4, size & 15);
        if mantissa > 9 || exponent > 9 || (mantissa == 0 && exponent > 0) {
            return None;
        }
        words.push(metres(i64::from(mantissa) * 10_i64.pow(exponent.into())));
    }
    Some(words.join(" "))
}

fn angle_text(angle: u32, signs: [&str; 2], limit: u32) -> Option<String> {
    let sum = angle.abs_diff(MIDDLE);
    let sign = if angle >= MIDDLE { signs[0] } else { signs[1] };
    let (degrees, minutes, rest) = (sum / DEGREE, sum % DEGREE / MINUTE, sum % MINUTE);
    let seconds = format!("{}.{:03}", rest / 1000, rest % 1000);
    (sum <= limit * DEGREE).then(|| format!("{degrees} {minutes} {seconds} {sign}"))
}

fn metres(centimetres: i64) -> String {
    let sign = if centimetres < 0 { "-" } else { "" };
    let cm = centimetres.unsigned_abs();
    format!("{sign}{}.{:02}m", cm / 100, cm % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<[u8; 16], &'static str> {
        parse(&text.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn places_read_as_octets_and_back() {
        // By hand: 2^31 + 188,543,000; 2^31 + 17,612,000; 10,000,000 - 200.
        let amsterdam = "52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000.00m 10.00m";
        let octets = [
            0, 0x00, 0x16, 0x13, 0x8b, 0x3c, 0xf0, 0x18, 0x81, 0x0c, 0xbc, 0xe0, 0x00, 0x98, 0x95,
            0xb8,
        ];
        assert_eq!(read(amsterdam), Ok(octets));
        assert_eq!(text(&octets).as_deref(), Some(amsterdam));
        for place in [
            "0 0 0.000 N 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m",
            "90 0 0.000 S 180 0 0.000 W 42849672.95m 90000000.00m 0.01m 9.00m",
        ] {
            assert_eq!(text(&read(place).unwrap()).as_deref(), Some(place));
        }
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let full = "42 0 0.000 N 71 6 0.000 W -24.00m 1.00m 10000.00m 10.00m";
        assert_eq!(read("42 N 71 6 W -24m"), read(full));
        assert_eq!(read("42 0 0 n 71 06 0.0 w -24 1m"), read(full));
        assert_eq!(
            read("42 N 71 6 W -24m 35m").unwrap()[1],
            0x33,
            "one digit only"
        );
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "91 N 0 E 0m",
            "90 0 0.001 N 0 E 0m",
            "1 60 N 0 E 0m",
            "1 0 60 N 0 E 0m",
            "1 N 1 N 0m",
            "1 N 0 E",
            "1 N 0 E -100000.01m",
            "1 N 0 E 42849672.96m",
            "1 N 0 E 0m 99999999999m",
            "1 N 0 E 0.001m",
            "1 N 0 E 0m 1m 1m 1m 1m",
            "1 N 0 E 0m -1m",
            "+1 E 0 E 0m",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn octets_are_checked_as_far_as_their_version_is_known() {
        let good = read("1 N 1 E 0m").unwrap();
        assert!(is_loc(&good) && !is_loc(&good[..15]) && !is_loc(&[]));
        let mut bad = good;
        bad[1] = 0xa0;
        assert!(!is_loc(&bad));
        bad[0] = 1;
        assert!(is_loc(&bad));
    }
}
