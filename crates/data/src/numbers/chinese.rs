//! Mandarin in simplified characters.

const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];

/// The places of four digits, the highest first.
const PLACES: [(u32, &str); 4] = [(1000, "千"), (100, "百"), (10, "十"), (1, "")];

/// A number below a million.
pub(super) fn number(n: u32) -> String {
    let (high, low) = (n / 10_000, n % 10_000);
    let mut text = String::new();
    if n == 0 {
        text.push(DIGITS[0]);
    }
    if high > 0 {
        four(high, &mut text);
        text.push('万');
    }
    four(low, &mut text);
    // In front, where nothing else is counted, ten is 十 and two thousands are 两千.
    if let Some(rest) = text.strip_prefix("一十") {
        return format!("十{rest}");
    }
    match text.strip_prefix('二') {
        Some(rest) if rest.starts_with(['千', '万']) => format!("两{rest}"),
        _ => text,
    }
}

/// Puts four digits behind `text`: one 零 for zeros between two other digits, none for those at
/// the end.
fn four(n: u32, text: &mut String) {
    let mut zeros = false;
    for (place, name) in PLACES {
        let digit = n / place % 10;
        if digit == 0 {
            zeros = true;
            continue;
        }
        if zeros && !text.is_empty() {
            text.push(DIGITS[0]);
        }
        zeros = false;
        text.push(DIGITS[digit as usize]);
        text.push_str(name);
    }
}

/// A day of the years that [`Date`](super::Date) takes.
pub(super) fn date(year: u32, month: u32, day: u32) -> String {
    let digits = [1000, 100, 10, 1].map(|place| match year / place % 10 {
        0 => '〇',
        digit => DIGITS[digit as usize],
    });
    let year: String = digits.iter().collect();
    format!("{year}年{}月{}日", number(month), number(day))
}
