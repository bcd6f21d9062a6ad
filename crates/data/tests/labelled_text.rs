//! Labelled texts: every form is read, and what does not fit is named with its line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fs;
use std::io::Write;

use flate2::{Compression, write::GzEncoder};
use mapsto_data::{
    Dataset, Encoding, Error, LabelledText, LabelledTextConfig, LabelledTextInfo, sentiment,
};
use mapsto_tensor::rng::Generator;

fn standard() -> LabelledTextConfig {
    LabelledTextConfig::default()
}

fn named(text: &str, label: &str) -> LabelledTextConfig {
    LabelledTextConfig {
        text_column: Some(text.to_owned()),
        label_column: Some(label.to_owned()),
        ..standard()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads a folder with these files.
fn folder(files: &[(&str, &[u8])], config: &LabelledTextConfig) -> Result<LabelledText, Error> {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    LabelledText::open(folder.path(), config)
}

/// Reads a file.
fn read(name: &str, text: &str, config: &LabelledTextConfig) -> Result<LabelledText, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    LabelledText::open(&path, config)
}

fn message(name: &str, text: &str, config: &LabelledTextConfig) -> String {
    let error = read(name, text, config).unwrap_err();
    assert!(matches!(error, Error::Format { .. }));
    error.to_string()
}

#[test]
fn csv_is_read_by_name() {
    let csv = "id,story,stars\n7,\"say \"\"ah\"\", doctor\",10\n8,\"two\nlines\",9\n9, plain 5\" \
               disk ,10\n";
    let set = read("a.csv", csv, &named("story", "stars")).unwrap();
    let train = set.train();
    let texts = ["say \"ah\", doctor", "two\nlines", "plain 5\" disk"];
    assert_eq!(train.texts(), texts);
    // As text "10" would come before "9".
    assert_eq!(
        (set.classes(), train.labels()),
        (&["9".into(), "10".into()][..], &[1, 0, 1][..])
    );
    assert!(set.valid().is_none() && set.test().is_none());
    let mut rng = Generator::keyed(0, &[]);
    assert_eq!(train.get(1, &mut rng).unwrap(), (texts[1].to_owned(), 0));
    let beyond = train.get(3, &mut rng);
    assert!(matches!(beyond, Err(Error::Index { index: 3, len: 3 })));
}

#[test]
fn usual_columns_are_found_in_every_form() {
    let tsv = "Sentiment\tx\tReview\nz\t1\ta \"quote\nb\t2\tc, d\n";
    let set = read("a.TSV", tsv, &standard()).unwrap();
    assert_eq!(set.train().texts(), ["a \"quote", "c, d"]);
    assert_eq!(set.train().labels(), [1, 0]);
    let json = "{\"sentence\": \"caf\\u00e9\", \"label\": true}\n\n{\"label\": false, \
                \"sentence\": \"x\"}\n";
    let set = read("a.jsonl", json, &standard()).unwrap();
    assert_eq!(set.train().texts(), ["café", "x"]);
    assert_eq!(set.classes(), ["false", "true"]);
    assert_eq!(set.train().labels(), [1, 0]);
    // A blank behind a quote is none of the field.
    let blank = "text,label\n\"good, bad\" ,\"b\"\t\nx,a\n";
    let set = read("a.csv", blank, &standard()).unwrap();
    assert_eq!(set.train().texts(), ["good, bad", "x"]);
    assert_eq!(set.classes(), ["a", "b"]);
    let plain = read("a.csv", "class,text\n1,b\n0,a\n", &standard()).unwrap();
    let packed = [("a.csv.gz", &*gzip(b"class,text\r\n1,b\r\n0,a\r\n"))];
    let packed = folder(&packed, &standard()).unwrap();
    assert_eq!(plain.train(), packed.train());
    // The digest is that of the texts, not of the file.
    assert_eq!(plain.info().sha256, packed.info().sha256);
    let other = read("a.csv", "class,text\n1,b\n0,c\n", &standard()).unwrap();
    assert_ne!(plain.info().sha256, other.info().sha256);
}

#[test]
fn a_missing_column_lists_those_that_are_there() {
    let text = message("a.csv", "review,stars\nx,1\n", &named("text", "stars"));
    assert!(
        text.contains("no column `text`: the columns are [\"review\", \"stars\"]"),
        "{text}"
    );
    assert!(text.contains("set text_column"), "{text}");
    let text = message("a.csv", "review,stars\nx,1\n", &standard());
    assert!(
        text.contains("usual names [\"label\"") && text.contains("set label_column"),
        "{text}"
    );
    let text = message("a.csv", "review,stars\nx,1\n", &named("stars", "stars"));
    assert!(text.contains("are the same"), "{text}");
    let text = message(
        "a.jsonl",
        "{\"text\":\"a\",\"label\":1}\n{\"text\":\"a\"}",
        &standard(),
    );
    assert!(
        text.contains("line 2: there is no `label`: the object has [\"text\"]"),
        "{text}"
    );
}

#[test]
fn damage_is_named_with_its_line() {
    for (name, bytes, expected) in [
        (
            "a.csv",
            "text,label\n\"two \"\"\nx,b\n",
            "line 2: the quote",
        ),
        (
            "a.csv",
            "text,label\n\"fine\",a\nx,b\n\"never closed,a\ny,b\n",
            "line 4: the quote",
        ),
        (
            // The quote of line 3 closes that of line 2.
            "a.csv",
            "text,label\n\"good film,a\n\"bad film\",b\n\"nice film\",a\n",
            "line 2: neither a comma nor the end of the line follows the quote",
        ),
        (
            "a.csv",
            "text,label\n\"so \"fine\" a film\",a\nx,b\n",
            "line 2: neither a comma",
        ),
        (
            "a.csv",
            "text,label\na,b\nc\n",
            "line 3: the number of fields is 1, but there are 2",
        ),
        (
            "a.tsv",
            "text\tlabel\na\tb\tc\n",
            "line 2: the number of fields is 3",
        ),
        (
            "a.csv",
            "text,label\n\"a\nb\",1\n\" \",0\n",
            "line 4: the text is empty",
        ),
        (
            "a.csv",
            "text,label\na,1\nb,\n",
            "line 3: the label is empty",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":1}\n[1]\n",
            "line 2: expected a JSON object",
        ),
        (
            "a.jsonl",
            "{\"text\":\"a\",\"label\":1}\n{\"text\":\n",
            "line 2: expected a JSON",
        ),
        (
            "a.jsonl",
            "{\"text\":[],\"label\":1}\n",
            "line 1: `text` is neither",
        ),
        (
            "a.jsonl",
            "{\"text\":\"\",\"label\":1}\n",
            "line 1: the text is empty",
        ),
        ("a.csv", " \n", "the file is empty"),
        ("a.csv", "text,label\n", "no text in it"),
        (
            "a.csv",
            "text,label\na,good\nb,good\n",
            "all 2 texts are of the class `good`",
        ),
        ("a.xlsx", "text", ".csv, .tsv, .jsonl"),
    ] {
        let text = message(name, bytes, &standard());
        assert!(text.contains(expected), "{text}");
    }
    let gone = LabelledText::open("no/such.csv", &standard()).unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }));
}

