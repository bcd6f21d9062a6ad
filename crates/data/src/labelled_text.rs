//! [`LabelledText`]: texts with a class each, from tables, from folders, or written by a rule.
//!
//! | source | form |
//! | --- | --- |
//! | `.csv` | comma-separated, fields may be quoted; the first line names the columns |
//! | `.tsv` | tab-separated, quotes are ordinary characters; the first line names the columns |
//! | `.jsonl`, `.ndjson` | a JSON object a line |
//! | a folder with tables for `train`, `valid` and `test` | a fixed part each, named as in [`Corpus`](crate::Corpus) |
//! | a folder with one `*.pos*` and one `*.neg*` file | a text a line, the classes `negative` and `positive` |
//! | a folder with a sub-folder for each class | a text in each `.txt` file |
//! | a folder with such folders `train`, `valid` (or `val`, `dev`), `test` | a fixed part each |
//!
//! A sub-folder `unsup`, which in IMDb's set holds texts of no class, is left out.
//! Tables end in `.gz` where they are packed by gzip; other files are looked into.
//! Classes are sorted, as numbers if all are whole numbers, else by alphabet. All parts have the
//! classes of the train part. White space at the ends of texts and labels is dropped.
//!
//! To cut a valid or test part off, share the samples out by [`stratified_split`] or
//! [`LabelledText::folds`].
//!
//! ```
//! use mapsto_data::{LabelledText, LabelledTextConfig};
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("films.csv");
//! std::fs::write(&path, "review,label\n\"dull, long\",bad\na joy,good\n").unwrap();
//! let set = LabelledText::open(&path, &LabelledTextConfig::default())?;
//! assert_eq!(set.train().texts(), ["dull, long", "a joy"]);
//! assert_eq!(set.train().labels(), [0, 1]);
//! assert_eq!(set.classes(), ["bad", "good"]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! [`stratified_split`]: crate::stratified_split

mod folder;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use mapsto_tensor::rng::Stream;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::sets::{hex, own_name};
use crate::{Dataset, Encoding, Error, Fold, Part, Result, k_fold, parts, sentiment};

/// A text and the name of its class.
type Row = (String, String);

/// The rows of the parts train, valid and test.
type Rows = [Option<Vec<Row>>; 3];

/// How a [`LabelledText`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LabelledTextConfig {
    /// The name of the column of texts; default the first that is there of `text`, `sentence`,
    /// `review`, `content`, `comment`, `document`, `phrase`, `message`, `tweet`.
    pub text_column: Option<String>,
    /// The name of the column of classes; default the first that is there of `label`, `class`,
    /// `sentiment`, `category`, `target`, `polarity`, `rating`.
    pub label_column: Option<String>,
    /// How the files' bytes stand for characters; default UTF-8.
    pub encoding: Encoding,
}

/// Texts with a class each, in up to three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledText {
    parts: [Option<Labelled>; 3],
    classes: Vec<String>,
    info: LabelledTextInfo,
}

/// A part of a [`LabelledText`]; a sample is `(text, label)`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labelled {
    texts: Vec<String>,
    labels: Vec<u32>,
}

/// What a run writes down about its texts, so that the same texts can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelledTextInfo {
    /// `sentiment`, or the name of the file or folder.
    pub name: String,
    /// How the files were read.
    pub encoding: Encoding,
    /// The seed of texts that were written by [`sentiment`].
    pub seed: Option<u64>,
    /// The name of each class.
    pub classes: Vec<String>,
    /// Number of texts to learn from.
    pub train: usize,
    /// Number of texts to choose settings and the best epoch by, where that part is fixed.
    pub valid: Option<usize>,
    /// Number of texts to judge by, where that part is fixed.
    pub test: Option<usize>,
    /// SHA-256 of all labels and texts in their order, in hexadecimal; it does not depend on the
    /// form or the packing of the files.
    pub sha256: String,
}

impl LabelledText {
    /// Reads a table or a folder.
    ///
    /// # Errors
    ///
    /// Where the source is missing or of unknown form, has a part without a text or a single class,
    /// lacks a column, or has a row that is damaged or lacks its text or label: the message names the
    /// file and the line.
    pub fn open(source: impl AsRef<Path>, config: &LabelledTextConfig) -> Result<Self> {
        let source = source.as_ref();
        let rows = if source.is_dir() {
            folder::read(source, config)?
        } else {
            [Some(table::read(source, config)?), None, None]
        };
        Self::new(source, rows, config.encoding, None)
    }

    /// Writes this many opinions a part by the rule of [`sentiment`].
    ///
    /// # Errors
    ///
    /// Where the train part is too small to hold both classes, or a part is empty or larger than
    /// [`sentiment::MOST`].
    pub fn sentiment(train: usize, test: usize, seed: u64) -> Result<Self> {
        let rows = |part, samples| -> Result<Vec<Row>> {
            let named = |(text, positive)| (text, sentiment::CLASSES[usize::from(positive)].into());
            Ok(sentiment::texts(part, samples, seed)?.map(named).collect())
        };
        let rows = [
            Some(rows(Part::Train, train)?),
            None,
            Some(rows(Part::Test, test)?),
        ];
        Self::new(Path::new("sentiment"), rows, Encoding::Utf8, Some(seed))
    }

