//! French of France, in the spelling before 1990.

const SMALL: [&str; 20] = [
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze",
    "douze", "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
];

/// What the numbers of these tens begin with; the seventies and nineties go on from ten.
const TENS: [&str; 10] = [
    "",
    "",
    "vingt",
    "trente",
    "quarante",
    "cinquante",
    "soixante",
    "soixante",
    "quatre-vingt",
    "quatre-vingt",
];

const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

/// A number below a million.
pub(super) fn number(n: u32) -> String {
    whole(n, "s")
}

/// A number whose last "cent" or "vingt" takes `plural` where there are several of them.
fn whole(n: u32, plural: &str) -> String {
    let thousands = match n / 1000 {
        0 => return below_thousand(n, plural),
        1 => "mille".to_owned(),
        // "mille" is no noun, so nothing before it takes an s.
        thousands => format!("{} mille", below_thousand(thousands, "")),
    };
    match n % 1000 {
        0 => thousands,
        rest => format!("{thousands} {}", below_thousand(rest, plural)),
    }
}

fn below_thousand(n: u32, plural: &str) -> String {
    let rest = n % 100;
    let hundreds = match n / 100 {
        0 => return below_hundred(rest, plural),
        1 => "cent".to_owned(),
        hundreds => {
            let plural = if rest == 0 { plural } else { "" };
            format!("{} cent{plural}", SMALL[hundreds as usize])
        }
    };
    match rest {
        0 => hundreds,
        _ => format!("{hundreds} {}", below_hundred(rest, plural)),
    }
}

fn below_hundred(n: u32, plural: &str) -> String {
    let tens = TENS[n as usize / 10];
    let rest = match n {
        0..20 => return SMALL[n as usize].to_owned(),
        20..60 => n % 10,
        _ => n % 20,
    };
    match (n, rest) {
        (80, _) => format!("{tens}{plural}"),
        (_, 0) => tens.to_owned(),
        (21..=61, 1) | (71, 11) => format!("{tens} et {}", SMALL[rest as usize]),
        _ => format!("{tens}-{}", SMALL[rest as usize]),
    }
}

/// A day of the years that [`Date`](super::Date) takes.
pub(super) fn date(year: u32, month: u32, day: u32) -> String {
    let month = MONTHS[month as usize - 1];
    let day = match day {
        1 => "premier".to_owned(),
        day => number(day),
    };
    format!("le {day} {month} {}", whole(year, ""))
}
