//! [`ParallelText`]: sentences with their translations, from files, from a folder, or numbers in
//! words.
//!
//! | source | form |
//! | --- | --- |
//! | two files ([`ParallelText::from_files`]) | a sentence a line; line by line translations of each other |
//! | `.csv` | comma-separated, fields may be quoted; the first line names the columns |
//! | `.tsv` | tab-separated, quotes are ordinary characters; the first line names the columns, or there are two columns, the source first, and neither has a usual name |
//! | `.jsonl`, `.ndjson` | a JSON object a line |
//! | a folder with tables for `train`, `valid` and `test` | a fixed part each, named as in [`Corpus`](crate::Corpus) |
//! | a folder with a file a part and language: `train.de`, `train.en`, `val.de`, ... | a fixed part each, a sentence a line |
//!
//! All are plain or packed by gzip; then their names end in `.gz`, which only for two files does
//! not matter. White space at the ends of sentences is dropped. Where both sides of a pair are
//! empty it is skipped and counted; where one is, it is an error.
//!
//! In a folder of **languages** a file's name is that of its part, a dot, and the language, which
//! is whatever [`source_language`](ParallelTextConfig::source_language) says: with `de`,
//! `train.lc.norm.tok.de` is a mere variant of `train.de`, and with `lc.norm.tok.de` it is the
//! train part. Of several test sets `test` is taken, or Multi30k's `test_2016_flickr`, or that
//! which [`test`](ParallelTextConfig::test) names.
//!
//! To cut a valid or test part off, share the pairs out by [`random_split`](crate::random_split).
//!
//! ```
//! use mapsto_data::{ParallelText, ParallelTextConfig};
//! let folder = tempfile::tempdir().unwrap();
//! let [source, target] = ["a.en", "a.fr"].map(|name| folder.path().join(name));
//! std::fs::write(&source, "a dog\nthe sun\n").unwrap();
//! std::fs::write(&target, "un chien\nle soleil\n").unwrap();
//! let set = ParallelText::from_files(&source, &target, &ParallelTextConfig::default())?;
//! assert_eq!(set.train().0[1], ("the sun".to_owned(), "le soleil".to_owned()));
//! # Ok::<(), mapsto_data::Error>(())
//! ```

mod folder;
mod lines;
mod table;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::numbers::{self, Kind, Language};
use crate::pair_filter::{Dropped, PairFilter};
use crate::sets::{hex, own_name};
use crate::{Dataset, Encoding, Error, FileInfo, Part, Result, Samples};

/// Sentences, each with its translation: a sample is `(source, target)`.
pub type Pairs = Samples<(String, String)>;

/// The pairs of a part as they are read; nothing where both sides are empty.
type Rows = Vec<Option<(String, String)>>;

/// How a [`ParallelText`] is read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ParallelTextConfig {
    /// The name of a table's column of sentences to translate; default the first that is there
    /// of `source_language`, `source`, `src`, `input`, `en`, `english`.
    pub source_column: Option<String>,
    /// The name of a table's column of translations; default the first that is there of
    /// `target_language`, `target`, `tgt`, `trg`, `output`, `fr`, `french`, `de`, `german`, `zh`,
    /// `chinese`.
    pub target_column: Option<String>,
    /// What the names of files to translate end in, such as `de`; a folder of languages needs it.
    pub source_language: Option<String>,
    /// What the names of files of translations end in; a folder of languages needs it.
    pub target_language: Option<String>,
    /// The test set of a folder of languages, such as `test_2017_flickr`; default the only one,
    /// else `test`, else `test_2016_flickr`.
    pub test: Option<String>,
    /// How the files' bytes stand for characters; default UTF-8.
    pub encoding: Encoding,
}

/// Sentences with their translations, in up to three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParallelText {
    train: Pairs,
    valid: Option<Pairs>,
    test: Option<Pairs>,
    info: ParallelTextInfo,
}

