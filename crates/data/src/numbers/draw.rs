//! Which numbers and dates a part has, and in which order.

use mapsto_tensor::rng::{Generator, Stream};

use super::date::{Date, YEARS, days};
use super::{Kind, LIMIT};
use crate::order::{below, shuffle};
use crate::{Error, Part, Result};

/// Numbers of digits.
const MOST_DIGITS: usize = 6;

/// One date to this many samples where there are numbers too.
const ONE_DATE_IN: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sample {
    Number(u32),
    Date(Date),
}

/// The part of a number below [`LIMIT`].
pub(super) fn part(n: u32) -> Part {
    let digits = n.checked_ilog10().unwrap_or(0);
    let round = n.is_multiple_of(10_u32.pow(digits));
    if n <= 20 || round {
        return Part::Train;
    }
    hashed(n)
}

fn part_of_date(date: Date) -> Part {
    hashed(date.key())
}

/// One in twenty is valid, one in twenty test.
fn hashed(key: u32) -> Part {
    // Of the small constants one under which 97 is test and no tens word, and no last digit, has
    // more than two of the numbers below a hundred that are held out.
    let mut hash = u64::from(key)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(25);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    match (hash ^ (hash >> 31)) % 20 {
        0 => Part::Valid,
        1 => Part::Test,
        _ => Part::Train,
    }
}

/// The first `samples` of a part.
pub(super) fn samples(
    part: Part,
    kind: Kind,
    samples: usize,
    seed: u64,
) -> Result<Box<dyn Iterator<Item = Sample> + Send>> {
    if part == Part::Train {
        return Ok(Box::new(train(kind, seed).take(samples)));
    }
    let held_out = HeldOut::new(part, kind, seed);
    let len = held_out.len();
    if samples > len {
        return Err(Error::Config(format!(
            "{samples} pairs are asked for, but the part holds out {len} of this kind, each once: \
             give {len} or less"
        )));
    }
    Ok(Box::new(held_out.take(samples)))
}

/// Samples without end, which may repeat.
fn train(kind: Kind, seed: u64) -> impl Iterator<Item = Sample> {
    let known = move |&n: &u32| kind != Kind::Dates && part(n) == Part::Train;
    let small = (0..100).filter(known).map(Sample::Number);
    let drawn = (0..).map(move |number| {
        let mut rng = Generator::keyed(seed, &[number]);
        let dates = match kind {
            Kind::Numbers => false,
            Kind::Dates => true,
            Kind::Both => below(ONE_DATE_IN, &mut rng) == 0,
        };
        if dates {
            Sample::Date(train_date(&mut rng))
        } else {
            Sample::Number(train_number(&mut rng))
        }
    });
    small.chain(drawn)
}

fn train_number(rng: &mut Stream) -> u32 {
    loop {
        let digits = 1 + below(MOST_DIGITS, rng) as u32;
        let end = 10_u32.pow(digits);
        let start = if digits == 1 { 0 } else { end / 10 };
        let n = start + below((end - start) as usize, rng) as u32;
        if part(n) == Part::Train {
            return n;
        }
    }
}

fn train_date(rng: &mut Stream) -> Date {
    let one_of = |first: u32, last: u32, rng: &mut Stream| {
        let count = (last - first + 1) as usize;
        first + below(count, rng) as u32
    };
    loop {
        let year = one_of(*YEARS.start(), *YEARS.end(), rng);
        let month = one_of(1, 12, rng);
        let day = one_of(1, days(year, month), rng);
        if let Ok(date) = Date::new(year, month, day)
            && part_of_date(date) == Part::Train
        {
            return date;
        }
    }
}

/// The numbers and dates of a part that is held out, in random order and each once.
struct HeldOut {
    /// By the number of digits, as far as any are left.
    numbers: Vec<Vec<u32>>,
    dates: Vec<Date>,
    rng: Stream,
}

impl HeldOut {
    fn new(part: Part, kind: Kind, seed: u64) -> Self {
        let mut rng = Generator::keyed(seed, &[u64::MAX, part as u64]);
        let mut numbers = vec![Vec::new(); MOST_DIGITS];
        if kind != Kind::Dates {
            for n in (1..LIMIT).filter(|&n| self::part(n) == part) {
                numbers[n.ilog10() as usize].push(n);
            }
        }
        let mut dates = Vec::new();
        if kind != Kind::Numbers {
            dates.extend(Date::all().filter(|&date| part_of_date(date) == part));
        }
        for numbers in &mut numbers {
            shuffle(numbers, &mut rng);
        }
        shuffle(&mut dates, &mut rng);
        numbers.retain(|numbers| !numbers.is_empty());
        Self {
            numbers,
            dates,
            rng,
        }
    }

    fn len(&self) -> usize {
        self.numbers.iter().map(Vec::len).sum::<usize>() + self.dates.len()
    }
}

impl Iterator for HeldOut {
    type Item = Sample;

    fn next(&mut self) -> Option<Sample> {
        let mixed = !self.dates.is_empty() && !self.numbers.is_empty();
        if self.numbers.is_empty() || mixed && below(ONE_DATE_IN, &mut self.rng) == 0 {
            return self.dates.pop().map(Sample::Date);
        }
        let digits = below(self.numbers.len(), &mut self.rng);
        let n = self.numbers[digits].pop();
        if self.numbers[digits].is_empty() {
            self.numbers.remove(digits);
        }
        n.map(Sample::Number)
    }
}
