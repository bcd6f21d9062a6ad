//! Pairs on their way to batches: written, filtered, cut into pieces of words and filled up.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use mapsto_data::numbers::{self, Kind, Language};
use mapsto_data::{
    DataLoader, Dataset, Dropped, PairCollate, PairFilter, ParallelText, ParallelTextConfig, Part,
    Samples, Tokenizer, TokenizerConfig,
};

/// The same pairs as train and as test part.
fn set(pairs: &str) -> ParallelText {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train.tsv", "test.tsv"] {
        std::fs::write(folder.path().join(part), pairs).unwrap();
    }
    ParallelText::open(folder.path(), &ParallelTextConfig::default()).unwrap()
}

fn sources(set: &ParallelText) -> Vec<&str> {
    set.train().0.iter().map(|pair| pair.0.as_str()).collect()
}

#[test]
fn pairs_are_dropped_for_their_reason() {
    let pairs = "one two\tun deux\n?\t!\none two three four\tun\n1 2 3 4 5 6\t1 2 3 4 5 6\none \
                 two\tun deux\none two\tdeux\none\t一二三\n";
    let mut set = set(pairs);
    let before = set.info().clone();
    let filter = PairFilter {
        max_len: 5,
        max_ratio: 3.0,
        ..PairFilter::default()
    };
    let dropped = set.clean(&filter).unwrap();
    let expected = Dropped {
        short: 1,
        long: 1,
        ratio: 1,
        duplicates: 1,
    };
    assert_eq!((dropped, dropped.total()), (expected, 4));
    // Other translations of a known sentence stay, and Chinese characters are words.
    assert_eq!(sources(&set), ["one two", "one two", "one"]);
    assert_eq!((set.info().train, set.info().test), (3, Some(7)));
    assert_eq!((before.train, set.test().unwrap().len()), (7, 7));
    assert_ne!(before.sha256, set.info().sha256);
    assert_eq!(set.clean(&filter).unwrap(), Dropped::default());
}

#[test]
fn limits_are_inclusive() {
    let text = "a b\tc d e f\n";
    let keeps = |min_len, max_len, max_ratio| {
        let filter = PairFilter {
            min_len,
            max_len,
            max_ratio,
            ..PairFilter::default()
        };
        set(text).clean(&filter).is_ok()
    };
    assert!(keeps(2, 4, 2.0));
    assert!(!keeps(3, 4, 2.0) && !keeps(2, 3, 2.0) && !keeps(2, 4, 1.9));
    let keep = PairFilter {
        drop_duplicates: false,
        ..PairFilter::default()
    };
    let mut twice = set(&text.repeat(2));
    assert_eq!(twice.clean(&keep).unwrap().total(), 0);
    assert_eq!(twice.clean(&PairFilter::default()).unwrap().duplicates, 1);
}

#[test]
fn all_parts_are_normalised() {
    let mut texts = set("Ａ ﬁsh\tÀ Été\nA fish\tÀ Été\n");
    let raw = PairFilter {
        nfkc: false,
        ..PairFilter::default()
    };
    assert_eq!(texts.clean(&raw).unwrap().total(), 0);
    assert_eq!(sources(&texts)[0], "Ａ ﬁsh");
    // Duplicates are found in the form that is trained on.
    let dropped = texts.clean(&PairFilter::default()).unwrap();
    assert_eq!(dropped.duplicates, 1);
    let fish = ("A fish".to_owned(), "À Été".to_owned());
    assert_eq!(texts.train().0, std::slice::from_ref(&fish));
    assert_eq!(texts.test().unwrap().0, [fish.clone(), fish]);
    let small = PairFilter {
        lowercase: true,
        ..PairFilter::default()
    };
    texts.clean(&small).unwrap();
    let small = ("a fish".to_owned(), "à été".to_owned());
    assert_eq!(texts.test().unwrap().0[1], small);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let filter = |min_len, max_ratio| PairFilter {
        min_len,
        max_ratio,
        max_len: 60,
        ..PairFilter::default()
    };
    for (filter, expected) in [
        (filter(61, 9.0), "min_len is 61 and max_len 60"),
        (filter(1, 0.5), "max_ratio is 0.5"),
        (filter(1, f64::NAN), "max_ratio is NaN"),
        (filter(50, 9.0), "leaves no pair to learn from"),
    ] {
        let mut texts = set("a b\tc\n");
        let error = texts.clean(&filter).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(texts.train().len(), 1);
    }
    assert!(serde_json::from_str::<PairFilter>("{\"ratio\": 2}").is_err());
}