    fn new(source: &Path, rows: Rows, encoding: Encoding, seed: Option<u64>) -> Result<Self> {
        let classes = classes(source, rows[0].as_deref().unwrap_or_default())?;
        let mut parts = [const { None }; 3];
        for ((part, rows), (name, _)) in parts.iter_mut().zip(rows).zip(parts::NAMES) {
            let Some(rows) = rows else { continue };
            if rows.is_empty() {
                let what = format!("the {name} part holds no text: fill it, or remove it");
                return Err(Error::format(source, what));
            }
            *part = Some(Labelled::new(source, rows, &classes)?);
        }
        let mut hash = Sha256::new();
        for (label, text) in parts.iter().flatten().flat_map(Labelled::samples) {
            hash.update(classes[label as usize].as_bytes());
            hash.update([0]);
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        let len = |part: &Option<Labelled>| part.as_ref().map(Dataset::len);
        let [train, valid, test] = parts.each_ref().map(len);
        let info = LabelledTextInfo {
            name: own_name(source),
            encoding,
            seed,
            classes: classes.clone(),
            train: train.unwrap_or_default(),
            valid,
            test,
            sha256: hex(&hash.finalize()),
        };
        Ok(Self {
            parts,
            classes,
            info,
        })
    }

    /// What a network learns from.
    pub fn train(&self) -> &Labelled {
        static NONE: Labelled = Labelled {
            texts: Vec::new(),
            labels: Vec::new(),
        };
        self.parts[0].as_ref().unwrap_or(&NONE)
    }

    /// What settings and the best epoch are chosen by, where the source fixes that part.
    #[doc(alias = "dev")]
    pub fn valid(&self) -> Option<&Labelled> {
        self.parts[1].as_ref()
    }

    /// What the network is judged by, where the source fixes that part.
    pub fn test(&self) -> Option<&Labelled> {
        self.parts[2].as_ref()
    }

    /// The name of each class, by its number.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// What a run writes down about its texts.
    pub fn info(&self) -> &LabelledTextInfo {
        &self.info
    }

    /// Cross-validation over the train part: [`k_fold`] of its labels.
    ///
    /// # Errors
    ///
    /// As for [`k_fold`].
    pub fn folds(&self, k: usize, seed: u64) -> Result<Vec<Fold>> {
        k_fold(self.train().labels(), k, seed)
    }
}

impl Labelled {
    fn new(source: &Path, rows: Vec<Row>, classes: &[String]) -> Result<Self> {
        let mut part = Self::default();
        for (text, class) in rows {
            let Some(label) = classes.iter().position(|name| *name == class) else {
                return Err(Error::format(
                    source,
                    format!(
                        "the class `{class}` of a valid or test text is none of the train part, \
                         {classes:?}: give train texts of it, or drop those texts"
                    ),
                ));
            };
            part.texts.push(text);
            part.labels.push(label as u32);
        }
        Ok(part)
    }

    /// The texts in the order of the source.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The number of each text's class.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    fn samples(&self) -> impl Iterator<Item = (u32, &String)> {
        self.labels.iter().copied().zip(&self.texts)
    }
}

impl Dataset for Labelled {
    type Item = (String, u32);

    fn len(&self) -> usize {
        self.texts.len()
    }

    fn get(&self, index: usize, _: &mut Stream) -> Result<Self::Item> {
        match (self.texts.get(index), self.labels.get(index)) {
            (Some(text), Some(&label)) => Ok((text.clone(), label)),
            _ => Err(Error::Index {
                index,
                len: self.len(),
            }),
        }
    }
}

/// The classes of the train part in their order.
fn classes(source: &Path, train: &[Row]) -> Result<Vec<String>> {
    let names: BTreeSet<&String> = train.iter().map(|row| &row.1).collect();
    let mut names: Vec<String> = names.into_iter().cloned().collect();
    let number = |name: &String| name.parse::<i64>().ok();
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by_key(number);
    }
    let what = match names.as_slice() {
        [] => "there is no text in it: give some hundred or more".to_owned(),
        [single] => format!(
            "all {} texts are of the class `{single}`: give texts of two classes or more, or \
             name another label_column",
            train.len()
        ),
        _ => return Ok(names),
    };
    Err(Error::format(source, what))
}

/// A row whose text and label are there; `line` counts from 1.
fn row(path: &Path, line: u64, text: &str, label: &str) -> Result<Row> {
    let (text, label) = (text.trim(), label.trim());
    let missing = match (text.is_empty(), label.is_empty()) {
        (true, _) => "text",
        (_, true) => "label",
        _ => return Ok((text.to_owned(), label.to_owned())),
    };
    let what = format!("line {line}: the {missing} is empty: fill it in, or drop the line");
    Err(Error::format(path, what))
}
