//! A small language whose entropy is known exactly: text to learn from without a download, and
//! the best perplexity that any model can reach on it.
//!
//! The language is a Markov chain over the states of a sentence (`the` leads to a noun, a noun
//! to its verb). In each state a word determines the next state, and `<eos>` leads back to the
//! start, so whoever has read the sentence so far knows the state, and the surprise of the next
//! word is that of the state's own words. With `v(s)` the mean number of visits of state `s` in a
//! sentence and `p(w | s)` the words' probabilities, the entropy rate per token is
//!
//! ```text
//! H = sum over s of  v(s) H(s) / sum over s of v(s),     H(s) = - sum over w of p(w|s) ln p(w|s),
//! v = e_start + v Q,     Q(s, t) = sum of p(w|s) over the words w that lead from s to t,
//! ```
//!
//! where `<eos>` is one of the words and does not count in `Q`. Per character the same nats are
//! shared by the mean number of characters: those of each word, and the white space after it. The
//! verb agrees with a subject that may stand several words before it, so a model needs memory to
//! come near `H`.
//!
//! ```
//! use mapsto_data::{Part, Unit, grammar};
//! let text = grammar::text(Part::Valid, 100, 42)?;
//! assert_eq!(text.lines().count(), 100);
//! let nats = grammar::surprise(&text)?; // of the perfect model, on this text
//! let exact = grammar::entropy_rate(Unit::Word);
//! assert!((nats - exact).abs() < 0.2);
//! assert!((grammar::perplexity(Unit::Word) - exact.exp()).abs() < 1e-12);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

mod rules;

use std::sync::LazyLock;

use mapsto_tensor::rng::{Generator, Stream};

use crate::order;
use crate::{Error, Part, Result, Unit};
use rules::{END, RULES};

/// Where the sentences of the parts begin: longer parts are refused, so they share no number.
const FIRST: [u64; 3] = [0, 1_000_000_000_000, 2_000_000_000_000];

/// A word that may come next.
struct Edge {
    /// Nothing ends the sentence.
    word: Option<&'static str>,
    probability: f64,
    /// The number of the next state.
    to: usize,
}

/// The states in the order in which the rules name them; the first starts a sentence.
static STATES: LazyLock<Vec<Vec<Edge>>> = LazyLock::new(states);

/// Writes the first `sentences` sentences of a part, one a line.
///
/// A sentence depends on (part, its number, `seed`) only; more of them add to the same text.
///
/// # Errors
///
/// Where `sentences` is above 1,000,000,000,000.
pub fn text(part: Part, sentences: usize, seed: u64) -> Result<String> {
    let limit = FIRST[1];
    if sentences as u64 > limit {
        return Err(Error::Config(format!(
            "{sentences} sentences cannot be written: give {limit} or less"
        )));
    }
    let first = match part {
        Part::Train => FIRST[0],
        Part::Valid => FIRST[1],
        Part::Test => FIRST[2],
    };
    let mut text = String::new();
    for number in first..first + sentences as u64 {
        text.push_str(&sentence(seed, number));
        text.push('\n');
    }
    Ok(text)
}

/// Writes sentence `number` of the endless sequence that belongs to `seed`.
pub fn sentence(seed: u64, number: u64) -> String {
    let mut rng = Generator::keyed(seed, &[number]);
    let mut words = Vec::new();
    let mut state = 0;
    while let Some(edge) = draw(&STATES[state], &mut rng) {
        let Some(word) = edge.word else { break };
        words.push(word);
        state = edge.to;
    }
    words.join(" ")
}

/// Mean surprise of the perfect model at a word, `<eos>` included, or at a character, white space
/// included; in nats.
pub fn entropy_rate(unit: Unit) -> f64 {
    let visits = visits();
    let sum = |of_edge: &dyn Fn(&Edge) -> f64| -> f64 {
        let pairs = visits.iter().zip(STATES.iter());
        let edges = pairs.flat_map(|(v, edges)| edges.iter().map(move |edge| (v, edge)));
        edges
            .map(|(v, edge)| v * edge.probability * of_edge(edge))
            .sum()
    };
    let units = match unit {
        Unit::Word => sum(&|_| 1.0),
        Unit::Char => sum(&|edge| {
            edge.word
                .map_or(0.0, |word| word.chars().count() as f64 + 1.0)
        }),
    };
    sum(&|edge| -edge.probability.ln()) / units
}

