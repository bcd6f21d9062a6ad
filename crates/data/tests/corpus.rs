//! Texts in files and folders: how they are cut into parts and tokens, and what is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::write::GzEncoder;
use mapsto_data::{Corpus, CorpusConfig, CorpusInfo, Encoding, Error, Section, Unit, grammar};

fn gzip(path: &Path, bytes: &[u8]) {
    let file = fs::File::create(path).unwrap();
    let mut encoder = GzEncoder::new(file, flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap();
}

fn open(path: &Path, unit: Unit, encoding: Encoding) -> Result<Corpus, Error> {
    Corpus::open(path, &CorpusConfig { unit, encoding })
}

fn words(path: &Path) -> Result<Corpus, Error> {
    open(path, Unit::Word, Encoding::Utf8)
}

fn tokens(section: &Section) -> Vec<&str> {
    section.tokens().collect()
}

#[test]
fn words_end_each_line_with_eos_and_characters_are_all_there() {
    let text = " the cat \n\nsat\tdown".to_owned();
    let words = Section::new(text.clone(), Unit::Word);
    assert_eq!(
        tokens(&words),
        ["the", "cat", "<eos>", "<eos>", "sat", "down", "<eos>"]
    );
    assert_eq!((words.info().lines, words.info().tokens), (3, 7));
    let chars = Section::new("hé\n ☕\n".to_owned(), Unit::Char);
    assert_eq!(tokens(&chars), ["h", "é", "\n", " ", "☕", "\n"]);
    assert_eq!((chars.info().lines, chars.info().tokens), (2, 6));
}

#[test]
fn a_folder_is_read_part_by_part_plain_or_packed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("my.train.txt"), "a b\nc\n").unwrap();
    // The bytes tell, whatever the name says.
    gzip(&path.join("my.valid.txt"), b"d e");
    gzip(&path.join("my.test.txt.gz"), "f \u{e9}\r\ng".as_bytes());
    let corpus = words(&path).unwrap();
    assert_eq!(tokens(corpus.train()), ["a", "b", "<eos>", "c", "<eos>"]);
    assert_eq!(tokens(corpus.valid().unwrap()), ["d", "e", "<eos>"]);
    assert_eq!(corpus.test().unwrap().text(), "f \u{e9}\ng");

    let info = corpus.info();
    assert_eq!((info.name.as_str(), info.train.tokens), ("letters", 5));
    assert_eq!(info.test.unwrap().lines, 2);
    let names: Vec<&str> = info.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["my.train.txt", "my.valid.txt", "my.test.txt.gz"]);
    assert_eq!(
        (info.files[0].bytes, &*info.files[0].sha256),
        (6, TRAIN_SHA256)
    );
    let json = serde_json::to_string(info).unwrap();
    assert!(
        json.contains(r#""unit":"word","encoding":"utf8""#),
        "{json}"
    );
    assert_eq!(serde_json::from_str::<CorpusInfo>(&json).unwrap(), *info);
}

/// `printf 'a b\nc\n' | sha256sum`
const TRAIN_SHA256: &str = "721a7916ccfa56849995f47004497d7d8cefa18b0033b017026036cbe016e171";

