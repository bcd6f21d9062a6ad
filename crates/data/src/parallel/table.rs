//! The columns of a table of pairs.

use std::path::Path;

use super::{ParallelTextConfig, Rows, row};
use crate::Result;
use crate::table::{self, Column, Columns};

/// Columns of sentences to translate, the likeliest first.
const SOURCE: &[&str] = &["source", "src", "input", "en", "english"];

/// Columns of translations, the likeliest first.
const TARGET: &[&str] = &[
    "target", "tgt", "trg", "output", "fr", "french", "de", "german", "zh", "chinese",
];

pub(super) fn read(path: &Path, config: &ParallelTextConfig) -> Result<Rows> {
    let source = usual(config.source_language.as_deref(), SOURCE);
    let target = usual(config.target_language.as_deref(), TARGET);
    let source = Column {
        name: config.source_column.as_deref(),
        usual: &source,
        option: "source_column (--source-language)",
    };
    let target = Column {
        name: config.target_column.as_deref(),
        usual: &target,
        option: "target_column (--target-language)",
    };
    let columns = Columns {
        both: [source, target],
        headless: true,
        hint: "a sentence and its translation",
    };
    table::read(path, config.encoding, columns, |line, source, target| {
        row([path; 2], line, source, target)
    })
}

/// A language that was named comes before the usual names.
fn usual<'a>(language: Option<&'a str>, names: &[&'a str]) -> Vec<&'a str> {
    language.into_iter().chain(names.iter().copied()).collect()
}
