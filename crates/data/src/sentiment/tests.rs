//! The labels are found again from the sentences alone, by the rule as the docs put it.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

/// Train, valid and test part of 5,000 sentences.
fn parts() -> [Vec<(String, bool)>; 3] {
    [Part::Train, Part::Valid, Part::Test].map(|part| texts(part, 5000, 7).unwrap().collect())
}

/// The clause that decides.
fn deciding(sentence: &str) -> &str {
    if let Some((_, clause)) = sentence.split_once(" , but ") {
        return clause;
    }
    if let Some(rest) = sentence.strip_prefix("although ") {
        return rest.split_once(" , ").unwrap().1;
    }
    if let Some((clause, _)) = sentence.split_once(" , even though ") {
        return clause;
    }
    sentence.rsplit(" and ").next().unwrap()
}

/// Whether the adjective is good, how often the meaning is turned, and modifier and adjective.
fn parse(clause: &str) -> (bool, usize, (String, String)) {
    let denied = DENIALS.iter().filter(|d| clause.starts_with(**d));
    let denied: Vec<_> = denied.collect();
    let rest = denied.iter().fold(clause, |rest, d| &rest[d.len()..]);
    let padded = format!(" {rest} ");
    let has = |words: &str| padded.contains(&format!(" {words} "));
    let of = |kind: usize| {
        ADJECTIVES[kind]
            .iter()
            .filter(|a| has(a))
            .collect::<Vec<_>>()
    };
    let (bad, good) = (of(0), of(1));
    assert_eq!(bad.len() + good.len(), 1, "{clause}");
    // The longest is the one that is meant: "not very" holds "not".
    let longest = |kind: usize| {
        MODIFIERS[kind]
            .iter()
            .filter(|m| has(m))
            .max_by_key(|m| m.len())
    };
    let turned = longest(1);
    let modifier = turned.or(longest(0)).unwrap_or(&"");
    let adjective = good.first().or(bad.first()).unwrap();
    let turns = denied.len() + usize::from(turned.is_some());
    let pair = ((*modifier).into(), (**adjective).into());
    (!good.is_empty(), turns, pair)
}

#[test]
fn labels_follow_the_rule() {
    let mut turns_seen = BTreeMap::<usize, usize>::new();
    for (text, positive) in parts().iter().flatten() {
        let (good, turns, _) = parse(deciding(text));
        *turns_seen.entry(turns).or_default() += 1;
        assert_eq!(good == (turns % 2 == 0), *positive, "{text}");
        let clauses = text.split(" and ").collect::<Vec<_>>();
        if let [first, _] = clauses[..] {
            let (good, turns, _) = parse(first);
            assert_eq!(good == (turns % 2 == 0), *positive, "{text}");
        }
        for contrast in [" , but ", " , even though "] {
            if let Some((one, two)) = text.split_once(contrast) {
                let means = |clause| {
                    let (good, turns, _) = parse(clause);
                    good == (turns % 2 == 0)
                };
                assert_ne!(means(one), means(two), "{text}");
            }
        }
    }
    assert_eq!(turns_seen.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn classes_are_balanced_and_single_words_tell_nothing() {
    let [train, _, test] = parts();
    for part in [&train, &test] {
        let positive = part.iter().filter(|sample| sample.1).count();
        assert!((2350..2650).contains(&positive), "{positive}");
    }
    let mut counts = BTreeMap::<&str, [f64; 2]>::new();
    for (text, positive) in &train {
        for word in text.split(' ') {
            counts.entry(word).or_insert([1.0, 1.0])[usize::from(*positive)] += 1.0;
        }
    }
    // Naive Bayes, the best use of single words: near one in two.
    let right = test.iter().filter(|(text, positive)| {
        let odds = text.split(' ').filter_map(|word| counts.get(word));
        let odds: f64 = odds.map(|[no, yes]| (yes / no).ln()).sum();
        (odds > 0.0) == *positive
    });
    let right = right.count();
    assert!((2250..2750).contains(&right), "{right} of 5000");
}

#[test]
fn parts_differ_by_their_pairs() {
    let [train, valid, test] = parts();
    let pairs = |part: &[(String, bool)]| -> BTreeSet<(String, String)> {
        part.iter()
            .map(|(text, _)| parse(deciding(text)).2)
            .collect()
    };
    let (known, new) = (pairs(&train), pairs(&test));
    assert!(known.is_disjoint(&new) && known.is_disjoint(&pairs(&valid)));
    // 2 kinds of 7 modifiers by 2 kinds of 15 adjectives, one in five held out.
    assert_eq!((known.len(), new.len()), (336, 84));
    let texts = |part: &[(String, bool)]| part.iter().map(|s| s.0.clone()).collect::<BTreeSet<_>>();
    assert!(texts(&train).is_disjoint(&texts(&test)));
    // A test sentence has no word that train lacks.
    let words = |part: &[(String, bool)]| -> BTreeSet<String> {
        let words = part.iter().flat_map(|s| s.0.split(' '));
        words.map(str::to_owned).collect()
    };
    assert_eq!(words(&train), words(&test));
}

#[test]
fn sentences_depend_on_seed_and_number_only() {
    let write = |seed, samples| -> Vec<_> { texts(Part::Test, samples, seed).unwrap().collect() };
    assert_eq!(write(1, 50), write(1, 80)[..50]);
    assert_ne!(write(1, 50), write(2, 50));
    assert!(texts(Part::Train, MOST + 1, 1).is_err());
}