/// The perplexity of the perfect model: `exp` of [`entropy_rate`].
pub fn perplexity(unit: Unit) -> f64 {
    entropy_rate(unit).exp()
}

/// Mean surprise of the perfect model at the tokens of a text of one sentence a line, in nats.
///
/// On a finite text it differs from [`entropy_rate`] by chance; a model's loss is best compared
/// with the surprise on the same text.
///
/// # Errors
///
/// Where the text is empty, or the grammar cannot have written a line of it.
pub fn surprise(text: &str) -> Result<f64> {
    let (mut nats, mut tokens) = (0.0, 0);
    for (number, line) in text.lines().enumerate() {
        let mut state = 0;
        for word in line.split_whitespace().map(Some).chain([None]) {
            let Some(edge) = STATES[state].iter().find(|edge| edge.word == word) else {
                let word = word.unwrap_or("<eos>");
                return Err(Error::Config(format!(
                    "line {}: the grammar has no `{word}` here: give a text that it wrote",
                    number + 1
                )));
            };
            nats -= edge.probability.ln();
            tokens += 1;
            state = edge.to;
        }
    }
    if tokens == 0 {
        return Err(Error::Config(
            "the text is empty: give a sentence or more".to_owned(),
        ));
    }
    Ok(nats / f64::from(tokens))
}

/// Mean visits of each state in a sentence: `v` of the file's head, as the sum of the chances to
/// be there after 0, 1, 2, .. words.
fn visits() -> Vec<f64> {
    let mut visits = vec![0.0; STATES.len()];
    let mut now = vec![0.0; STATES.len()];
    if let Some(start) = now.first_mut() {
        *start = 1.0;
    }
    // What is left of a sentence falls by a constant factor, so the rest is below rounding.
    while now.iter().sum::<f64>() > 1e-18 {
        let mut next = vec![0.0; STATES.len()];
        for (state, chance) in now.iter().enumerate() {
            visits[state] += chance;
            for edge in STATES[state].iter().filter(|edge| edge.word.is_some()) {
                next[edge.to] += chance * edge.probability;
            }
        }
        now = next;
    }
    visits
}

