//! Numbers and dates in words, English to French, German or Chinese: exact pairs to learn to
//! translate from without a download.
//!
//! **Numbers** are whole and below [`LIMIT`]; **dates** are days of the Gregorian calendar from
//! 1100 to 2099.
//!
//! | language | 97 | 201 080 | 3 May 1984 |
//! | --- | --- | --- | --- |
//! | English | ninety-seven | two hundred one thousand eighty | the third of may nineteen eighty-four |
//! | French | quatre-vingt-dix-sept | deux cent un mille quatre-vingts | le trois mai mille neuf cent quatre-vingt-quatre |
//! | German | siebenundneunzig | zweihunderteintausendachtzig | der dritte Mai neunzehnhundertvierundachtzig |
//! | Chinese | 九十七 | 二十万一千零八十 | 一九八四年五月三日 |
//!
//! Where a language leaves a choice, the spelling is
//!
//! - **English**: American, without "and", small letters throughout. Years are read by pairs:
//!   "nineteen oh five", "nineteen hundred", but "two thousand" to "two thousand nine".
//! - **French**: as in France and before the reform of 1990, hyphens below a hundred only and not
//!   around "et". "cent" and "vingt" take their s at the end of a number, not before "mille", and
//!   not in a year, which is an ordinal. The first day is "premier".
//! - **German**: the full forms "einhundert" and "eintausend"; years of 1100 to 1999 by
//!   hundreds.
//! - **Chinese**: 两 for a two that begins the number before 千 or 万, else 二, so 两万二千 and
//!   二百; one 零 for zeros between two digits of the same four, or in front of the lower four
//!   digits; 十 without 一 at the start only. Years are read by digits with 〇.
//!
//! **Parts.** The hash of a number or date alone decides: one in twenty is valid, one in twenty
//! test, the rest train, whatever the seed, so no part ever has a number of another. Numbers up
//! to 20 and those of a single digit before zeros (300, 70 000) are all train; of the others
//! below a hundred 69 is valid, and 36, 38, 46, 54, 87 and 97 are test. So a held-out number is a
//! new combination of known words, which train has within larger numbers.
//!
//! Train begins with its numbers below a hundred, once each; then each number of digits, from
//! one to six, is equally likely, and pairs repeat. Valid and test have no pair twice; there too
//! the numbers of digits are equally likely, as long as there are any left.
//!
//! ```
//! use mapsto_data::Part;
//! use mapsto_data::numbers::{self, Date, Kind, Language};
//! assert_eq!(numbers::words(Language::French, 97)?, "quatre-vingt-dix-sept");
//! assert_eq!(Date::new(1984, 5, 3)?.words(Language::Chinese), "一九八四年五月三日");
//! assert_eq!(numbers::part_of(97)?, Part::Test);
//! let test = numbers::pairs(Part::Test, Language::German, Kind::Numbers, 2000, 42)?;
//! assert_eq!(test.count(), 2000);
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **References:** Grevisse and Goosse, "Le bon usage", on "vingt" and "cent"; Duden, "Die
//! Grammatik", on numerals; Lü Shuxiang, "Eight Hundred Words of Modern Chinese", on 二 and 两;
//! the hash is the mixer of Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
//! Generators", 2014.

mod chinese;
mod date;
mod draw;
mod english;
mod french;
mod german;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Part, Result};
pub use date::{Date, YEARS};

/// Numbers are below this.
pub const LIMIT: u32 = 1_000_000;

/// What English is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// French as in France.
    French,
    /// German.
    German,
    /// Mandarin in simplified characters, without spaces.
    Chinese,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::French, Self::German, Self::Chinese];
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::French => "french",
            Self::German => "german",
            Self::Chinese => "chinese",
        })
    }
}

impl FromStr for Language {
    type Err = Error;

    /// Reads `french`, `german` or `chinese`.
    fn from_str(name: &str) -> Result<Self> {
        let known = Self::ALL.into_iter();
        let found = known.clone().find(|language| language.to_string() == name);
        found.ok_or_else(|| {
            let known: Vec<String> = known.map(|language| language.to_string()).collect();
            let known = known.join(", ");
            Error::Config(format!(
                "there is no language `{name}`: take one of {known}"
            ))
        })
    }
}

/// What the pairs are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Numbers only; the default.
    #[default]
    Numbers,
    /// Dates only.
    Dates,
    /// One date to three numbers.
    Both,
}

/// A number in English.
///
/// # Errors
///
/// Where `n` is [`LIMIT`] or more.
pub fn english(n: u32) -> Result<String> {
    check(n).map(english::number)
}

/// A number in another language.
///
/// # Errors
///
/// Where `n` is [`LIMIT`] or more.
pub fn words(language: Language, n: u32) -> Result<String> {
    check(n).map(|n| number(language, n))
}

/// The part that a number belongs to.
///
/// # Errors
///
/// Where `n` is [`LIMIT`] or more.
pub fn part_of(n: u32) -> Result<Part> {
    check(n).map(draw::part)
}

/// The first `samples` pairs of a part, English first.
///
/// A pair depends on (part, language, kind, its number, `seed`) only; more of them add to the
/// same ones, and every language has the same numbers.
///
/// # Errors
///
/// Where a valid or test part has fewer numbers or dates than `samples`.
pub fn pairs(
    part: Part,
    language: Language,
    kind: Kind,
    samples: usize,
    seed: u64,
) -> Result<impl Iterator<Item = (String, String)>> {
    let samples = draw::samples(part, kind, samples, seed)?;
    Ok(samples.map(move |sample| match sample {
        draw::Sample::Number(n) => (english::number(n), number(language, n)),
        draw::Sample::Date(date) => (date.english(), date.words(language)),
    }))
}

fn number(language: Language, n: u32) -> String {
    match language {
        Language::French => french::number(n),
        Language::German => german::number(n),
        Language::Chinese => chinese::number(n),
    }
}

fn check(n: u32) -> Result<u32> {
    if n < LIMIT {
        return Ok(n);
    }
    let largest = LIMIT - 1;
    Err(Error::Config(format!(
        "the number {n} is too large to be put in words: give {largest} or less"
    )))
}

#[cfg(test)]
mod tests;