/// What a run writes down about its pairs, so that the same pairs can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ParallelTextInfo {
    /// `numbers`, or the names of the files or the folder.
    pub name: String,
    /// The files in the order train, valid, test, of each the source first.
    pub files: Vec<FileInfo>,
    /// How the files were read.
    pub encoding: Encoding,
    /// The seed of pairs that were written by [`numbers`](mod@crate::numbers).
    pub seed: Option<u64>,
    /// The language to translate from, where it is known.
    pub source_language: Option<String>,
    /// The language to translate to, where it is known.
    pub target_language: Option<String>,
    /// Number of pairs to learn from.
    pub train: usize,
    /// Number of pairs to choose settings and the best epoch by, where that part is fixed.
    pub valid: Option<usize>,
    /// Number of pairs to judge by, where that part is fixed.
    pub test: Option<usize>,
    /// Number of pairs of which both sides were empty; they are in no part.
    pub skipped: usize,
    /// Numbers of train pairs that [`ParallelText::clean`] dropped.
    pub dropped: Dropped,
    /// SHA-256 of all pairs in their order, in hexadecimal; it does not depend on the form or
    /// the packing of the files.
    pub sha256: String,
}

/// What was read, by part, and of which files.
struct Read {
    rows: [Option<Rows>; 3],
    files: Vec<PathBuf>,
}

impl ParallelText {
    /// Reads a table or a folder.
    ///
    /// # Errors
    ///
    /// Where the source is missing or of unknown form, has a part without a pair, lacks a column or
    /// the file of a language, or has a line that is damaged or empty on one side: the message names the file
    /// and the line.
    pub fn open(source: impl AsRef<Path>, config: &ParallelTextConfig) -> Result<Self> {
        let source = source.as_ref();
        let read = if source.is_dir() {
            folder::read(source, config)?
        } else {
            let files = vec![source.to_owned()];
            let rows = [Some(table::read(source, config)?), None, None];
            Read { rows, files }
        };
        Self::new(own_name(source), source, read, config)
    }

    /// Reads two files of a sentence a line, plain or gzip, as the train part.
    ///
    /// # Errors
    ///
    /// Where a file is missing or empty, they differ in their number of lines, or a line is empty
    /// in one of them only.
    pub fn from_files(
        source: impl AsRef<Path>,
        target: impl AsRef<Path>,
        config: &ParallelTextConfig,
    ) -> Result<Self> {
        let paths = [source.as_ref(), target.as_ref()];
        let rows = [Some(lines::read(paths, config.encoding)?), None, None];
        let files = paths.map(Path::to_owned).to_vec();
        let name = paths.map(own_name).join(" and ");
        Self::new(name, paths[0], Read { rows, files }, config)
    }

    /// Writes this many pairs a part by [`numbers::pairs`]; a valid or test part of none is left
    /// out.
    ///
    /// # Errors
    ///
    /// Where `train` is 0, or a part has fewer numbers or dates than are asked for.
    pub fn numbers(
        language: Language,
        kind: Kind,
        train: usize,
        valid: usize,
        test: usize,
        seed: u64,
    ) -> Result<Self> {
        if train == 0 {
            let what = "the train part has 0 pairs: give some thousand or more";
            return Err(Error::Config(what.to_owned()));
        }
        let pairs = |part, samples| -> Result<Pairs> {
            let pairs = numbers::pairs(part, language, kind, samples, seed)?;
            Ok(Samples(pairs.collect()))
        };
        let held_out = |part, samples: usize| -> Result<Option<Pairs>> {
            (samples > 0).then(|| pairs(part, samples)).transpose()
        };
        let info = ParallelTextInfo {
            name: "numbers".to_owned(),
            seed: Some(seed),
            source_language: Some("english".to_owned()),
            target_language: Some(language.to_string()),
            ..ParallelTextInfo::default()
        };
        let mut set = Self {
            train: pairs(Part::Train, train)?,
            valid: held_out(Part::Valid, valid)?,
            test: held_out(Part::Test, test)?,
            info,
        };
        set.count();
        Ok(set)
    }

