//! English, without "and".

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];

const TENS: [&str; 10] = [
    "", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
];

const DAYS: [&str; 31] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
    "seventeenth",
    "eighteenth",
    "nineteenth",
    "twentieth",
    "twenty-first",
    "twenty-second",
    "twenty-third",
    "twenty-fourth",
    "twenty-fifth",
    "twenty-sixth",
    "twenty-seventh",
    "twenty-eighth",
    "twenty-ninth",
    "thirtieth",
    "thirty-first",
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A number below a million.
pub(super) fn number(n: u32) -> String {
    let (thousands, rest) = (n / 1000, n % 1000);
    match (thousands, rest) {
        (0, _) => below_thousand(rest),
        (_, 0) => format!("{} thousand", below_thousand(thousands)),
        _ => format!(
            "{} thousand {}",
            below_thousand(thousands),
            below_thousand(rest)
        ),
    }
}

fn below_thousand(n: u32) -> String {
    let (hundreds, rest) = (n / 100, n % 100);
    match (hundreds, rest) {
        (0, _) => below_hundred(rest),
        (_, 0) => format!("{} hundred", SMALL[hundreds as usize]),
        _ => format!(
            "{} hundred {}",
            SMALL[hundreds as usize],
            below_hundred(rest)
        ),
    }
}

fn below_hundred(n: u32) -> String {
    let (tens, ones) = (TENS[n as usize / 10], n as usize % 10);
    match (n, ones) {
        (0..20, _) => SMALL[n as usize].to_owned(),
        (_, 0) => tens.to_owned(),
        _ => format!("{tens}-{}", SMALL[ones]),
    }
}

/// A day of the years that [`Date`](super::Date) takes.
pub(super) fn date(year: u32, month: u32, day: u32) -> String {
    let (day, month) = (DAYS[day as usize - 1], MONTHS[month as usize - 1]);
    format!("the {day} of {month} {}", self::year(year))
}

/// A year by its pairs of digits, where it is not of the first ten of a millennium.
fn year(year: u32) -> String {
    let century = below_hundred(year / 100);
    match year % 100 {
        _ if year % 1000 < 10 => number(year),
        0 => format!("{century} hundred"),
        rest @ 1..10 => format!("{century} oh {}", below_hundred(rest)),
        rest => format!("{century} {}", below_hundred(rest)),
    }
}