#[test]
fn one_file_a_class_is_read_in_its_encoding() {
    let positive = gzip(b"a na\xefve joy \nfun \x97 really\n");
    let files: [(&str, &[u8]); 2] = [("films.pos.gz", &positive), ("films.neg", b"dull\n")];
    let windows = LabelledTextConfig {
        encoding: Encoding::Windows1252,
        ..standard()
    };
    let set = folder(&files, &windows).unwrap();
    assert_eq!(set.train().texts(), ["dull", "a naïve joy", "fun — really"]);
    assert_eq!(set.classes(), ["negative", "positive"]);
    assert_eq!(set.train().labels(), [0, 1, 1]);
    let says = |files: &[(&str, &[u8])], config: &LabelledTextConfig, expected: &str| {
        let error = folder(files, config).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    says(
        &files,
        &standard(),
        "byte 4 (line 1): 0xef is not UTF-8: set encoding",
    );
    says(&files[..1], &windows, "no file *.neg*");
    says(
        &[files[0], files[1], ("b.neg", b"x")],
        &windows,
        "\"films.neg\"] are all files *.neg*",
    );
    says(
        &[files[0], ("films.neg", b"a\n\nb\n")],
        &windows,
        "line 2: the text is empty",
    );
    says(
        &[files[0], ("films.neg", b"")],
        &windows,
        "films.neg: the file is empty",
    );
    // Plain and packed, it is one file all the same.
    let both = folder(&[files[0], files[1], ("films.neg.gz", &positive)], &windows).unwrap();
    assert_eq!(both.train(), set.train());
}

#[test]
fn a_folder_a_class_is_read() {
    let files: [(&str, &[u8]); 4] = [
        ("sport/2.txt", b"goal\nsaved\n"),
        ("sport/1.txt", b"match"),
        ("art/x.txt", b" paint "),
        ("art/notes.md", b"skipped"),
    ];
    let set = folder(&files, &standard()).unwrap();
    assert_eq!(set.train().texts(), ["paint", "match", "goal\nsaved"]);
    assert_eq!(
        (set.classes()[1].as_str(), set.train().labels()),
        ("sport", &[0, 1, 1][..])
    );
    let parts: [(&str, &[u8]); 6] = [
        ("train/neg/1.txt", b"a"),
        ("train/pos/1.txt", b"b"),
        ("train/unsup/1.txt", b"of no class"),
        ("test/neg/1.txt", b"c"),
        ("test/pos/1.txt", b"d"),
        ("Val/pos/1.txt", b"e"),
    ];
    let set = folder(&parts, &standard()).unwrap();
    assert_eq!(set.train().texts(), ["a", "b"]);
    assert_eq!(set.valid().unwrap().texts(), ["e"]);
    let twice = [&parts[..], &[("dev/pos/1.txt", b"f")]].concat();
    let twice = folder(&twice, &standard()).unwrap_err().to_string();
    assert!(
        twice.contains("two folders could be the valid part"),
        "{twice}"
    );
    assert_eq!(set.test().unwrap().texts(), ["c", "d"]);
    assert_eq!(set.test().unwrap().labels(), [0, 1]);
    let empty = folder(&[files[0], ("art/x.md", b"x")], &standard()).unwrap_err();
    assert!(
        empty
            .to_string()
            .contains("art: the folder of a class holds no .txt"),
        "{empty}"
    );
    let blank = folder(&[files[0], ("art/x.txt", b"\n")], &standard()).unwrap_err();
    assert!(
        blank
            .to_string()
            .contains("x.txt: line 1: the text is empty"),
        "{blank}"
    );
    let nothing = folder(&[("a.md", b"x")], &standard()).unwrap_err();
    assert!(matches!(nothing, Error::NotFound { .. }));
    assert!(
        nothing.to_string().contains("no labelled texts"),
        "{nothing}"
    );
}

#[test]
fn tables_of_parts_share_the_classes_of_train() {
    let train: (&str, &[u8]) = ("train.csv", b"text,label\na,x\nb,y\nc,z\n");
    let files: [(&str, &[u8]); 3] = [
        train,
        ("my-dev.csv", b"text,label\nd,z\n"),
        ("test.csv", b"text,label\ne,y\n"),
    ];
    let set = folder(&files, &standard()).unwrap();
    assert_eq!(set.train().labels(), [0, 1, 2]);
    assert_eq!(set.valid().unwrap().labels(), [2]);
    assert_eq!(set.test().unwrap().labels(), [1]);
    let info = set.info();
    assert_eq!((info.train, info.valid, info.test), (3, Some(1), Some(1)));
    let json = serde_json::to_string(info).unwrap();
    assert_eq!(
        serde_json::from_str::<LabelledTextInfo>(&json).unwrap(),
        *info
    );
    for name in ["valid.csv", "test.csv"] {
        let empty = folder(&[train, (name, b"text,label\n")], &standard());
        let empty = empty.unwrap_err().to_string();
        let part = name.trim_end_matches(".csv");
        assert!(
            empty.contains(&format!("the {part} part holds no text")),
            "{empty}"
        );
    }
    let strange = folder(&[train, ("test.csv", b"text,label\ne,w\n")], &standard());
    let strange = strange.unwrap_err().to_string();
    assert!(
        strange.contains("the class `w`") && strange.contains("\"x\""),
        "{strange}"
    );
    let config = serde_json::from_str::<LabelledTextConfig>("{\"columns\": 1}");
    assert!(config.unwrap_err().to_string().contains("unknown field"));
}

#[test]
fn opinions_are_a_set_without_a_file() {
    let set = LabelledText::sentiment(200, 50, 3).unwrap();
    assert_eq!(set.classes(), sentiment::CLASSES);
    let test = set.test().unwrap();
    assert_eq!((set.train().len(), test.len()), (200, 50));
    let (text, positive) = sentiment::texts(mapsto_data::Part::Test, 50, 3)
        .unwrap()
        .last()
        .unwrap();
    assert_eq!(
        (&test.texts()[49], test.labels()[49]),
        (&text, u32::from(positive))
    );
    assert_eq!(
        (set.info().name.as_str(), set.info().seed),
        ("sentiment", Some(3))
    );
    let folds = set.folds(5, 1).unwrap();
    assert!(folds.len() == 5 && folds.iter().all(|fold| fold.test.len() == 40));
    assert!(LabelledText::sentiment(0, 50, 3).is_err());
}
