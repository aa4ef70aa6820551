//! By what rates are multiplied.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A factor for rates, to the thousandth: `x10`, `x0.5`. From x0.001 to x1000000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    thousandths: u64,
}

const LARGEST: u64 = 1_000_000_000;

impl Scale {
    /// Changes nothing.
    pub const ONE: Scale = Scale { thousandths: 1000 };

    /// A rate times the factor, to the nearest whole number and at least 1; nothing stays nothing.
    pub fn of(self, rate: u64) -> u64 {
        let product = (u128::from(rate) * u128::from(self.thousandths) + 500) / 1000;
        // What a configuration file can say.
        let most = i64::MAX as u64;
        u64::try_from(product).unwrap_or(most).clamp(rate.min(1), most)
    }

    /// This factor after another one.
    #[must_use]
    pub fn times(self, other: Scale) -> Scale {
        let thousandths = u128::from(self.thousandths) * u128::from(other.thousandths) / 1000;
        Scale { thousandths: u64::try_from(thousandths).unwrap_or(LARGEST).clamp(1, LARGEST) }
    }
}

impl Default for Scale {
    fn default() -> Scale {
        Scale::ONE
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        match rest {
            0 => write!(f, "x{whole}"),
            _ => write!(f, "x{whole}.{}", format!("{rest:03}").trim_end_matches('0')),
        }
    }
}

/// What is not a factor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a factor: write x and a number from 0.001 to 1000000, e.g. x10 or x0.5")]
pub struct NoScale(String);

impl FromStr for Scale {
    type Err = NoScale;

    fn from_str(text: &str) -> Result<Scale, NoScale> {
        let parse = || {
            let number = text.strip_prefix('x')?;
            let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
            let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            if !are_digits(whole) || !are_digits(rest) || rest.len() > 3 {
                return None;
            }
            let rest = format!("{rest:0<3}").parse().ok()?;
            let thousandths = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(rest)?;
            (1..=LARGEST).contains(&thousandths).then_some(Scale { thousandths })
        };
        parse().ok_or_else(|| NoScale(text.to_owned()))
    }
}

impl Serialize for Scale {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scale {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scale, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
