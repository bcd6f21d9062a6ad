//! Real sets, where `MAPSTO_DATA` names a folder that holds them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::path::PathBuf;

use mapsto_data::{
    Corpus, CorpusConfig, Dataset, Encoding, LabelledText, LabelledTextConfig, PairFilter,
    ParallelText, ParallelTextConfig, Picture, Split, Vocab, VocabConfig, describe, fit_digit,
    open, words,
};

fn folder(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("MAPSTO_DATA").map(|data| PathBuf::from(data).join(name));
    if folder.is_none() {
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: set MAPSTO_DATA to a folder with the sets that README.md names\n",
        );
    }
    folder
}

#[test]
fn mnist_has_its_counts_and_its_mean() {
    let Some(folder) = folder("mnist") else {
        return;
    };
    let train = open(&folder, Split::Train).unwrap();
    let expected = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949];
    assert_eq!(train.class_counts(), expected);
    let (mean, std) = train.mean_std();
    assert!((mean - 0.1307).abs() < 1e-4 && (std - 0.3081).abs() < 1e-4);
    let test = open(&folder, Split::Test).unwrap();
    let expected = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009];
    assert_eq!(test.class_counts(), expected);
    let info = describe(&folder).unwrap();
    assert_eq!(
        (info.name.as_str(), info.train, info.test),
        ("mnist", 60_000, 10_000)
    );
    assert_eq!(info.licence.as_deref(), Some("CC BY-SA 3.0"));
    let labels = &info.files[1];
    assert_eq!((labels.bytes, &labels.sha256[..8]), (28_881, "3552534a"));
}

#[test]
fn fashion_mnist_is_recognised() {
    let Some(folder) = folder("fashion-mnist") else {
        return;
    };
    let train = open(&folder, Split::Train).unwrap();
    assert_eq!(train.class_counts(), [6000; 10]);
    assert_eq!(train.class_names()[0], "T-shirt/top");
    assert!((train.mean_std().0 - 0.2860).abs() < 1e-4);
    assert_eq!(
        open(&folder, Split::Test).unwrap().class_counts(),
        [1000; 10]
    );
    let info = describe(&folder).unwrap();
    assert_eq!(
        (info.name.as_str(), info.licence.as_deref()),
        ("fashion-mnist", Some("MIT"))
    );
}

#[test]
fn an_mnist_picture_comes_back_as_it_is_and_an_inverted_one_nearly() {
    let Some(folder) = folder("mnist") else {
        return;
    };
    let test = open(&folder, Split::Test).unwrap();
    let mut errors = Vec::new();
    for index in 0..test.len() {
        let picture = test.picture(index).unwrap();
        assert_eq!(
            fit_digit(&picture, 28, 28).unwrap(),
            picture.pixels(),
            "{index}"
        );
        // The way of a free picture leads back to about the same place.
        let inverted = picture.pixels().iter().map(|v| 1.0 - v).collect();
        let fitted = fit_digit(&Picture::new(inverted, 28, 28).unwrap(), 28, 28).unwrap();
        let off = fitted
            .iter()
            .zip(picture.pixels())
            .map(|(a, b)| (a - b).abs());
        errors.push(off.sum::<f32>() / picture.pixels().iter().sum::<f32>());
    }
    errors.sort_unstable_by(f32::total_cmp);
    // Haze takes off a little of the faintest ink, 2 % for the typical picture; a centre that is
    // off by one pixel costs 50 %.
    let (median, high) = (errors[errors.len() / 2], errors[errors.len() * 9 / 10]);
    assert!(median < 0.03 && high < 0.05, "{median} {high}");
}

#[test]
fn the_penn_treebank_has_its_counts() {
    let Some(folder) = folder("ptb") else {
        return;
    };
    let corpus = Corpus::open(folder, &CorpusConfig::default()).unwrap();
    let (valid, test) = (corpus.valid().unwrap(), corpus.test().unwrap());
    let sections = [corpus.train(), valid, test].map(|section| section.info());
    assert_eq!(sections.map(|info| info.tokens), [929_589, 73_760, 82_430]);
    assert_eq!(sections.map(|info| info.lines), [42_068, 3_370, 3_761]);
    let vocab = Vocab::build(corpus.train().tokens(), &VocabConfig::default()).unwrap();
    assert_eq!(vocab.len(), 10_000);
    assert_eq!(vocab.tokens()[..3], ["the", "<unk>", "<eos>"]);
    // Every word of the other parts is known, so no unknown token is needed.
    for section in [valid, test] {
        let ids = vocab.encode(section.tokens()).unwrap();
        assert!(section.tokens().eq(vocab.decode(&ids).unwrap()));
    }
    assert_eq!(corpus.info().files[0].sha256[..8], *"c4c6455d");
}

#[test]
fn rt_polarity_has_its_counts() {
    let Some(folder) = folder("rt-polarity") else {
        return;
    };
    let config = LabelledTextConfig {
        encoding: Encoding::Windows1252,
        ..LabelledTextConfig::default()
    };
    let set = LabelledText::open(&folder, &config).unwrap();
    assert_eq!(set.classes(), ["negative", "positive"]);
    let count = |label| set.train().labels().iter().filter(|&&l| l == label).count();
    assert_eq!([count(0), count(1)], [5331, 5331]);
    let all = set.train().texts().join(" ");
    assert!(all.contains("cliché") && !all.contains('\u{fffd}') && !all.contains('\u{97}'));
    let folds = set.folds(10, 1).unwrap();
    assert!(
        folds
            .iter()
            .all(|fold| (1066..=1067).contains(&fold.test.len()))
    );
    // The published preparation of Kim counts 18,765 words without the signs that he drops.
    let mut known: Vec<String> = set.train().texts().iter().flat_map(|t| words(t)).collect();
    known.sort_unstable();
    known.dedup();
    assert!((18_000..20_000).contains(&known.len()), "{}", known.len());
    let error = LabelledText::open(&folder, &LabelledTextConfig::default()).unwrap_err();
    assert!(error.to_string().contains("is not UTF-8"), "{error}");
}

#[test]
fn multi30k_has_its_counts() {
    let Some(folder) = folder("multi30k") else {
        return;
    };
    let config = ParallelTextConfig {
        source_language: Some("de".to_owned()),
        target_language: Some("en".to_owned()),
        ..ParallelTextConfig::default()
    };
    let mut set = ParallelText::open(&folder, &config).unwrap();
    let info = set.info().clone();
    assert_eq!(
        (info.train, info.valid, info.test),
        (29_000, Some(1014), Some(1000))
    );
    assert_eq!(
        (info.skipped, info.files[4].name.as_str()),
        (0, "test_2016_flickr.de.gz")
    );
    assert_eq!(info.files[0].sha256[..8], *"726e39b2");
    // Sides that were shifted against each other would not have lengths that go together.
    let lengths = set
        .train()
        .0
        .iter()
        .map(|(de, en)| (words(de).len(), words(en).len()));
    let near = lengths.filter(|(de, en)| de.abs_diff(*en) <= 4).count();
    assert!(near > 26_000, "{near}");
    let dropped = set.clean(&PairFilter::default()).unwrap();
    assert!(dropped.total() < 100, "{dropped:?}");
    assert_eq!(set.info().test, Some(1000));
    let other = ParallelTextConfig {
        test: Some("test_2017_mscoco".to_owned()),
        ..config
    };
    let set = ParallelText::open(&folder, &other).unwrap();
    assert_eq!(set.info().test, Some(461));
}
