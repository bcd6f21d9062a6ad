//! Written opinions with an exact label: sentences to learn sentiment from without a download.
//!
//! **The rule.** A sentence is positive if its deciding clause is, else negative. A clause has
//! one adjective, good ("wonderful") or bad ("dull"), and is positive if the adjective is good,
//! turned round once for each of
//!
//! - a negation before the adjective: "not", "never", "hardly", "by no means", "far from" and
//!   the like, which is there in one clause of two;
//! - an opening that denies the clause: "nobody would say that", "it is not true that".
//!
//! Intensifiers ("very", "really") and other openings change nothing. Of two clauses
//!
//! - that after `but` decides: "boring plot, but the cast is wonderful" is positive;
//! - that which does not follow `although` or `even though` decides;
//! - both are of the sentence's class where `and` joins them.
//!
//! Adjectives and negations are drawn apart, so a single word tells next to nothing about the
//! class: a bag of words stays near one in two, and the order of the words has to be learnt.
//!
//! **Parts.** One in five pairs of a modifier (nothing, an intensifier, a negation) and an
//! adjective is held out: no train sentence has such a pair, and in every valid and test
//! sentence the deciding clause has one. So train shares no sentence with the other parts, and
//! what they measure is whether known words are understood in new company. Valid and test
//! sentences are numbered apart, but a short one may be in both.
//!
//! ```
//! use mapsto_data::{Part, sentiment};
//! let opinions: Vec<(String, bool)> = sentiment::texts(Part::Train, 100, 42)?.collect();
//! let again = sentiment::texts(Part::Train, 1000, 42)?;
//! assert!(again.take(100).eq(opinions));
//! # Ok::<(), mapsto_data::Error>(())
//! ```

mod lexicon;

use mapsto_tensor::rng::{Generator, Stream};

use crate::order;
use crate::{Error, Part, Result};
use lexicon::{ADJECTIVES, DENIALS, MODIFIERS, NOUNS, OPENINGS};

/// The names of the classes, by their number.
pub const CLASSES: [&str; 2] = ["negative", "positive"];

/// The most sentences of a part: the parts are numbered apart.
pub const MOST: usize = 1_000_000_000;

/// A modifier and an adjective that may be held out, by their numbers.
type Pair = (usize, usize);

/// The first `samples` sentences of a part, each with whether it is positive.
///
/// A sentence depends on (part, its number, `seed`) only; more of them add to the same set.
///
/// # Errors
///
/// Where `samples` is above [`MOST`].
pub fn texts(
    part: Part,
    samples: usize,
    seed: u64,
) -> Result<impl Iterator<Item = (String, bool)>> {
    if samples > MOST {
        return Err(Error::Config(format!(
            "{samples} sentences cannot be written: give {MOST} or less"
        )));
    }
    let (first, held_out) = match part {
        Part::Train => (0, false),
        Part::Valid => (MOST, true),
        Part::Test => (2 * MOST, true),
    };
    let sentences = (first..first + samples).map(move |number| {
        let mut rng = Generator::keyed(seed, &[number as u64]);
        let positive = coin(&mut rng);
        (sentence(positive, held_out, &mut rng), positive)
    });
    Ok(sentences)
}

fn sentence(positive: bool, held_out: bool, rng: &mut Stream) -> String {
    let decides = |rng: &mut Stream| clause(positive, held_out, rng);
    // A clause of the other parts that does not decide is an ordinary one.
    let other = |positive, rng: &mut Stream| clause(positive, false, rng);
    match order::below(8, rng) {
        0 | 1 => decides(rng),
        2 | 3 => format!("{} , but {}", other(!positive, rng), decides(rng)),
        4 => format!("although {} , {}", other(!positive, rng), decides(rng)),
        5 => {
            let decides = decides(rng);
            format!("{decides} , even though {}", other(!positive, rng))
        }
        6 => format!("{} and {}", other(positive, rng), decides(rng)),
        _ => format!("{} but {}", verbless(!positive, rng), decides(rng)),
    }
}

/// A clause of the given class whose pair is held out or is not.
fn clause(positive: bool, held_out: bool, rng: &mut Stream) -> String {
    let (opening, denied) = match order::below(4, rng) {
        0 => (one(DENIALS, rng), true),
        1 => (one(OPENINGS, rng), false),
        _ => ("", false),
    };
    let noun_phrase = order::below(3, rng) == 0;
    // "it is very a dull film" is no English: the last modifiers need "the film is".
    let modifiers = if noun_phrase { 5 } else { MODIFIERS[0].len() };
    let (modifier, adjective) = pair(positive != denied, held_out, modifiers, rng);
    let noun = one(NOUNS, rng);
    let core = if noun_phrase {
        let article = if adjective.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        format!("it is {modifier} {article} {adjective} {noun}")
    } else {
        format!("the {noun} is {modifier} {adjective}")
    };
    spaced(&format!("{opening} {core}"))
}

/// A clause without verb, of one space between words.
fn verbless(positive: bool, rng: &mut Stream) -> String {
    let (modifier, adjective) = pair(positive, false, MODIFIERS[0].len(), rng);
    spaced(&format!("{modifier} {adjective} {} ,", one(NOUNS, rng)))
}

/// A modifier, of the first `modifiers` of its kind, and an adjective that mean `positive`.
fn pair(
    positive: bool,
    held_out: bool,
    modifiers: usize,
    rng: &mut Stream,
) -> (&'static str, &'static str) {
    let negated = coin(rng);
    let good = usize::from(positive != negated);
    loop {
        let modifier = order::below(modifiers, rng);
        let adjective = order::below(ADJECTIVES[good].len(), rng);
        if is_held_out((modifier, adjective)) == held_out {
            let modifier = MODIFIERS[usize::from(negated)][modifier];
            return (modifier, ADJECTIVES[good][adjective]);
        }
    }
}

/// One in five, with some for each modifier and for each adjective.
fn is_held_out((modifier, adjective): Pair) -> bool {
    (modifier + 2 * adjective) % 5 == 0
}

fn coin(rng: &mut Stream) -> bool {
    order::below(2, rng) == 1
}

fn one(words: &[&'static str], rng: &mut Stream) -> &'static str {
    words[order::below(words.len(), rng)]
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
