//! Figures as people read them: no more digits than they are worth.

use crate::results::median;

const MIB: f64 = 1024.0 * 1024.0;

/// Three digits or so, in groups of thousands.
#[must_use]
pub fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "–".to_owned(),
        0.0 => "0".to_owned(),
        size if size < 0.995 => format!("{value:.2}"),
        size if size < 9.95 => format!("{value:.1}"),
        _ => grouped(value),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A ratio: `0.83`, `2.4`, `118`.
#[must_use]
pub fn ratio(value: f64) -> String {
    match value {
        value if !value.is_finite() => "–".to_owned(),
        value if value < 9.995 => format!("{value:.2}"),
        value if value < 99.95 => format!("{value:.1}"),
        value => grouped(value),
    }
}

/// A value in its unit, as `results` names units: sizes of bytes in MiB, or KiB when they are small.
#[must_use]
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "bytes" if value.abs() < MIB => format!("{} KiB", number(value / 1024.0)),
        "bytes" => format!("{} MiB", number(value / MIB)),
        "bytes/s" => format!("{} MB/s", number(value / 1e6)),
        "" => number(value),
        unit => format!("{} {unit}", number(value)),
    }
}

/// `median (least – most)` with what `show` makes of each; `–` of nothing.
#[must_use]
pub fn spread(values: &[f64], show: impl Fn(f64) -> String) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    match values {
        [] => "–".to_owned(),
        _ if show(least) == show(most) => show(least),
        values => format!("{} ({} – {})", show(median(values)), show(least), show(most)),
    }
}

/// The ticks of an axis from zero to at least `most`: at most six, at round values.
#[must_use]
pub fn ticks(most: f64) -> Vec<f64> {
    if !(most.is_finite() && most > 0.0) {
        return vec![0.0, 1.0];
    }
    let power = 10_f64.powf((most / 5.0).log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|step| step * power).find(|step| step * 5.0 >= most);
    let step = step.unwrap_or(power * 10.0);
    let count = (most / step).ceil().max(1.0) as usize;
    (0..=count).map(|tick| tick as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_digits_that_they_are_worth() {
        assert_eq!(
            [0.0, 0.1234, 5.67, 99.94, 1_234_567.0, f64::NAN].map(number),
            ["0", "0.12", "5.7", "100", "1,234,567", "–"]
        );
        assert_eq!([0.834, 23.46, 118.2].map(ratio), ["0.83", "23.5", "118"]);
        assert_eq!(with_unit(5.0 * MIB, "bytes"), "5.0 MiB");
        assert_eq!(with_unit(2048.0, "bytes"), "2.0 KiB");
        assert_eq!(with_unit(3.0, "ms"), "3.0 ms");
        assert_eq!(spread(&[3.0, 1.0, 2.0], number), "2.0 (1.0 – 3.0)");
        assert_eq!(spread(&[3.0], number), "3.0");
        assert_eq!(spread(&[], number), "–");
    }

    #[test]
    fn ticks_begin_at_zero_and_reach_the_most() {
        assert_eq!(ticks(9.0), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(0.0), [0.0, 1.0]);
        for most in [0.003, 1.0, 7.7, 1234.0, 9_999_999.0] {
            let ticks = ticks(most);
            assert!(ticks.len() <= 7 && ticks.last().is_some_and(|last| *last >= most), "{most}: {ticks:?}");
        }
    }
}
