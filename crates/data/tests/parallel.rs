//! Parallel texts: every form is read, and what has no partner is named with its line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use mapsto_data::{
    Encoding, Error, Pairs, ParallelText, ParallelTextConfig, ParallelTextInfo, Samples,
};

fn standard() -> ParallelTextConfig {
    ParallelTextConfig::default()
}

fn languages(source: &str, target: &str) -> ParallelTextConfig {
    ParallelTextConfig {
        source_language: Some(source.to_owned()),
        target_language: Some(target.to_owned()),
        ..standard()
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

type Read = Result<ParallelText, Error>;

/// Reads a folder with these files.
fn folder(files: &[(&str, &[u8])], config: &ParallelTextConfig) -> Read {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    ParallelText::open(folder.path(), config)
}

/// Reads two files.
fn two(source: &[u8], target: &[u8], config: &ParallelTextConfig) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.en", "b.fr"].map(|name| folder.path().join(name));
    fs::write(&paths[0], source).unwrap();
    fs::write(&paths[1], target).unwrap();
    ParallelText::from_files(&paths[0], &paths[1], config)
}

/// Reads a table.
fn table(name: &str, text: &str, config: &ParallelTextConfig) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    ParallelText::open(&path, config)
}

fn says(read: Read, expected: &str) {
    let text = read.unwrap_err().to_string();
    assert!(text.contains(expected), "{text}");
}

fn pairs(expected: &[(&str, &str)]) -> Pairs {
    let pairs = expected.iter();
    Samples(
        pairs
            .map(|(s, t)| ((*s).to_owned(), (*t).to_owned()))
            .collect(),
    )
}

const TWO: [(&str, &str); 2] = [("a dog", "un chien"), ("the sun", "le soleil")];

#[test]
fn two_files_are_read_line_by_line() {
    let plain = two(b"a dog\nthe sun", b"un chien\nle soleil\n", &standard()).unwrap();
    assert_eq!(*plain.train(), pairs(&TWO));
    assert!(plain.valid().is_none() && plain.test().is_none());
    // Windows line ends, white space, and a pair of empty lines, one side packed.
    let packed = gzip("un chien \r\n\r\nle soleil\r\n");
    let set = two(b" a dog\n \nthe sun\n", &packed, &standard()).unwrap();
    assert_eq!(set.train(), plain.train());
    let info = set.info();
    assert_eq!(
        (info.name.as_str(), info.skipped, info.train),
        ("a.en and b.fr", 1, 2)
    );
    assert_eq!(info.files[1].name, "b.fr");
    assert_eq!(info.sha256, plain.info().sha256);
    assert_ne!(info.files[1].sha256, plain.info().files[1].sha256);
    let turned = two(b"un chien\nle soleil\n", b"a dog\nthe sun\n", &standard()).unwrap();
    assert_ne!(turned.info().sha256, plain.info().sha256);
    let latin = ParallelTextConfig {
        encoding: Encoding::Latin1,
        ..standard()
    };
    let set = two(b"summer\n", b"\xe9t\xe9\n", &latin).unwrap();
    assert_eq!(*set.train(), pairs(&[("summer", "été")]));
    assert_eq!(set.info().encoding, Encoding::Latin1);
}

#[test]
fn lines_without_partner_are_named() {
    let read = |source: &[u8], target: &[u8]| two(source, target, &standard());
    says(
        read(b"a\nb\nc\n", b"x\ny\n"),
        "a.en: line 3 has no partner: this file has 3 lines, `",
    );
    says(
        read(b"a\n", b"x\ny\n"),
        "b.fr: line 2 has no partner: this file has 2 lines, `",
    );
    says(read(b"a\n", b"x\ny\n"), "a.en` has 1: ");
    says(
        read(b"a\n\n", b"x\ny\n"),
        "a.en: line 2: the source is empty, but the target is not",
    );
    says(
        read(b"a\nb\n", b"x\n \n"),
        "b.fr: line 2: the target is empty",
    );
    says(read(b"a\nb\n", b"\n"), "b.fr: the file is empty");
    says(read(b"", b"x\n"), "a.en: the file is empty");
    says(
        read(b"a\nb\n", b"x\n\xe9\n"),
        "b.fr: byte 2 (line 2): 0xe9 is not UTF-8",
    );
    let gone = ParallelText::from_files("no/such.en", "no/such.fr", &standard());
    assert!(matches!(gone, Err(Error::NotFound { .. })));
}

