//! [`Corpus`]: text to learn the next token from, of one file or of a folder.
//!
//! A **folder** holds the parts train, valid and test as one file each. A file belongs to the
//! part whose name is a piece of the file's name between dots, dashes and underscores:
//! `train.txt`, `wiki.train.tokens`, `ptb.valid.txt.gz`, `dev-clean`; `val`, `dev` and
//! `validation` are valid too. A part that has no such file takes one whose name says it in another way,
//! `test2016.txt`, `trainset.txt` or `my train (1).txt`. A **single file**, or a folder with no other file, is cut by lines
//! in their order, or by tokens if it has less than three: the last 5 % are test, the 5 % before
//! valid, the rest train.
//!
//! Files are plain or gzip, which is told by their bytes.
//!
//! The **tokens** are either the words between white space, with [`EOS`] at the end of each
//! line, which is how the Penn Treebank is counted, or all characters, line ends among them.
//!
//! ```
//! use mapsto_data::{Corpus, CorpusConfig};
//! let folder = tempfile::tempdir().unwrap();
//! std::fs::write(folder.path().join("my.train.txt"), "the cat sat\non a mat\n").unwrap();
//! let corpus = Corpus::open(folder.path(), &CorpusConfig::default())?;
//! let tokens: Vec<&str> = corpus.train().tokens().collect();
//! assert_eq!(tokens, ["the", "cat", "sat", "<eos>", "on", "a", "mat", "<eos>"]);
//! assert!(corpus.valid().is_none());
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::parts::Parts;
use crate::sets::own_name;
use crate::{Encoding, Error, FileInfo, Result, grammar};

/// The token at the end of each line of words.
pub const EOS: &str = "<eos>";

/// What the tokens of a text are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Words between white space, and [`EOS`] at the end of each line; the default.
    #[default]
    Word,
    /// Characters, white space and line ends among them.
    Char,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// What a network learns from.
    Train,
    /// What settings and the best epoch are chosen by.
    Valid,
    /// What the network is judged by.
    Test,
}

/// How a [`Corpus`] is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CorpusConfig {
    /// What the tokens are; default words.
    pub unit: Unit,
    /// How the files' bytes stand for characters; default UTF-8.
    pub encoding: Encoding,
}

/// Text to learn the next token from, in up to three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corpus {
    train: Section,
    valid: Option<Section>,
    test: Option<Section>,
    info: CorpusInfo,
}

/// What a run writes down about its text, so that the same text can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorpusInfo {
    /// `grammar`, or the name of the file or folder.
    pub name: String,
    /// The files in the order train, valid, test.
    pub files: Vec<FileInfo>,
    /// What the tokens are.
    pub unit: Unit,
    /// How the files were read.
    pub encoding: Encoding,
    /// The seed of a text that was written by [`grammar`].
    pub seed: Option<u64>,
    /// Size of the part to learn from.
    pub train: SectionInfo,
    /// Size of the part to choose settings and the best epoch by.
    pub valid: Option<SectionInfo>,
    /// Size of the part to judge by.
    pub test: Option<SectionInfo>,
}

/// The size of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionInfo {
    /// Number of lines.
    pub lines: usize,
    /// Number of tokens, one a line for the line ends.
    pub tokens: usize,
}

/// A part of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    text: String,
    unit: Unit,
}

impl Corpus {
    /// Reads a text file, or the text files of a folder.
    ///
    /// # Errors
    ///
    /// Where the source is missing, the files of its parts cannot be told, a file cannot be read in
    /// the encoding that `config` names, or one has fewer than two tokens (three, where it is cut).
    pub fn open(source: impl AsRef<Path>, config: &CorpusConfig) -> Result<Self> {
        let source = source.as_ref();
        let read = |path: &Path| Section::open(path, config);
        let parts = Parts::find(source)?;
        let (train, valid, test) = match &parts {
            Parts::Single(path) => {
                let [train, valid, test] = read(path)?.cut(path)?;
                (train, Some(valid), Some(test))
            }
            Parts::Several { train, valid, test } => (
                read(train)?,
                valid.as_deref().map(read).transpose()?,
                test.as_deref().map(read).transpose()?,
            ),
        };
        let files: Result<_> = parts.files().into_iter().map(FileInfo::of).collect();
        let info = CorpusInfo {
            name: own_name(source),
            files: files?,
            unit: config.unit,
            encoding: config.encoding,
            seed: None,
            train: train.info(),
            valid: valid.as_ref().map(Section::info),
            test: test.as_ref().map(Section::info),
        };
        Ok(Self {
            train,
            valid,
            test,
            info,
        })
    }

    /// All of a text that is a single file, uncut; nothing of a folder with parts.
    ///
    /// # Errors
    /// When there is no text, or it cannot be read.
    pub fn whole(source: impl AsRef<Path>, config: &CorpusConfig) -> Result<Option<Section>> {
        match Parts::find(source.as_ref())? {
            Parts::Single(path) => Section::open(path, config).map(Some),
            Parts::Several { .. } => Ok(None),
        }
    }