#[test]
fn a_single_file_is_cut_by_lines_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.txt");
    let text: String = (0..100).map(|line| format!("line {line}\n")).collect();
    fs::write(&path, &text).unwrap();
    for source in [path.as_path(), folder.path()] {
        let corpus = words(source).unwrap();
        let (valid, test) = (corpus.valid().unwrap(), corpus.test().unwrap());
        let lines = [corpus.train(), valid, test].map(|section| section.info().lines);
        assert_eq!(lines, [90, 5, 5]);
        assert!(valid.text().starts_with("line 90\n"), "{}", valid.text());
        assert!(test.text().starts_with("line 95\n"), "{}", test.text());
        assert_eq!(
            [corpus.train(), valid, test].map(Section::text).concat(),
            text
        );
        assert_eq!(corpus.info().files.len(), 1);
    }
    // Too few lines for 5 %: one each.
    fs::write(&path, "a b\nc\nd").unwrap();
    let corpus = words(&path).unwrap();
    assert_eq!(corpus.train().text(), "a b\n");
    assert_eq!(corpus.test().unwrap().text(), "d");
    // Of one or two lines: tokens.
    let parts = |text: &str, unit| {
        fs::write(&path, text).unwrap();
        let corpus = open(&path, unit, Encoding::Utf8).unwrap();
        let held_out = [corpus.valid().unwrap(), corpus.test().unwrap()];
        [corpus.train(), held_out[0], held_out[1]].map(|part| part.text().to_owned())
    };
    assert_eq!(parts("a  b\nc\n", Unit::Word), ["a ", " b\n", "c\n"]);
    let line = "ab c ".repeat(20);
    let cut = parts(&line, Unit::Word);
    assert_eq!(cut[1..], ["ab c ", "ab c "]);
    assert_eq!(cut.concat(), line);
    assert_eq!(parts("h\u{e9}y!", Unit::Char), ["h\u{e9}", "y", "!"]);
    fs::write(&path, "a b\n").unwrap();
    let text = words(&path).unwrap_err().to_string();
    assert!(text.contains("2 tokens, too few"), "{text}");
    // What has no parts can be had whole.
    let whole = |path: &Path| Corpus::whole(path, &CorpusConfig::default()).unwrap();
    assert_eq!(whole(folder.path()).unwrap().text(), "a b\n");
    fs::rename(&path, folder.path().join("train.txt")).unwrap();
    assert!(whole(folder.path()).is_none());
}

#[test]
fn empty_files_and_single_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.txt");
    let message = |text: &str, unit| {
        fs::write(&path, text).unwrap();
        let error = open(folder.path(), unit, Encoding::Utf8).unwrap_err();
        assert!(matches!(error, Error::Format { .. }));
        error.to_string()
    };
    for unit in [Unit::Word, Unit::Char] {
        assert!(message("", unit).contains("train.txt: the file is empty: give"));
        assert!(message(" \n\n", unit).contains("is empty"));
    }
    assert!(message("word\n", Unit::Word).contains("holds a single token"));
    assert!(message("w\n", Unit::Char).contains("holds a single token"));
    fs::write(&path, "二人\n").unwrap();
    assert!(open(folder.path(), Unit::Char, Encoding::Utf8).is_ok());
    fs::write(&path, "two words\n").unwrap();
    assert!(words(folder.path()).is_ok());
}

#[test]
fn an_encoding_is_asked_for_and_used() {
    let folder = tempfile::tempdir().unwrap();
    gzip(&folder.path().join("train.gz"), b"fine\ncaf\xe9 \x96 bar\n");
    let error = words(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Format { .. }));
    let text = error.to_string();
    assert!(text.contains("train.gz: byte 8 (line 2): 0xe9"), "{text}");
    assert!(text.contains("set encoding"), "{text}");
    let corpus = open(folder.path(), Unit::Word, Encoding::Windows1252).unwrap();
    assert_eq!(tokens(corpus.train())[2..5], ["café", "–", "bar"]);
}

#[test]
fn a_damaged_gzip_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.gz");
    gzip(&path, "some words to pack\n".repeat(50).as_bytes());
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
    let text = words(folder.path()).unwrap_err().to_string();
    assert!(text.contains("the gzip stream is truncated"), "{text}");
}

#[test]
fn a_written_corpus_has_its_parts_and_its_seed() {
    let corpus = Corpus::grammar(30, 20, 10, Unit::Word, 7).unwrap();
    let sections = [Some(corpus.train()), corpus.valid(), corpus.test()].map(Option::unwrap);
    assert_eq!(sections.map(|section| section.info().lines), [30, 20, 10]);
    let info = corpus.info();
    assert_eq!((info.name.as_str(), info.seed), ("grammar", Some(7)));
    assert_eq!(info.test, Some(sections[2].info()));
    assert_eq!(
        sections[0].text().lines().next(),
        Some(&*grammar::sentence(7, 0))
    );
    assert_ne!(
        sections[1].text().lines().next(),
        Some(&*grammar::sentence(7, 0))
    );
}
