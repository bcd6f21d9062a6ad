//! [`words`]: cuts a sentence into the words and signs that a classifier of texts reads.
//!
//! Letters become small; each sign becomes a token of its own; and the clitics `n't`, `'s`,
//! `'re`, `'ve`, `'ll`, `'d` and `'m` are split from their words, since it is `n't` that turns
//! "isn't good" round. Typographic apostrophes count as plain ones. A word is a run of letters
//! and digits of any script with the marks on them; other apostrophes and hyphens inside a word
//! stay there.
//!
//! **Differences from Kim's `clean_str`:** signs other than `, ! ? ( )` are kept as tokens, where
//! he drops them, and letters that are not English are kept, where he puts spaces.
//!
//! ```
//! use mapsto_data::words;
//! assert_eq!(words("It isn't Amélie's best..."), [
//!     "it", "is", "n't", "amélie", "'s", "best", ".", ".", ".",
//! ]);
//! ```
//!
//! **Reference:** Kim, "Convolutional Neural Networks for Sentence Classification", 2014,
//! arXiv:1408.5882, and its published preparation of the data.

use unicode_segmentation::UnicodeSegmentation;

const CLITICS: [&str; 6] = ["'s", "'re", "'ve", "'ll", "'d", "'m"];

/// The tokens of a sentence; none for a text of white space.
#[doc(alias = "tokenize")]
pub fn words(text: &str) -> Vec<String> {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    // A mark belongs to its letter, and the pieces of an emoji to each other.
    let signs: Vec<&str> = text.graphemes(true).collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < signs.len() {
        let mut end = word_end(&signs, at);
        // `'s` with no word before it, as in texts that were cut before.
        if signs[at] == "'" {
            let clitic = word_end(&signs, at + 1);
            if CLITICS.contains(&&*signs[at..clitic].concat()) {
                end = clitic;
            }
        }
        if end == at {
            if !signs[at].trim().is_empty() {
                tokens.push(signs[at].to_owned());
            }
            at += 1;
        } else {
            split_clitic(&signs[at..end].concat(), &mut tokens);
            at = end;
        }
    }
    tokens
}

/// Where the word that begins at `at` ends; `at` if none does.
fn word_end(signs: &[&str], at: usize) -> usize {
    let is_letter = |at: usize| {
        let sign = signs.get(at).and_then(|sign| sign.chars().next());
        sign.is_some_and(char::is_alphanumeric)
    };
    let mut end = at;
    loop {
        let joined = end > at && matches!(signs.get(end), Some(&("'" | "-")));
        match (is_letter(end), joined && is_letter(end + 1)) {
            (true, _) => end += 1,
            (_, true) => end += 2,
            _ => return end,
        }
    }
}

fn split_clitic(word: &str, tokens: &mut Vec<String>) {
    let clitics = ["n't"].into_iter().chain(CLITICS);
    let mut stems = clitics.filter_map(|clitic| Some((word.strip_suffix(clitic)?, clitic)));
    match stems.next() {
        Some((stem, clitic)) if !stem.is_empty() => {
            split_clitic(stem, tokens);
            tokens.push(clitic.to_owned());
        }
        _ => tokens.push(word.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clitics_are_words() {
        for (text, expected) in [
            ("Don't", "do n't"),
            ("she'd've can\u{2019}t", "she 'd 've ca n't"),
            ("it 's n't", "it 's n't"),
            (
                "we're I'm they'll James' o'clock",
                "we 're i 'm they 'll james ' o'clock",
            ),
            ("'tis the '90s", "' tis the ' 90s"),
        ] {
            assert_eq!(words(text).join(" "), expected);
        }
    }

    #[test]
    fn signs_are_tokens_of_any_script() {
        for (text, expected) in [
            ("Good(ish), no?!", "good ( ish ) , no ? !"),
            (
                "well-made -- \"fun\" - 7/10",
                "well-made - - \" fun \" - 7 / 10",
            ),
            (
                "ÉTÉ e\u{301}te\u{301}: Straße",
                "été e\u{301}te\u{301} : straße",
            ),
            ("好看。Очень!", "好看 。 очень !"),
            ("great 👍🏽👨‍👩‍👧", "great 👍🏽 👨‍👩‍👧"),
            (" \t\u{a0}\n", ""),
        ] {
            assert_eq!(words(text).join(" "), expected);
        }
    }
}
