//! Two columns of a table: CSV, TSV and lines of JSON.

use std::path::Path;

use csv::{ErrorKind, StringRecord};
use serde_json::{Map, Value};

use crate::packed::Packed;
use crate::{Encoding, Error, Result};

/// How a column is found.
#[derive(Clone, Copy)]
pub(crate) struct Column<'a> {
    /// Its name, where it is known.
    pub(crate) name: Option<&'a str>,
    /// Names that it may have, the likeliest first.
    pub(crate) usual: &'a [&'a str],
    /// The option that sets the name.
    pub(crate) option: &'static str,
}

/// What is read of a table.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    pub(crate) both: [Column<'a>; 2],
    /// Whether a `.tsv` of two columns may begin with its first row.
    pub(crate) headless: bool,
    /// What a line should hold, for the message about an empty file.
    pub(crate) hint: &'static str,
}

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

pub(crate) fn is_table(path: &Path) -> bool {
    Form::of(path).is_some()
}

/// What `row` makes of each line, counted from 1, and the fields of its two columns.
pub(crate) fn read<T>(
    path: &Path,
    encoding: Encoding,
    columns: Columns<'_>,
    row: impl Fn(u64, &str, &str) -> Result<T>,
) -> Result<Vec<T>> {
    let Some(form) = Form::of(path) else {
        // Of what is not there, the ending does not matter.
        Packed::open(path)?;
        return Err(Error::format(
            path,
            "the ending of the name tells the form, and this is none of .csv, .tsv, .jsonl and \
             .ndjson, each plain or with .gz: rename or convert the file",
        ));
    };
    let text = encoding.read(path)?;
    if text.trim().is_empty() {
        let what = format!("the file is empty: give {} a line", columns.hint);
        return Err(Error::format(path, what));
    }
    match form {
        Form::Separated(separator) => separated(path, &text, separator, columns, row),
        Form::JsonLines => json_lines(path, &text, columns, row),
    }
}

fn separated<T>(
    path: &Path,
    text: &str,
    separator: u8,
    columns: Columns<'_>,
    row: impl Fn(u64, &str, &str) -> Result<T>,
) -> Result<Vec<T>> {
    let quoting = separator == b',';
    if quoting {
        check_quotes(path, text)?;
    }
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).quoting(quoting);
    let mut reader = builder.has_headers(false).from_reader(text.as_bytes());
    let failed = |error: csv::Error| Error::format(path, ragged(&error));
    let mut header = StringRecord::new();
    reader.read_record(&mut header).map_err(failed)?;
    let names: Vec<&str> = header.iter().map(str::trim).collect();
    let (places, first) = if is_headless(&names, separator, columns) {
        ([0, 1], Some(header))
    } else {
        (find(path, &names, columns)?, None)
    };
    let read = |record: csv::Result<StringRecord>| {
        let record = record.map_err(failed)?;
        let line = record.position().map_or(0, csv::Position::line);
        let [first, second] = places.map(|place| record.get(place).unwrap_or_default());
        row(line, first, second)
    };
    let rows = first.into_iter().map(Ok).chain(reader.records());
    rows.map(read).collect()
}

/// Whether the first line holds no name of a column that could be meant.
fn is_headless(names: &[&str], separator: u8, columns: Columns<'_>) -> bool {
    let named = columns.both.iter().any(|column| column.name.is_some());
    let mut usual = columns.both.iter().flat_map(|column| column.usual);
    let known = usual.any(|usual| names.iter().any(|name| name.eq_ignore_ascii_case(usual)));
    columns.headless && separator == b'\t' && names.len() == 2 && !named && !known
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

/// The places of both columns.
fn find(path: &Path, names: &[&str], columns: Columns<'_>) -> Result<[usize; 2]> {
    let place = |column: Column<'_>| {
        let found = match column.name {
            Some(wanted) => names.iter().position(|name| *name == wanted),
            None => column.usual.iter().find_map(|usual| {
                let same = |name: &&str| name.eq_ignore_ascii_case(usual);
                names.iter().position(same)
            }),
        };
        found.ok_or_else(|| {
            let wanted = match column.name {
                Some(wanted) => format!("column `{wanted}`"),
                None => format!("column of the usual names {:?}", column.usual),
            };
            let what = format!("there is no {wanted}: the columns are {names:?}");
            Error::format(
                path,
                format!("{what}: set {} to one of them", column.option),
            )
        })
    };
    let [first, second] = columns.both;
    let places = [place(first)?, place(second)?];
    if places[0] == places[1] {
        let what = format!("{} and {} are the same", first.option, second.option);
        let what = format!("{what}: name two of the columns {names:?}");
        return Err(Error::format(path, what));
    }
    Ok(places)
}

/// Where in a field of a CSV file a byte stands.
#[derive(Clone, Copy)]
enum Place {
    Start,
    Plain,
    Quoted,
    /// After a quote that closes the field, or is the first of two.
    Closed,
    /// After blanks behind it.
    Blank,
}

/// A quote that nothing closes would swallow the rest of the file, or all up to the next quote, without
/// an error.
fn check_quotes(path: &Path, text: &str) -> Result<()> {
    let (mut line, mut opened) = (1, 1);
    let mut place = Place::Start;
    let wrong = |line: usize, what: &str| {
        let what = format!("{what}: close it, or double each quote inside a quoted field");
        Err(Error::format(path, format!("line {line}: {what}")))
    };
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
            (Place::Closed | Place::Blank, b' ' | b'\t') => Place::Blank,
            (Place::Closed | Place::Blank, _) => {
                let what = "neither a comma nor the end of the line follows the quote that closes \
                            the one that opens here";
                return wrong(opened, what);
            }
            _ => Place::Plain,
        };
        line += usize::from(byte == b'\n');
    }
    if matches!(place, Place::Quoted) {
        return wrong(opened, "the quote that opens here is never closed");
    }
    Ok(())
}

fn json_lines<T>(
    path: &Path,
    text: &str,
    columns: Columns<'_>,
    row: impl Fn(u64, &str, &str) -> Result<T>,
) -> Result<Vec<T>> {
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
        let [first, second] = match &names {
            Some(names) => names,
            None => {
                let keys: Vec<&str> = object.keys().map(String::as_str).collect();
                let found = find(path, &keys, columns)?;
                names.insert(found.map(|place| keys[place].to_owned()))
            }
        };
        let first = field(&object, first).map_err(wrong)?;
        let second = field(&object, second).map_err(wrong)?;
        rows.push(row(line, &first, &second)?);
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
