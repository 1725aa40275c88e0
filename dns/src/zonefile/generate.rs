//! `$GENERATE <start>-<stop>[/<step>] <owner> ...`: one record for each number of a range, as BIND
//! reads it.

use crate::rdata::plain_number;

/// Records that one line may make.
const MOST: u32 = 65_536;

/// The numbers from the first to the last, in steps.
pub(super) fn range(text: &str) -> Result<impl Iterator<Item = u32>, String> {
    let parsed = parse_range(text).filter(|(start, stop, step)| start <= stop && *step > 0);
    let (start, stop, step) = parsed.ok_or("this is no range such as 1-10 or 0-254/2")?;

    // In 64 bits: a range may have one number more than 32 bits can say.
    let count = u64::from((stop - start) / step) + 1;
    if count > u64::from(MOST) {
        return Err(format!("{count} records; a line may make {MOST}"));
    }
    Ok((start..=stop).step_by(usize::try_from(step).unwrap_or(usize::MAX)))
}

fn parse_range(text: &str) -> Option<(u32, u32, u32)> {
    let (range, step) = match text.split_once('/') {
        Some((range, step)) => (range, plain_number(step)?),
        None => (text, 1),
    };
    let (start, stop) = range.split_once('-')?;

    Some((plain_number(start)?, plain_number(stop)?, step))
}

/// `template` with `number` in the place of each `$` and `${offset,width,base}`. `$$` is a dollar
/// sign, and what a backslash escapes stays as it is.
pub(super) fn expand(template: &str, number: u32) -> Result<String, &'static str> {
    let mut text = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['$', '\\']) {
        let (before, special) = rest.split_at(at);
        text.push_str(before);

        if special.starts_with('\\') {
            // Up to behind the escaped character, which may have several bytes.
            let end = special
                .char_indices()
                .nth(2)
                .map_or(special.len(), |(end, _)| end);
            text.push_str(&special[..end]);
            rest = &special[end..];
        } else if let Some(after) = special.strip_prefix("$$") {
            text.push('$');
            rest = after;
        } else if let Some(inside) = special.strip_prefix("${") {
            let (form, after) = inside
                .split_once('}')
                .ok_or("the brace after $ is never closed")?;
            text.push_str(&formatted(form, number)?);
            rest = after;
        } else {
            text.push_str(&number.to_string());
            rest = &special[1..];
        }
    }

    text.push_str(rest);
    Ok(text)
}

/// `number` as `<offset>[,<width>[,<base>]]` says.
fn formatted(form: &str, number: u32) -> Result<String, &'static str> {
    const FORM: &str = "write ${offset,width,base}, such as ${-5,3,d}; the base is d, o, x or X";
    let mut parts = form.split(',');
    let offset: i64 = parts.next().unwrap_or_default().parse().or(Err(FORM))?;
    let width = parts.next().map_or(Some(0), plain_number).ok_or(FORM)?;
    let base = parts.next().unwrap_or("d");
    // Longer than any label.
    if parts.next().is_some() || width > 63 {
        return Err(FORM);
    }

    let value = i64::from(number)
        .checked_add(offset)
        .filter(|value| (0..=i64::from(u32::MAX)).contains(value))
        .ok_or("the offset makes a number below 0 or above 32 bits")?;
    match base {
        "d" => Ok(format!("{value:0width$}")),
        "o" => Ok(format!("{value:0width$o}")),
        "x" => Ok(format!("{value:0width$x}")),
        "X" => Ok(format!("{value:0width$X}")),
        _ => Err(FORM),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_where_dollar_signs_stood() {
        let cases = [
            ("h$", "h7"),
            ("$-$", "7-7"),
            ("h${0,3}", "h007"),
            ("h${3}", "h10"),
            ("h${-5,2,d}", "h02"),
            ("h${9,0,x}", "h10"),
            ("h${5,3,X}", "h00C"),
            ("h${1,0,o}", "h10"),
            ("a$$b", "a$b"),
            ("a\\$b\\\\$", "a\\$b\\\\7"),
            ("plain", "plain"),
        ];
        for (template, expected) in cases {
            assert_eq!(expand(template, 7).as_deref(), Ok(expected), "{template}");
        }
        for template in ["${", "${x}", "${0,64}", "${0,1,n}", "${0,1,d,1}", "${-8}"] {
            assert!(expand(template, 7).is_err(), "{template}");
        }
    }

    #[test]
    fn a_range_is_bounded() {
        let numbers = |text| range(text).map(|range| range.collect::<Vec<_>>());

        assert_eq!(numbers("1-3"), Ok(vec![1, 2, 3]));
        assert_eq!(numbers("0-5/2"), Ok(vec![0, 2, 4]));
        assert_eq!(numbers("0-65535").map(|numbers| numbers.len()), Ok(65_536));
        for text in ["3-1", "1-", "-1", "1-3/0", "1", "0-65536", "0-4294967295"] {
            assert!(numbers(text).is_err(), "{text}");
        }
    }
}
