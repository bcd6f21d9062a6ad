//! Tables: CSV, TSV and lines of JSON.

use std::path::Path;

use csv::{ErrorKind, StringRecord};
use serde_json::{Map, Value};

use super::{LabelledTextConfig, Row, row};
use crate::{Error, Result};

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

/// The form of a table.
#[derive(Clone, Copy)]
enum Form {
    Separated(u8),
    JsonLines,
}

impl Form {
    fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        match name.strip_suffix(".gz").unwrap_or(&name).rsplit_once('.')? {
            (_, "csv") => Some(Self::Separated(b',')),
            (_, "tsv") => Some(Self::Separated(b'\t')),
            (_, "jsonl" | "ndjson") => Some(Self::JsonLines),
            _ => None,
        }
    }
}

pub(super) fn is_table(path: &Path) -> bool {
    Form::of(path).is_some()
}

/// The rows in their order.
pub(super) fn read(path: &Path, config: &LabelledTextConfig) -> Result<Vec<Row>> {
    let text = config.encoding.read(path)?;
    let Some(form) = Form::of(path) else {
        return Err(Error::format(
            path,
            "the ending of the name tells the form, and this is none of .csv, .tsv, .jsonl and \
             .ndjson, each plain or with .gz: rename or convert the file",
        ));
    };
    if text.trim().is_empty() {
        let what = "the file is empty: give a text and its class a line";
        return Err(Error::format(path, what));
    }
    match form {
        Form::Separated(separator) => separated(path, &text, separator, config),
        Form::JsonLines => json_lines(path, &text, config),
    }
}

fn separated(
    path: &Path,
    text: &str,
    separator: u8,
    config: &LabelledTextConfig,
) -> Result<Vec<Row>> {
    let quoting = separator == b',';
    if quoting {
        check_quotes(path, text)?;
    }
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).quoting(quoting);
    let mut reader = builder.from_reader(text.as_bytes());
    let failed = |error: csv::Error| Error::format(path, ragged(&error));
    let header = reader.headers().map_err(failed)?.clone();
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let [of_text, of_label] = columns(path, &names, config)?;
    let read = |record: csv::Result<StringRecord>| {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let field = |column: usize| record.get(column).unwrap_or_default();
        row(path, line, field(of_text), field(of_label))
    };
    reader.records().map(read).collect()
}

fn ragged(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => format!(
            "line {}: the number of fields is {len}, but there are {expected_len} columns: check \
             the separators, and in a .csv file quote a field that holds a comma",
            pos.as_ref().map_or(0, csv::Position::line)
        ),
        _ => format!("{error}: check the separators"),
    }
}

/// The places of the columns of texts and of classes.
fn columns(path: &Path, names: &[&str], config: &LabelledTextConfig) -> Result<[usize; 2]> {
    let find = |wanted: &Option<String>, usual: &[&str], option: &str| {
        let found = match wanted {
            Some(wanted) => names.iter().position(|name| name == wanted),
            None => usual.iter().find_map(|usual| {
                let same = |name: &&str| name.eq_ignore_ascii_case(usual);
                names.iter().position(same)
            }),
        };
        found.ok_or_else(|| {
            let wanted = match wanted {
                Some(wanted) => format!("column `{wanted}`"),
                None => format!("column of the usual names {usual:?}"),
            };
            let what = format!("there is no {wanted}: the columns are {names:?}");
            Error::format(path, format!("{what}: set {option} to one of them"))
        })
    };
    let text = find(&config.text_column, TEXT, "text_column")?;
    let label = find(&config.label_column, LABEL, "label_column")?;
    if text == label {
        let what = "text_column and label_column are the same";
        let what = format!("{what}: name two of the columns {names:?}");
        return Err(Error::format(path, what));
    }
    Ok([text, label])
}

/// Where in a field of a CSV file a byte stands.
#[derive(Clone, Copy)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// After a quote that closes the field, or is the first of two.
    Closed,
}

/// A quote that nothing closes would swallow the rest of the file without an error.
fn check_quotes(path: &Path, text: &str) -> Result<()> {
    let (mut line, mut opened) = (1, 1);
    let mut place = Place::Start;
    for byte in text.bytes() {
        place = match (place, byte) {
            (Place::Start, b'"') => {
                opened = line;
                Place::Quoted
            }
            // Of two quotes in a row inside a field the second goes on with it.
            (Place::Closed, b'"') => Place::Quoted,
            (Place::Quoted, b'"') => Place::Closed,
            (Place::Quoted, _) => Place::Quoted,
            (_, b',' | b'\n') => Place::Start,
            _ => Place::Plain,
        };
        line += usize::from(byte == b'\n');
    }
    if matches!(place, Place::Quoted) {
        let what = "the quote that opens here is never closed: close it, or double each quote \
                    inside a quoted field";
        return Err(Error::format(path, format!("line {opened}: {what}")));
    }
    Ok(())
}

fn json_lines(path: &Path, text: &str, config: &LabelledTextConfig) -> Result<Vec<Row>> {
    // The first object names the columns of all.
    let mut names: Option<[String; 2]> = None;
    let mut rows = Vec::new();
    for (line, json) in (1..).zip(text.lines()) {
        if json.trim().is_empty() {
            continue;
        }
        let wrong = |what| Error::format(path, format!("line {line}: {what}"));
        let object: Map<String, Value> = serde_json::from_str(json).map_err(|error| {
            // serde counts lines from this one on, so of its place only the column tells.
            let error = error.to_string().replace("line 1 column", "column");
            wrong(format!("expected a JSON object: {error}: mend the line"))
        })?;
        let [of_text, of_label] = match &names {
            Some(names) => names,
            None => {
                let keys: Vec<&str> = object.keys().map(String::as_str).collect();
                let found = columns(path, &keys, config)?;
                names.insert(found.map(|column| keys[column].to_owned()))
            }
        };
        let text = field(&object, of_text).map_err(wrong)?;
        let label = field(&object, of_label).map_err(wrong)?;
        rows.push(row(path, line, &text, &label)?);
    }
    Ok(rows)
}

/// A text, or a number or truth value as text.
fn field(object: &Map<String, Value>, name: &str) -> Result<String, String> {
    match object.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(value.to_string()),
        Some(_) => Err(format!(
            "`{name}` is neither a text nor a number: make it one"
        )),
        None => {
            let names: Vec<&String> = object.keys().collect();
            let what = format!("there is no `{name}`: the object has {names:?}");
            Err(format!("{what}: give every object the same keys"))
        }
    }
}
