//! BLEU: sacreBLEU's numbers, edges, errors.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_train::{BleuConfig, BleuTokenizer, corpus_bleu, sentence_bleu};
use serde_json::Value;

fn golden(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/metrics");
    let path = format!("{folder}/{name}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap()
}

fn assert_near(case: &str, actual: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (actual - expected).abs() <= 1e-12 + 1e-9 * expected.abs(),
        "{case}: {actual} instead of {expected}"
    );
}

/// The settings of a golden case, if they are among ours.
fn config(args: &Value) -> Option<BleuConfig> {
    let mut config = BleuConfig::default();
    for (name, value) in args.as_object().unwrap() {
        match (name.as_str(), value.as_str()) {
            ("lowercase", _) => config.lowercase = value.as_bool().unwrap(),
            ("tokenize", Some("char")) => config.tokenize = BleuTokenizer::Char,
            ("tokenize", Some("none")) => config.tokenize = BleuTokenizer::None,
            _ => return None,
        }
    }
    Some(config)
}

#[test]
fn corpora_score_as_in_sacrebleu() {
    assert_eq!(check_corpus(&golden("bleu_chrf")), 4);
}

/// What a translator of this project wrote for numbers and dates that it had not seen, after too
/// short a training, against what sacreBLEU 2.6.0 says of it.
#[test]
fn our_own_translations_score_as_in_sacrebleu() {
    for language in ["french", "chinese"] {
        assert_eq!(
            check_corpus(&golden(&format!("translations_{language}"))),
            3
        );
    }
}

/// Checks all scores with settings that we have, and says how many.
fn check_corpus(golden: &Value) -> usize {
    let hypotheses: Vec<String> = list(&golden["hypotheses"]);
    let references: Vec<String> = list(&golden["references"]);
    let mut cases = 0;
    for case in golden["cases"].as_array().unwrap() {
        let Some(config) = config(&case["args"]).filter(|_| case["metric"] == "BLEU") else {
            continue;
        };
        let bleu = corpus_bleu(&hypotheses, &references, &config).unwrap();
        let name = case["signature"].as_str().unwrap();
        assert_eq!(bleu.signature, name);
        assert_eq!(config.signature(), name);
        assert_near(name, bleu.score, &case["score"]);
        assert_near(name, bleu.brevity_penalty, &case["bp"]);
        for (n, precision) in bleu.precisions.iter().enumerate() {
            assert_near(name, *precision, &case["precisions"][n]);
        }
        assert_eq!(bleu.counts, list::<[usize; 4]>(&case["counts"]), "{name}");
        assert_eq!(bleu.totals, list::<[usize; 4]>(&case["totals"]), "{name}");
        assert_eq!(bleu.hypothesis_len, list::<usize>(&case["sys_len"]));
        assert_eq!(bleu.reference_len, list::<usize>(&case["ref_len"]));
        cases += 1;
    }
    cases
}

#[test]
fn sentences_score_as_in_sacrebleu() {
    let golden = golden("bleu_chrf");
    let hypotheses: Vec<String> = list(&golden["hypotheses"]);
    let references: Vec<String> = list(&golden["references"]);
    for (i, (hypothesis, reference)) in hypotheses.iter().zip(&references).enumerate() {
        let bleu = sentence_bleu(hypothesis, reference, &BleuConfig::default());
        let expected = &golden["sentence_scores"][i]["bleu"];
        assert_near(hypothesis, bleu.score, expected);
        assert_eq!(bleu.signature, golden["sentence_signature"]["bleu"]);
    }
}

/// As many tokens as sacreBLEU's cut form has words.
#[test]
fn text_is_cut_where_sacrebleu_cuts_it() {
    let golden = golden("bleu_chrf");
    let texts = ["references", "hypotheses"].map(|name| list::<Vec<String>>(&golden[name]));
    let none = BleuConfig {
        tokenize: BleuTokenizer::None,
        ..BleuConfig::default()
    };
    for (name, tokenize) in [("13a", BleuTokenizer::V13a), ("char", BleuTokenizer::Char)] {
        let cut: Vec<String> = list(&golden["tokenised"][name]);
        let config = BleuConfig { tokenize, ..none };
        for (text, cut) in texts.iter().flatten().zip(&cut) {
            let tokens = |config, text: &str| sentence_bleu(text, text, config).totals[0];
            assert_eq!(tokens(&config, text), tokens(&none, cut), "{text}");
        }
    }
}

#[test]
fn nothing_in_common_is_nothing() {
    let config = BleuConfig::default();
    let score = |h: &[&str], r: &[&str]| corpus_bleu(h, r, &config).unwrap().score;
    assert_eq!(score(&["a b c d"], &["e f g h"]), 0.0);
    assert_eq!(score(&[""], &["e f g h"]), 0.0);
    let whole = score(&["", "a b c d"], &["", "a b c d"]);
    assert!((whole - 100.0).abs() < 1e-9, "{whole}");
    // Too short for runs of four anywhere.
    assert_eq!(score(&["a b"], &["a b"]), 0.0);
    assert_eq!(
        sentence_bleu("a b", "a b", &config).score,
        100.00000000000004
    );
}

#[test]
fn a_translation_is_needed_for_each_reference() {
    for (hypotheses, references) in [(&["a"][..], &[][..]), (&[], &[]), (&["a"], &["a", "b"])] {
        let error = corpus_bleu::<&str, &str>(hypotheses, references, &BleuConfig::default());
        let error = error.unwrap_err().to_string();
        let counts = format!("{} translations for {}", hypotheses.len(), references.len());
        assert!(error.contains(&counts), "{error}");
    }
}