#[test]
fn the_standard_filter_keeps_numbers_of_every_language() {
    for language in Language::ALL {
        let mut set = ParallelText::numbers(language, Kind::Both, 5000, 0, 0, 1).unwrap();
        let dropped = set.clean(&PairFilter::default()).unwrap();
        assert_eq!(dropped.total(), dropped.duplicates, "{language}");
    }
}

#[test]
fn numbers_are_a_set_without_a_file() {
    let set = ParallelText::numbers(Language::German, Kind::Both, 300, 20, 50, 3).unwrap();
    let written = |part, samples| -> Vec<(String, String)> {
        let pairs = numbers::pairs(part, Language::German, Kind::Both, samples, 3);
        pairs.unwrap().collect()
    };
    assert_eq!(set.train().0, written(Part::Train, 300));
    assert_eq!(set.valid().unwrap().0, written(Part::Valid, 20));
    assert_eq!(set.test().unwrap().0, written(Part::Test, 50));
    let info = set.info();
    assert_eq!((info.name.as_str(), info.seed), ("numbers", Some(3)));
    assert_eq!(
        (info.train, info.valid, info.test),
        (300, Some(20), Some(50))
    );
    assert_eq!(info.target_language.as_deref(), Some("german"));
    let other = ParallelText::numbers(Language::German, Kind::Both, 300, 0, 50, 3).unwrap();
    assert!(other.valid().is_none() && other.info().sha256 != info.sha256);
    let none = ParallelText::numbers(Language::German, Kind::Both, 0, 1, 1, 3);
    let error = none.unwrap_err().to_string();
    assert!(error.contains("train part has 0 pairs"), "{error}");
}

#[test]
fn pairs_become_batches_and_come_back() {
    let set = ParallelText::numbers(Language::French, Kind::Numbers, 200, 0, 0, 1).unwrap();
    let pairs = &set.train().0;
    let texts = pairs.iter().flat_map(|(source, target)| [source, target]);
    let config = TokenizerConfig {
        vocab_size: 400,
        ..TokenizerConfig::default()
    };
    let tokenizer = Tokenizer::train(texts, &config).unwrap();
    let encode = |text: &String| tokenizer.encode(text).unwrap();
    let samples = pairs.iter().map(|(s, t)| (encode(s), encode(t))).collect();
    let collate = PairCollate::new(Tokenizer::PAD, Tokenizer::BOS, Tokenizer::EOS);
    let loader = DataLoader::new(Samples(samples), collate)
        .batch_size(64)
        .unwrap();
    let mut read = Vec::new();
    for batch in loader.epoch(0) {
        let batch = batch.unwrap();
        let sources = batch.source.to_vec2::<u32>().unwrap();
        let targets = batch.target.to_vec2::<u32>().unwrap();
        for (number, (source, target)) in sources.iter().zip(&targets).enumerate() {
            let source = &source[..batch.source_lengths[number]];
            let target = &target[..batch.target_lengths[number]];
            let ends = (target.first(), target.last());
            assert_eq!(ends, (Some(&Tokenizer::BOS), Some(&Tokenizer::EOS)));
            let [source, target] = [source, target].map(|ids| tokenizer.decode(ids).unwrap());
            read.push((source, target));
        }
    }
    assert_eq!(read, *pairs);
}