fn draw(edges: &'static [Edge], rng: &mut Stream) -> Option<&'static Edge> {
    let mut left = order::unit(rng);
    let chosen = edges.iter().find(|edge| {
        left -= edge.probability;
        left < 0.0
    });
    // Probabilities may add up to a little less than one.
    chosen.or(edges.last())
}

/// Makes the chain of the rules: the words of a rule share its weight as 1 : 1/2 : 1/3 and so on.
fn states() -> Vec<Vec<Edge>> {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.0).collect();
    names.dedup();
    let number = |name: &str| names.iter().position(|&n| n == name).unwrap_or(0);
    let edges = |name: &&str| {
        let rules = RULES.iter().filter(|rule| rule.0 == *name);
        let total: f64 = rules.clone().map(|rule| rule.1).sum();
        let of_rule = |&(_, weight, words, to): &(&str, f64, &'static str, &str)| {
            let share = |rank: usize| 1.0 / (rank + 1) as f64;
            let shares: f64 = (0..words.split(' ').count()).map(share).sum();
            let words = words.split(' ').enumerate();
            let edge = move |(rank, word)| Edge {
                word: (word != END).then_some(word),
                probability: weight / total * share(rank) / shares,
                to: number(to),
            };
            words.map(edge).collect::<Vec<_>>()
        };
        rules.flat_map(of_rule).collect()
    };
    names.iter().map(edges).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn the_rules_make_a_chain_whose_states_the_words_tell() {
        let names: BTreeSet<&str> = RULES.iter().map(|rule| rule.0).collect();
        assert_eq!(
            STATES.len(),
            names.len(),
            "the rules of a state stand together"
        );
        for (from, _, words, to) in RULES {
            assert!(
                names.contains(to),
                "{from} leads to {to}, which is no state"
            );
            assert!(*words != END || *to == RULES[0].0, "{from}");
        }
        for edges in STATES.iter() {
            let words: BTreeSet<_> = edges.iter().map(|edge| edge.word).collect();
            assert_eq!(words.len(), edges.len(), "a word comes twice");
            let total: f64 = edges.iter().map(|edge| edge.probability).sum();
            assert!((total - 1.0).abs() < 1e-12);
        }
        assert!(
            visits().iter().all(|&v| v > 1e-3),
            "a state is hardly reached"
        );
    }

    /// Entropy and length of the rest of a sentence, state by state from the end backwards:
    /// h(s) = H(s) + sum of p h(t). No visits are counted, unlike in `entropy_rate`.
    #[test]
    fn the_entropy_is_that_of_a_sentence_over_its_length() {
        let mut rest = vec![(0.0, 0.0); STATES.len()];
        for _ in 0..5000 {
            let step = |edges: &Vec<Edge>| {
                edges.iter().fold((0.0, 1.0), |(h, l), edge| {
                    let p = edge.probability;
                    let (then_h, then_l) = match edge.word {
                        Some(_) => rest[edge.to],
                        None => (0.0, 0.0),
                    };
                    (h + p * (then_h - p.ln()), l + p * then_l)
                })
            };
            rest = STATES.iter().map(step).collect();
        }
        let (nats, tokens) = rest[0];
        assert!((nats / tokens - entropy_rate(Unit::Word)).abs() < 1e-10);
        assert!((5.0..20.0).contains(&tokens), "{tokens} tokens a sentence");
    }

    #[test]
    fn a_million_tokens_have_the_entropy() {
        let text = text(Part::Train, 140_000, 5).unwrap();
        let tokens = text.split_whitespace().count() + 140_000;
        assert!(tokens > 1_000_000, "{tokens}");
        let (nats, exact) = (surprise(&text).unwrap(), entropy_rate(Unit::Word));
        assert!((nats / exact - 1.0).abs() < 0.005, "{nats} {exact}");
        let (all, chars) = (nats * tokens as f64, text.chars().count() as f64);
        assert!((all / chars / entropy_rate(Unit::Char) - 1.0).abs() < 0.005);
        // The words' frequencies alone, and those after one word, are worse by far: memory pays.
        let (mut single, mut pairs) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            let mut last = "";
            for word in line.split(' ').chain([""]) {
                *single.entry(last).or_insert(0.0_f64) += 1.0;
                *pairs.entry((last, word)).or_insert(0.0_f64) += 1.0;
                last = word;
            }
        }
        let bigram = |(&(last, _), &n): (&(&str, &str), &f64)| -n * (n / single[last]).ln();
        let bigram = pairs.iter().map(bigram).sum::<f64>() / tokens as f64;
        assert!(bigram > 1.05 * exact, "{bigram} {exact}");
    }

    #[test]
    fn text_depends_on_part_number_and_seed() {
        let write = |part, n, seed| text(part, n, seed).unwrap();
        let train = write(Part::Train, 50, 1);
        assert_eq!(train, write(Part::Train, 50, 1));
        assert!(write(Part::Train, 60, 1).starts_with(&train));
        assert_ne!(train, write(Part::Train, 50, 2));
        assert_ne!(train, write(Part::Valid, 50, 1));
        assert_ne!(write(Part::Test, 50, 1), write(Part::Valid, 50, 1));
        assert!(text(Part::Test, usize::MAX, 1).is_err());
    }

    #[test]
    fn what_the_grammar_cannot_say_is_named() {
        assert!(surprise("the old dog sleeps\nthe dogs sleep\n").is_ok());
        for (text, word) in [
            ("the dog sleep", "`sleep`"),
            ("the dogs that see a cat sleeps", "`sleeps`"),
            ("the dogs", "`<eos>`"),
            ("the dog sleeps\nxyzzy", "line 2"),
            ("", "empty"),
        ] {
            let error = surprise(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
