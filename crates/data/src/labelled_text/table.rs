//! The columns of a table of texts with a class each.

use std::path::Path;

use super::{LabelledTextConfig, Row, row};
use crate::Result;
use crate::table::{self, Column, Columns};

/// Columns of texts, the likeliest first.
const TEXT: &[&str] = &[
    "text", "sentence", "review", "content", "comment", "document", "phrase", "message", "tweet",
];

/// Columns of classes, the likeliest first.
const LABEL: &[&str] = &[
    "label",
    "class",
    "sentiment",
    "category",
    "target",
    "polarity",
    "rating",
];

/// The rows in their order.
pub(super) fn read(path: &Path, config: &LabelledTextConfig) -> Result<Vec<Row>> {
    let text = Column {
        name: config.text_column.as_deref(),
        usual: TEXT,
        option: "text_column",
    };
    let label = Column {
        name: config.label_column.as_deref(),
        usual: LABEL,
        option: "label_column",
    };
    let columns = Columns {
        both: [text, label],
        headless: false,
        hint: "a text and its class",
    };
    table::read(path, config.encoding, columns, |line, text, label| {
        row(path, line, text, label)
    })
}
