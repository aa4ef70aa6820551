//! One small plot among several: its place, its axes, and where values are in it.

use super::numbers::{number, ticks};
use super::svg::{Anchor, Picture};

/// Width of a picture.
pub const WIDTH: f64 = 880.0;
/// Plots beside each other in a picture.
pub const COLUMNS: usize = 2;
/// Height of a plot with its heading and labels.
pub const HEIGHT: f64 = 230.0;
/// Room above the plots, for the legend.
pub const TOP: f64 = 34.0;

const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
const ABOVE: f64 = 30.0;
const BELOW: f64 = 44.0;

/// How an axis maps values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// From zero.
    Linear {
        /// The value at its end.
        most: f64,
    },
    /// By powers of ten.
    Logarithmic {
        /// The value at its beginning.
        least: f64,
        /// The value at its end.
        most: f64,
    },
}

impl Scale {
    /// From zero to a round value above all.
    #[must_use]
    pub fn linear(values: impl Iterator<Item = f64>) -> Self {
        let most = values.fold(0.0, f64::max);
        Self::Linear { most: ticks(most).last().copied().unwrap_or(1.0) }
    }

    /// From a power of ten to one, around all that are above zero.
    #[must_use]
    pub fn logarithmic(values: impl Iterator<Item = f64> + Clone) -> Self {
        let good = values.filter(|value| value.is_finite() && *value > 0.0);
        let (least, most) = good.fold((f64::INFINITY, 0.0_f64), |(least, most), v| (least.min(v), most.max(v)));
        if !least.is_finite() {
            return Self::Logarithmic { least: 1.0, most: 10.0 };
        }
        let (low, high) = (least.log10().floor(), most.log10().ceil());
        Self::Logarithmic { least: 10_f64.powf(low), most: 10_f64.powf(if high > low { high } else { low + 1.0 }) }
    }

    /// Where a value is, from 0 to 1.
    #[must_use]
    pub fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear { most } => value / most,
            Self::Logarithmic { least, most } => (value.max(least) / least).log10() / (most / least).log10(),
        }
    }

    fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { most } => ticks(most),
            Self::Logarithmic { least, most } => {
                let (low, high) = (least.log10().round() as i32, most.log10().round() as i32);
                (low..=high).map(|power| 10_f64.powi(power)).collect()
            }
        }
    }
}

/// A plot of lines.
#[derive(Debug, Clone, Copy)]
pub struct Panel {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Panel {
    /// The n-th of a picture.
    #[must_use]
    pub fn nth(n: usize) -> Self {
        let width = WIDTH / COLUMNS as f64;
        let (column, row) = ((n % COLUMNS) as f64, (n / COLUMNS) as f64);
        Self {
            x: column * width + LEFT,
            y: TOP + row * HEIGHT + ABOVE,
            width: width - LEFT - RIGHT,
            height: HEIGHT - ABOVE - BELOW,
        }
    }

    /// The same plot, higher up.
    #[must_use]
    pub fn raised(self, by: f64) -> Self {
        Self { y: self.y - by, ..self }
    }

    /// The height of a picture of `count` plots.
    #[must_use]
    pub fn picture_height(count: usize) -> f64 {
        TOP + count.div_ceil(COLUMNS) as f64 * HEIGHT
    }

    /// Heading, grid and labels; `x_ticks` are values with their labels.
    pub fn frame(
        self,
        picture: &mut Picture,
        (title, x_name, y_name): (&str, &str, &str),
        (x, x_ticks): (Scale, &[(f64, String)]),
        y: Scale,
    ) {
        picture.heading((self.x - LEFT + 8.0, self.y - 16.0), title);
        picture.text((self.x, self.y - 3.0), Anchor::End, 10.0, y_name);
        for tick in y.ticks() {
            let at = self.at((0.0, y.place(tick)));
            picture.grid(at, (at.0 + self.width, at.1));
            picture.text((at.0 - 6.0, at.1 + 3.5), Anchor::End, 11.0, &tick_label(tick));
        }
        for (value, label) in x_ticks {
            let at = self.at((x.place(*value), 0.0));
            picture.grid(at, (at.0, at.1 + 4.0));
            picture.text((at.0, at.1 + 17.0), Anchor::Middle, 11.0, label);
        }
        picture.text((self.x + self.width / 2.0, self.y + self.height + 33.0), Anchor::Middle, 11.0, x_name);
    }

    /// The point of the picture for a place in the plot, from (0, 0) below on the left to (1, 1).
    #[must_use]
    pub fn at(self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.x + x * self.width, self.y + (1.0 - y) * self.height)
    }
}

/// Labels of an axis by its own ticks.
#[must_use]
pub fn labels(scale: Scale) -> Vec<(f64, String)> {
    scale.ticks().into_iter().map(|tick| (tick, tick_label(tick))).collect()
}

/// A tick's value, shortened: `20 k`, `1.5 M`.
#[must_use]
pub fn tick_label(value: f64) -> String {
    let short = |value: f64, letter: &str| {
        let digits = format!("{value:.1}");
        format!("{} {letter}", digits.strip_suffix(".0").unwrap_or(&digits))
    };
    match value {
        value if value >= 1e9 => short(value / 1e9, "G"),
        value if value >= 1e6 => short(value / 1e6, "M"),
        value if value >= 1e4 => short(value / 1e3, "k"),
        value if value > 0.0 && value < 0.1 => {
            let digits = format!("{value:.4}");
            digits.trim_end_matches('0').to_owned()
        }
        value if value.fract() == 0.0 => number(value).trim_end_matches(".0").to_owned(),
        value => {
            let digits = format!("{value:.2}");
            digits.trim_end_matches('0').to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_find_their_places() {
        let linear = Scale::linear([1.0, 9.0].into_iter());
        assert_eq!((linear.place(0.0), linear.place(5.0)), (0.0, 0.5));
        let logarithmic = Scale::logarithmic([0.5, 50.0].into_iter());
        assert_eq!(logarithmic, Scale::Logarithmic { least: 0.1, most: 100.0 });
        assert!((logarithmic.place(1.0) - 1.0 / 3.0).abs() < 1e-9);
        assert_eq!(Scale::logarithmic(std::iter::empty()), Scale::Logarithmic { least: 1.0, most: 10.0 });
    }

    #[test]
    fn ticks_are_short() {
        let labels = [0.0, 0.01, 0.25, 5.0, 2000.0, 20_000.0, 1_500_000.0].map(tick_label);
        assert_eq!(labels, ["0", "0.01", "0.25", "5", "2,000", "20 k", "1.5 M"]);
    }
}