#[test]
fn tables_are_read_by_name() {
    let named = ParallelTextConfig {
        source_column: Some("q".to_owned()),
        target_column: Some("a".to_owned()),
        ..standard()
    };
    for (name, text, config) in [
        (
            "a.csv",
            "id,en,fr\n1,a dog,un chien\n2,\"the sun\",le soleil\n",
            standard(),
        ),
        (
            "a.csv",
            "fr,en\nun chien,a dog\nle soleil,the sun\n",
            standard(),
        ),
        (
            "a.csv",
            "fr,en\na dog,un chien\nthe sun,le soleil\n",
            languages("fr", "en"),
        ),
        (
            "a.csv",
            "en,a,q\n1,un chien,a dog\n2,le soleil,the sun\n",
            named,
        ),
        (
            "a.tsv",
            "Target\tSource\nun chien\ta dog\nle soleil\tthe sun\n",
            standard(),
        ),
        ("a.tsv", "a dog\tun chien\nthe sun\tle soleil", standard()),
        (
            "a.jsonl",
            "{\"src\":\"a dog\",\"tgt\":\"un chien\"}\n\n{\"tgt\":\"le soleil\",\"src\":\"the sun\"}",
            standard(),
        ),
    ] {
        let set = table(name, text, &config).unwrap();
        assert_eq!(*set.train(), pairs(&TWO), "{text}");
        assert_eq!((set.info().name.as_str(), set.info().skipped), (name, 0));
    }
    let set = table("a.tsv", "\t\na \"dog\tun chien\n", &standard()).unwrap();
    assert_eq!(*set.train(), pairs(&[("a \"dog", "un chien")]));
    assert_eq!(set.info().skipped, 1);
}

#[test]
fn damaged_tables_are_refused() {
    let read = |name, text| table(name, text, &standard());
    says(
        read("a.csv", "x,y\na,b\n"),
        "no column of the usual names [\"source\", \"src\"",
    );
    says(
        read("a.csv", "x,y\na,b\n"),
        "[\"x\", \"y\"]: set source_column",
    );
    // One usual name tells that the line is one of names.
    says(
        read("a.tsv", "en\tpl\na\tb\n"),
        "set target_column (--target-language) to one of them",
    );
    says(
        read("a.tsv", "a\tb\tc\n"),
        "the columns are [\"a\", \"b\", \"c\"]",
    );
    says(
        read("a.tsv", "a\tb\nc\n"),
        "line 2: the number of fields is 1",
    );
    says(read("a.tsv", "a\tb\nc\t\n"), "line 2: the target is empty");
    says(read("a.csv", "en,fr\n"), "no pair to learn from");
    says(
        read("a.csv", "\n"),
        "the file is empty: give a sentence and its translation a line",
    );
    says(read("a.txt", "a\tb\n"), "none of .csv, .tsv, .jsonl");
    let named = ParallelTextConfig {
        source_column: Some("x".to_owned()),
        ..standard()
    };
    says(
        table("a.tsv", "a\tb\n", &named),
        "no column `x`: the columns are [\"a\", \"b\"]",
    );
    let same = languages("fr", "fr");
    says(
        table("a.csv", "fr,en\na,b\n", &same),
        "(--source-language) and target_column (--target-language) are the same",
    );
    let config = serde_json::from_str::<ParallelTextConfig>("{\"column\": 1}");
    assert!(config.unwrap_err().to_string().contains("unknown field"));
}

/// A folder in the form of Multi30k's.
fn multi() -> Vec<(&'static str, Vec<u8>)> {
    let plain = |text: &str| text.as_bytes().to_vec();
    vec![
        ("README.md", plain("x")),
        ("train.de.gz", gzip("ein Hund\ndie Sonne\n")),
        ("train.en", plain("a dog\nthe sun\n")),
        ("train.lc.norm.tok.de", plain("ein hund\n")),
        ("train.lc.norm.tok.en", plain("a dog\n")),
        ("val.de", plain("eins\n")),
        ("val.en", plain("one\n")),
        ("test_2016_flickr.de", plain("zwei\n")),
        ("test_2016_flickr.en", plain("two\n")),
        ("test_2017_flickr.de", plain("drei\n")),
        ("test_2017_flickr.en", plain("three\n")),
        ("train.fr", plain("un chien\nle soleil\n")),
    ]
}

fn without(name: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut files = multi();
    files.retain(|file| file.0 != name);
    files
}