    fn new(name: String, path: &Path, read: Read, config: &ParallelTextConfig) -> Result<Self> {
        let rows = read.rows.iter().flatten().flatten();
        let skipped = rows.filter(|row| row.is_none()).count();
        let pairs = |rows: Rows| Samples(rows.into_iter().flatten().collect());
        let [train, valid, test] = read.rows.map(|rows| rows.map(pairs));
        let train = train.unwrap_or(Samples(Vec::new()));
        if train.is_empty() {
            let what = "there is no pair to learn from: give some thousand or more";
            return Err(Error::format(path, what));
        }
        for (name, part) in [("valid", &valid), ("test", &test)] {
            if part.as_ref().is_some_and(Dataset::is_empty) {
                let what = format!("the {name} part holds no pair: fill it, or remove it");
                return Err(Error::format(path, what));
            }
        }
        let files: Result<_> = read.files.iter().map(|path| FileInfo::of(path)).collect();
        let info = ParallelTextInfo {
            name,
            files: files?,
            encoding: config.encoding,
            source_language: config.source_language.clone(),
            target_language: config.target_language.clone(),
            skipped,
            ..ParallelTextInfo::default()
        };
        let mut set = Self {
            train,
            valid,
            test,
            info,
        };
        set.count();
        Ok(set)
    }

    /// Writes down what the parts hold.
    fn count(&mut self) {
        self.info.train = self.train.len();
        self.info.valid = self.valid.as_ref().map(Dataset::len);
        self.info.test = self.test.as_ref().map(Dataset::len);
        let parts = [Some(&self.train), self.valid.as_ref(), self.test.as_ref()];
        let pairs = parts.into_iter().flatten().flat_map(|part| &part.0);
        let mut hash = Sha256::new();
        for text in pairs.flat_map(|(source, target)| [source, target]) {
            hash.update(text.as_bytes());
            hash.update([0]);
        }
        self.info.sha256 = hex(&hash.finalize());
    }

    /// Drops the pairs of the train part that `filter` refuses, and brings the texts of all parts
    /// into its form; [`ParallelText::info`] counts anew. Valid and test keep all of their pairs.
    ///
    /// # Errors
    ///
    /// Where the filter's settings contradict each other, or no train pair is left.
    pub fn clean(&mut self, filter: &PairFilter) -> Result<Dropped> {
        let mut train = self.train.clone();
        filter.normalise(&mut train.0)?;
        let dropped = filter.filter(&mut train.0)?;
        for part in self.valid.iter_mut().chain(&mut self.test) {
            filter.normalise(&mut part.0)?;
        }
        self.train = train;
        self.info.dropped = dropped;
        self.count();
        Ok(dropped)
    }

    /// What a network learns from.
    pub fn train(&self) -> &Pairs {
        &self.train
    }

    /// What settings and the best epoch are chosen by, where the source fixes that part.
    #[doc(alias = "dev")]
    pub fn valid(&self) -> Option<&Pairs> {
        self.valid.as_ref()
    }

    /// What the network is judged by, where the source fixes that part.
    pub fn test(&self) -> Option<&Pairs> {
        self.test.as_ref()
    }

    /// What a run writes down about its pairs.
    pub fn info(&self) -> &ParallelTextInfo {
        &self.info
    }
}

/// A pair whose sides are both there, or nothing where both are empty; `line` counts from 1.
fn row(
    paths: [&Path; 2],
    line: u64,
    source: &str,
    target: &str,
) -> Result<Option<(String, String)>> {
    let (source, target) = (source.trim(), target.trim());
    let (path, empty, other) = match (source.is_empty(), target.is_empty()) {
        (false, false) => return Ok(Some((source.to_owned(), target.to_owned()))),
        (true, true) => return Ok(None),
        (true, false) => (paths[0], "source", "target"),
        (false, true) => (paths[1], "target", "source"),
    };
    let what = format!("line {line}: the {empty} is empty, but the {other} is not");
    Err(Error::format(
        path,
        format!("{what}: fill it in, or drop the pair"),
    ))
}
