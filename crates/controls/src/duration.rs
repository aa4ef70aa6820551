//! Durations, as AWS's Fault Injection Service writes them (ISO 8601, `PT5M`), and as our command line does (`5m`).

/// Units of the short form, ms. `ms` before `m` and `s`, which it ends with or begins like.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The longest duration that makes sense, ms: ten years.
pub(crate) const LONGEST: u64 = 3_650 * 86_400_000;

/// Reads a duration, in ms.
///
/// # Errors
/// What would be right, after the name of the member.
pub(crate) fn parse(member: &str, text: &str) -> Result<u64, String> {
    let ms = if text.starts_with('P') { iso(text) } else { short(text) };
    match ms {
        Some(ms) if ms <= LONGEST => Ok(ms),
        Some(_) => Err(format!("{member}: \"{text}\" is longer than ten years")),
        None => Err(format!("{member}: \"{text}\" is not a duration: write e.g. 500ms, 301s, 5m, 25h, 7d or PT5M")),
    }
}

fn short(text: &str) -> Option<u64> {
    let (digits, factor) = UNITS.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))?;
    number(digits)?.checked_mul(factor)
}

/// `PnDTnHnMnS`: whole numbers, each part at most once, at least one.
fn iso(text: &str) -> Option<u64> {
    let (days, time) = match text.strip_prefix('P')?.split_once('T') {
        Some((days, time)) if !time.is_empty() => (days, time),
        Some(_) => return None,
        None => (text.strip_prefix('P')?, ""),
    };
    if days.is_empty() && time.is_empty() {
        return None;
    }
    let mut total = 0u64;
    let mut add = |rest: &mut &str, unit: char, factor: u64| -> Option<()> {
        if let Some((digits, after)) = rest.split_once(unit) {
            total = total.checked_add(number(digits)?.checked_mul(factor)?)?;
            *rest = after;
        }
        Some(())
    };
    let (mut days, mut time) = (days, time);
    add(&mut days, 'D', 86_400_000)?;
    add(&mut time, 'H', 3_600_000)?;
    add(&mut time, 'M', 60_000)?;
    add(&mut time, 'S', 1_000)?;
    (days.is_empty() && time.is_empty()).then_some(total)
}

fn number(digits: &str) -> Option<u64> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) { None } else { digits.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        for (text, ms) in [
            ("0ms", 0),
            ("500ms", 500),
            ("301s", 301_000),
            ("5m", 300_000),
            ("25h", 90_000_000),
            ("7d", 604_800_000),
            ("PT5M", 300_000),
            ("PT1H30M", 5_400_000),
            ("P1D", 86_400_000),
            ("P1DT1S", 86_401_000),
        ] {
            assert_eq!(parse("x", text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "5", "s", "-1s", "1.5s", "+1s", "P", "PT", "P1DT", "PT5", "PT1M1H", "P1H", "PT-1S", "5 m", "1000000d"]
        {
            assert!(parse("advance", text).is_err_and(|error| error.starts_with("advance: ")), "{text}");
        }
    }
}