fn open(files: &[(&'static str, Vec<u8>)], config: &ParallelTextConfig) -> Read {
    let files = files.iter();
    let files: Vec<(&str, &[u8])> = files.map(|(name, bytes)| (*name, &**bytes)).collect();
    folder(&files, config)
}

#[test]
fn a_folder_of_languages_is_read() {
    let set = open(&multi(), &languages("de", "en")).unwrap();
    assert_eq!(
        *set.train(),
        pairs(&[("ein Hund", "a dog"), ("die Sonne", "the sun")])
    );
    assert_eq!(*set.valid().unwrap(), pairs(&[("eins", "one")]));
    assert_eq!(*set.test().unwrap(), pairs(&[("zwei", "two")]));
    let info = set.info();
    let names: Vec<&str> = info.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names[..3], ["train.de.gz", "train.en", "val.de"]);
    assert_eq!(
        names[3..],
        ["val.en", "test_2016_flickr.de", "test_2016_flickr.en"]
    );
    assert_eq!((info.train, info.valid, info.test), (2, Some(1), Some(1)));
    assert_eq!(info.source_language.as_deref(), Some("de"));
    let json = serde_json::to_string(info).unwrap();
    assert_eq!(
        serde_json::from_str::<ParallelTextInfo>(&json).unwrap(),
        *info
    );

    let turned = open(&multi(), &languages("en", "de")).unwrap();
    assert_eq!(turned.train().0[0].0, "a dog");
    let variant = open(&multi(), &languages("lc.norm.tok.de", "lc.norm.tok.en")).unwrap();
    assert_eq!(*variant.train(), pairs(&[("ein hund", "a dog")]));
    assert!(variant.valid().is_none() && variant.test().is_none());
    let named = ParallelTextConfig {
        test: Some("test_2017_flickr".to_owned()),
        ..languages("de", "en")
    };
    let set = open(&multi(), &named).unwrap();
    assert_eq!(*set.test().unwrap(), pairs(&[("drei", "three")]));
}

#[test]
fn what_a_folder_lacks_is_named() {
    let read = |files: &[(&'static str, Vec<u8>)], source, target, expected| {
        says(open(files, &languages(source, target)), expected);
    };
    read(
        &multi(),
        "de",
        "fr",
        "no file `val.fr` or `val.fr.gz`. There are [\"val.de\", \"val.en\"]",
    );
    read(
        &without("train.en"),
        "de",
        "en",
        "no file `train.en` or `train.en.gz`. There are [\"train.de.gz\"",
    );
    read(
        &multi(),
        "pl",
        "cs",
        "no train file of the languages `pl` and `cs`. There are [\"README.md\"",
    );
    read(&multi(), "de", "de", "both `de`");
    says(
        open(&multi(), &standard()),
        "source_language and target_language are not set",
    );
    let named = ParallelTextConfig {
        test: Some("test_2018".to_owned()),
        ..languages("de", "en")
    };
    says(open(&multi(), &named), "no test set `test_2018`");
    // Without the set that goes first, none of two does.
    let mut files = multi();
    files.retain(|file| !file.0.starts_with("test_2016"));
    files.push(("test_2018.de", b"vier\n".to_vec()));
    read(
        &files,
        "de",
        "en",
        "[\"test_2017_flickr\", \"test_2018\"] are all test sets: set test",
    );
    files.push(("my-train.en", b"x\n".to_vec()));
    read(
        &files,
        "de",
        "en",
        "[\"my-train\", \"train\"] could all be the train part",
    );
    let mut files = without("val.en");
    files.push(("val.en", b"one\ntwo\n".to_vec()));
    read(&files, "de", "en", "val.en: line 2 has no partner");
}

#[test]
fn a_folder_of_tables_is_read_by_part() {
    let files: [(&str, &[u8]); 3] = [
        ("train.tsv", b"a dog\tun chien\nthe sun\tle soleil\n"),
        ("dev.csv", b"en,fr\none,un\n"),
        ("test.jsonl", b"{\"en\":\"two\",\"fr\":\"deux\"}\n"),
    ];
    let set = folder(&files, &standard()).unwrap();
    assert_eq!(*set.train(), pairs(&TWO));
    assert_eq!(*set.valid().unwrap(), pairs(&[("one", "un")]));
    assert_eq!(*set.test().unwrap(), pairs(&[("two", "deux")]));
    assert_eq!(set.info().files[2].name, "test.jsonl");
    for part in ["valid", "test"] {
        let name = format!("{part}.csv");
        let empty = folder(&[files[0], (&name, b"en,fr\n")], &standard());
        says(empty, &format!("the {part} part holds no pair"));
    }
    let single = folder(&[("my.tsv", files[0].1)], &standard()).unwrap();
    assert_eq!((single.train(), single.test()), (set.train(), None));
}
