//! The tokens of [`BleuTokenizer`].

use super::BleuTokenizer;

/// The tokens of a text.
pub(super) fn tokens(text: &str, kind: BleuTokenizer) -> Vec<String> {
    match kind {
        BleuTokenizer::V13a => split(&v13a(text)),
        BleuTokenizer::Char => {
            let characters = text.chars().filter(|c| !c.is_whitespace());
            characters.map(String::from).collect()
        }
        BleuTokenizer::None => split(text),
    }
}

fn split(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `text` with spaces where `mteval-v13a` cuts it: four rules, one after the other.
fn v13a(text: &str) -> String {
    let plain = text.replace("<skipped>", "").replace("-\n", "");
    let plain = plain.replace("&quot;", "\"").replace("&amp;", "&");
    let plain = plain.replace("&lt;", "<").replace("&gt;", ">");
    let mut spaced = String::from(" ");
    for c in plain.chars() {
        if is_sign(c) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    spaced.push(' ');
    let stop = |c: char| c == '.' || c == ',';
    let digit = |c: char| c.is_ascii_digit();
    // A stop is cut off unless a digit is before it, and then unless one follows; a dash is after
    // a digit.
    let spaced = pairwise(&spaced, |a, b| {
        (!digit(a) && stop(b)).then_some([a, ' ', b, ' '])
    });
    let spaced = pairwise(&spaced, |a, b| {
        (stop(a) && !digit(b)).then_some([' ', a, ' ', b])
    });
    pairwise(&spaced, |a, b| {
        (digit(a) && b == '-').then_some([a, ' ', b, ' '])
    })
}

/// The signs of ASCII but for `'`, `,`, `-` and `.`.
fn is_sign(c: char) -> bool {
    c.is_ascii_punctuation() && !"',-.".contains(c)
}

/// Replaces pairs of characters that do not overlap, from the left.
fn pairwise(text: &str, replace: impl Fn(char, char) -> Option<[char; 4]>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(a) = rest.next() {
        match rest.peek().and_then(|&b| replace(a, b)) {
            Some(replaced) => {
                out.extend(replaced);
                rest.next();
            }
            None => out.push(a),
        }
    }
    out
}
