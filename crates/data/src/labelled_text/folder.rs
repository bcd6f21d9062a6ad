//! Folders: tables by part, one file a class, and one sub-folder a class.

use std::fs;
use std::path::{Path, PathBuf};

use super::{LabelledTextConfig, Row, Rows, row, table};
use crate::parts::{self, Parts, part_of_folder};
use crate::sentiment::CLASSES;
use crate::table::is_table;
use crate::{Encoding, Error, Result};

/// Of no class, in IMDb's set.
const NO_CLASS: &str = "unsup";

pub(super) fn read(folder: &Path, config: &LabelledTextConfig) -> Result<Rows> {
    let (files, folders) = entries(folder)?;
    let one_part = |rows| [Some(rows), None, None];
    if folders
        .iter()
        .any(|path| part_of_folder(&name(path)) == Some(0))
    {
        return parts(folder, &folders, config.encoding);
    }
    if let Some([negative, positive]) = polarity(folder, &files)? {
        let lines = |path, class| lines(path, class, config.encoding);
        let (negative, positive) = (lines(negative, CLASSES[0])?, lines(positive, CLASSES[1])?);
        return Ok(one_part([negative, positive].concat()));
    }
    if files.iter().any(|path| is_table(path)) {
        return tables(folder, config);
    }
    if folders.is_empty() {
        return Err(unknown(folder));
    }
    Ok(one_part(class_folders(&folders, config.encoding)?))
}

/// A table for each part, or a single one.
fn tables(folder: &Path, config: &LabelledTextConfig) -> Result<Rows> {
    let read = |path: Option<PathBuf>| path.map(|path| table::read(&path, config)).transpose();
    let [train, valid, test] = Parts::find(folder)?.each();
    Ok([read(train)?, read(valid)?, read(test)?])
}

/// The files and the folders in a folder that are not hidden, sorted.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |error| Error::io(folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    let (folders, files) = paths.into_iter().partition(|path| path.is_dir());
    Ok((files, folders))
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Whether `word` is an ending of the file's name, or stands between two dots of it.
fn ends_in(path: &Path, word: &str) -> bool {
    let name = name(path).to_lowercase();
    name.split('.').skip(1).any(|piece| piece == word)
}

/// The file of negative and the file of positive texts, if there is any such file.
fn polarity<'a>(folder: &Path, files: &'a [PathBuf]) -> Result<Option<[&'a Path; 2]>> {
    let of_class = |word| -> Vec<&Path> {
        let files = files.iter().map(PathBuf::as_path);
        files.filter(|path| ends_in(path, word)).collect()
    };
    let (negative, positive) = (of_class("neg"), of_class("pos"));
    if negative.is_empty() && positive.is_empty() {
        return Ok(None);
    }
    let negative = only(folder, &negative, "neg")?;
    Ok(Some([negative, only(folder, &positive, "pos")?]))
}

/// The one file of a class; where it is there both plain and packed, the plain one, which comes
/// first.
fn only<'a>(folder: &Path, found: &[&'a Path], word: &str) -> Result<&'a Path> {
    let what = match found {
        [single] => return Ok(single),
        [plain, packed] if *plain == packed.with_extension("") => return Ok(plain),
        [] => format!("there is no file *.{word}* beside that of the other class: add it"),
        several => {
            let names: Vec<_> = several.iter().filter_map(|path| path.file_name()).collect();
            format!("{names:?} are all files *.{word}*: keep one of them in the folder")
        }
    };
    Err(Error::format(folder, what))
}

/// A text a line.
fn lines(path: &Path, class: &str, encoding: Encoding) -> Result<Vec<Row>> {
    let text = encoding.read(path)?;
    if text.trim().is_empty() {
        return Err(Error::format(path, "the file is empty: give a text a line"));
    }
    let rows = (1..).zip(text.lines());
    rows.map(|(line, text)| row(path, line, text, class))
        .collect()
}

/// A sub-folder for each part that is there, each with a sub-folder for each class.
fn parts(folder: &Path, folders: &[PathBuf], encoding: Encoding) -> Result<Rows> {
    let mut rows: Rows = [const { None }; 3];
    for path in folders {
        let Some(part) = part_of_folder(&name(path)) else {
            continue;
        };
        if rows[part].is_some() {
            let what = format!("two folders could be the {} part", parts::NAMES[part].0);
            return Err(parts::ambiguous(folder, &what));
        }
        let (_, classes) = entries(path)?;
        if classes.is_empty() {
            return Err(unknown(path));
        }
        rows[part] = Some(class_folders(&classes, encoding)?);
    }
    Ok(rows)
}

/// A text in each `.txt` file of each folder; the folder's name is the class.
fn class_folders(folders: &[PathBuf], encoding: Encoding) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for folder in folders.iter().filter(|folder| name(folder) != NO_CLASS) {
        let class = name(folder);
        let (mut files, _) = entries(folder)?;
        files.retain(|path| ends_in(path, "txt"));
        if files.is_empty() {
            return Err(Error::format(
                folder,
                "the folder of a class holds no .txt file: give one for each text, or remove it",
            ));
        }
        for path in files {
            let text = encoding.read(&path)?;
            rows.push(row(&path, 1, &text, &class)?);
        }
    }
    Ok(rows)
}

fn unknown(folder: &Path) -> Error {
    Error::NotFound {
        path: folder.to_owned(),
        hint: "no labelled texts are there. Give a .csv, .tsv or .jsonl file; or a folder with \
               such tables for train, valid and test; or one with a *.pos and a *.neg file; \
               or one with a sub-folder of .txt files for each class"
            .to_owned(),
    }
}
