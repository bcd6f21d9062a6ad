//! German, in the full forms "einhundert" and "eintausend".

const SMALL: [&str; 20] = [
    "",
    "ein",
    "zwei",
    "drei",
    "vier",
    "fünf",
    "sechs",
    "sieben",
    "acht",
    "neun",
    "zehn",
    "elf",
    "zwölf",
    "dreizehn",
    "vierzehn",
    "fünfzehn",
    "sechzehn",
    "siebzehn",
    "achtzehn",
    "neunzehn",
];

const TENS: [&str; 10] = [
    "", "", "zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig",
];

const MONTHS: [&str; 12] = [
    "Januar",
    "Februar",
    "März",
    "April",
    "Mai",
    "Juni",
    "Juli",
    "August",
    "September",
    "Oktober",
    "November",
    "Dezember",
];

/// A number below a million, which is one word.
pub(super) fn number(n: u32) -> String {
    match (n, n % 100) {
        (0, _) => "null".to_owned(),
        // Only at the end of the word it is "eins".
        (_, 1) => format!("{}s", joined(n)),
        _ => joined(n),
    }
}

/// The word that further parts may follow; nothing for zero.
fn joined(n: u32) -> String {
    let (thousands, hundreds) = (n / 1000, n % 1000 / 100);
    let mut word = String::new();
    if thousands > 0 {
        word += &joined(thousands);
        word += "tausend";
    }
    if hundreds > 0 {
        word += SMALL[hundreds as usize];
        word += "hundert";
    }
    word + &below_hundred(n % 100)
}

fn below_hundred(n: u32) -> String {
    let (tens, ones) = (TENS[n as usize / 10], n as usize % 10);
    match (n, ones) {
        (0..20, _) => SMALL[n as usize].to_owned(),
        (_, 0) => tens.to_owned(),
        _ => format!("{}und{tens}", SMALL[ones]),
    }
}

/// A day of the years that [`Date`](super::Date) takes.
pub(super) fn date(year: u32, month: u32, day: u32) -> String {
    let month = MONTHS[month as usize - 1];
    format!("der {} {month} {}", ordinal(day), self::year(year))
}

fn ordinal(day: u32) -> String {
    match day {
        1 => "erste".to_owned(),
        3 => "dritte".to_owned(),
        7 => "siebte".to_owned(),
        8 => "achte".to_owned(),
        0..20 => format!("{}te", below_hundred(day)),
        _ => format!("{}ste", below_hundred(day)),
    }
}

/// A year by its hundreds in the second millennium.
fn year(year: u32) -> String {
    if year >= 2000 {
        return number(year);
    }
    let rest = match year % 100 {
        0 => String::new(),
        rest => number(rest),
    };
    format!("{}hundert{rest}", below_hundred(year / 100))
}
