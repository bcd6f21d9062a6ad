//! [`Date`]: a day of the calendar.

use std::ops::RangeInclusive;

use super::{Language, chinese, english, french, german};
use crate::{Error, Result};

/// The years of a [`Date`].
pub const YEARS: RangeInclusive<u32> = 1100..=2099;

/// A day of the Gregorian calendar in one of the [`YEARS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date {
    year: u32,
    month: u32,
    day: u32,
}

impl Date {
    /// Day and month count from 1.
    ///
    /// # Errors
    ///
    /// Where there is no such day, or the year is none of [`YEARS`].
    pub fn new(year: u32, month: u32, day: u32) -> Result<Self> {
        let date = Self { year, month, day };
        let (first, last) = (YEARS.start(), YEARS.end());
        let what = if !YEARS.contains(&year) {
            format!("the year {year} cannot be put in words: give one of {first} to {last}")
        } else if !(1..=12).contains(&month) {
            format!("there is no month {month}: give one of 1 to 12")
        } else if !(1..=days(year, month)).contains(&day) {
            let last = days(year, month);
            format!("month {month} of {year} has no day {day}: give one of 1 to {last}")
        } else {
            return Ok(date);
        };
        Err(Error::Config(what))
    }

    /// All days in their order.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let months = YEARS.flat_map(|year| (1..=12).map(move |month| (year, month)));
        months.flat_map(|(year, month)| {
            let date = move |day| Self { year, month, day };
            (1..=days(year, month)).map(date)
        })
    }

    /// The digits of year, month and day as a number, which is above those put in words.
    pub(super) fn key(self) -> u32 {
        self.year * 10_000 + self.month * 100 + self.day
    }

    /// The date in English: "the third of may nineteen eighty-four".
    pub fn english(self) -> String {
        english::date(self.year, self.month, self.day)
    }

    /// The date in another language.
    pub fn words(self, language: Language) -> String {
        let (year, month, day) = (self.year, self.month, self.day);
        match language {
            Language::French => french::date(year, month, day),
            Language::German => german::date(year, month, day),
            Language::Chinese => chinese::date(year, month, day),
        }
    }
}

/// Number of days of a month.
pub(super) fn days(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