    /// Writes this many sentences a part by [`grammar`].
    ///
    /// # Errors
    ///
    /// As for [`grammar::text`].
    pub fn grammar(train: usize, valid: usize, test: usize, unit: Unit, seed: u64) -> Result<Self> {
        let section = |part, sentences| -> Result<Section> {
            let text = grammar::text(part, sentences, seed)?;
            Ok(Section::new(text, unit))
        };
        let (valid, test) = (section(Part::Valid, valid)?, section(Part::Test, test)?);
        let train = section(Part::Train, train)?;
        let info = CorpusInfo {
            name: "grammar".to_owned(),
            files: Vec::new(),
            unit,
            encoding: Encoding::Utf8,
            seed: Some(seed),
            train: train.info(),
            valid: Some(valid.info()),
            test: Some(test.info()),
        };
        Ok(Self {
            train,
            valid: Some(valid),
            test: Some(test),
            info,
        })
    }

    /// What a network learns from.
    pub fn train(&self) -> &Section {
        &self.train
    }

    /// What settings and the best epoch are chosen by.
    #[doc(alias = "dev")]
    pub fn valid(&self) -> Option<&Section> {
        self.valid.as_ref()
    }

    /// What the network is judged by.
    pub fn test(&self) -> Option<&Section> {
        self.test.as_ref()
    }

    /// What a run writes down about its text.
    pub fn info(&self) -> &CorpusInfo {
        &self.info
    }
}

impl Section {
    /// Reads a whole text file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read in the encoding that `config` names, or has fewer than two
    /// tokens.
    pub fn open(path: impl AsRef<Path>, config: &CorpusConfig) -> Result<Self> {
        let path = path.as_ref();
        let section = Self::new(config.encoding.read(path)?, config.unit);
        section.check(path)?;
        Ok(section)
    }

    /// The tokens of `text` are of the kind `unit`.
    pub fn new(text: String, unit: Unit) -> Self {
        Self { text, unit }
    }

    /// The text as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tokens in their order.
    pub fn tokens(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self.unit {
            Unit::Word => {
                let lines = self.text.lines();
                Box::new(lines.flat_map(|line| line.split_whitespace().chain([EOS])))
            }
            Unit::Char => {
                let starts = self.text.char_indices();
                Box::new(starts.map(|(at, c)| &self.text[at..at + c.len_utf8()]))
            }
        }
    }

    /// Number of lines and tokens.
    pub fn info(&self) -> SectionInfo {
        SectionInfo {
            lines: self.text.lines().count(),
            tokens: self.tokens().count(),
        }
    }

    /// A text of one token holds nothing that could follow it.
    fn check(&self, path: &Path) -> Result<()> {
        let text = self.text.trim();
        let (first, second) = match self.unit {
            Unit::Word => {
                let mut words = text.split_whitespace();
                (words.next().is_some(), words.next().is_some())
            }
            Unit::Char => (!text.is_empty(), text.chars().nth(1).is_some()),
        };
        let what = match (first, second) {
            (true, true) => return Ok(()),
            (true, false) => "holds a single token, so there is no next one to predict",
            _ => "is empty",
        };
        let what = format!("the file {what}: give a text of some thousand words or more");
        Err(Error::format(path, what))
    }

    /// 90, 5 and 5 % of the lines, or of the tokens if there are few lines; each part with one at
    /// least.
    fn cut(self, path: &Path) -> Result<[Self; 3]> {
        let mut ends = piece_ends(&self.text, |c| c == '\n');
        if ends.len() < 3 {
            ends = match self.unit {
                Unit::Word => piece_ends(&self.text, char::is_whitespace),
                Unit::Char => piece_ends(&self.text, |_| true),
            };
        }
        let pieces = ends.len();
        let small = ((pieces + 10) / 20).max(1);
        if pieces < 3 {
            return Err(Error::format(
                path,
                format!(
                    "the file has {pieces} tokens, too few to be cut into train, valid and test: \
                     give some thousand or more, or a folder with a file for each part"
                ),
            ));
        }
        let (train, valid) = (ends[pieces - 2 * small - 1], ends[pieces - small - 1]);
        let section = |text: &str| Self::new(text.to_owned(), self.unit);
        let (rest, test) = self.text.split_at(valid);
        let (train, valid) = rest.split_at(train);
        Ok([section(train), section(valid), section(test)])
    }
}

/// Where the pieces of a text end that such characters close, but for pieces of white space alone.
fn piece_ends(text: &str, closes: impl Fn(char) -> bool) -> Vec<usize> {
    let mut end = 0;
    let pieces = text.split_inclusive(closes).map(|piece| {
        end += piece.len();
        (piece, end)
    });
    let pieces = pieces.filter(|(piece, _)| !piece.trim().is_empty());
    pieces.map(|(_, end)| end).collect()
}
