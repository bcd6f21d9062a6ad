//! Folders: tables by part, and files by part and language.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{ParallelTextConfig, Read, Rows, lines, table};
use crate::parts::{self, Parts};
use crate::table::is_table;
use crate::{Error, Result};

/// The test set that is taken where there are several.
const TEST: [&str; 2] = ["test", "test_2016_flickr"];

/// Names of files that a message shows.
const MOST_NAMES: usize = 24;

pub(super) fn read(folder: &Path, config: &ParallelTextConfig) -> Result<Read> {
    let names = parts::file_names(folder)?;
    if names.iter().any(|name| is_table(Path::new(name))) {
        return tables(folder, config);
    }
    let languages = languages(folder, &names, config)?;
    let stems = stems(folder, &names, languages)?;
    let [train, valid, test] = stems;
    let train = only(folder, "train", train)?;
    let valid = only(folder, "valid", valid)?;
    let test = test_set(folder, &names, languages, test, config)?;
    if train.is_none() {
        let what = format!("no train file of {}", both(languages));
        return Err(missing(folder, &names, &what));
    }
    let mut files = Vec::new();
    let mut read = |stem: Option<&str>| -> Result<Option<Rows>> {
        let Some(stem) = stem else { return Ok(None) };
        let [source, target] = languages.map(|language| file(folder, &names, stem, language));
        let (source, target) = (source?, target?);
        let rows = lines::read([&source, &target], config.encoding)?;
        files.extend([source, target]);
        Ok(Some(rows))
    };
    let rows = [read(train)?, read(valid)?, read(test)?];
    Ok(Read { rows, files })
}

/// A table for each part, or a single one.
fn tables(folder: &Path, config: &ParallelTextConfig) -> Result<Read> {
    let parts = Parts::find(folder)?;
    let files = parts.files().into_iter().map(Path::to_owned).collect();
    let read = |path: Option<PathBuf>| path.map(|path| table::read(&path, config)).transpose();
    let [train, valid, test] = parts.each();
    let rows = [read(train)?, read(valid)?, read(test)?];
    Ok(Read { rows, files })
}

/// The languages that the settings name.
fn languages<'a>(
    folder: &Path,
    names: &[String],
    config: &'a ParallelTextConfig,
) -> Result<[&'a str; 2]> {
    match (&config.source_language, &config.target_language) {
        (Some(source), Some(target)) if source == target => Err(Error::Config(format!(
            "source_language and target_language are both `{source}`: name two languages"
        ))),
        (Some(source), Some(target)) => Ok([source, target]),
        _ => Err(missing(
            folder,
            names,
            "no table, and of files by language source_language and target_language are not set",
        )),
    }
}

/// The names without language of the files of each part, but for variants such as
/// `train.tok` beside `train`.
fn stems<'a>(
    folder: &Path,
    names: &'a [String],
    languages: [&str; 2],
) -> Result<[Vec<&'a str>; 3]> {
    let stem = |name: &'a String| languages.iter().find_map(|language| stem(name, language));
    let all: BTreeSet<&str> = names.iter().filter_map(stem).collect();
    let variant = |stem: &str| {
        let rest = |plain: &&str| stem.strip_prefix(*plain);
        all.iter()
            .filter_map(rest)
            .any(|rest| rest.starts_with('.'))
    };
    let mut stems = [const { Vec::new() }; 3];
    for stem in all.iter().filter(|stem| !variant(stem)) {
        if let Some(part) = parts::part(folder, stem)? {
            stems[part].push(*stem);
        }
    }
    Ok(stems)
}

/// What stands before the language in a file's name, if it ends in it.
fn stem<'a>(name: &'a str, language: &str) -> Option<&'a str> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(language)?.strip_suffix('.')
}

fn only<'a>(folder: &Path, part: &str, stems: Vec<&'a str>) -> Result<Option<&'a str>> {
    match stems.as_slice() {
        [] => Ok(None),
        [single] => Ok(Some(single)),
        several => Err(Error::format(
            folder,
            format!("{several:?} could all be the {part} part: keep one of them in the folder"),
        )),
    }
}

fn test_set<'a>(
    folder: &Path,
    names: &[String],
    languages: [&str; 2],
    stems: Vec<&'a str>,
    config: &'a ParallelTextConfig,
) -> Result<Option<&'a str>> {
    if let Some(wanted) = &config.test {
        let named = |name: &String| {
            let mut languages = languages.iter();
            languages.any(|language| stem(name, language) == Some(wanted))
        };
        if names.iter().any(named) {
            return Ok(Some(wanted));
        }
        let what = format!("no test set `{wanted}` of {}", both(languages));
        return Err(missing(folder, names, &what));
    }
    match stems.as_slice() {
        [] => Ok(None),
        [single] => Ok(Some(single)),
        several => {
            let usual = TEST.into_iter().find(|usual| several.contains(usual));
            let what = format!("{several:?} are all test sets: set test to one of them");
            usual.map(Some).ok_or_else(|| Error::format(folder, what))
        }
    }
}

/// The file of a part and language, plain or packed.
fn file(folder: &Path, names: &[String], stem: &str, language: &str) -> Result<PathBuf> {
    let plain = format!("{stem}.{language}");
    let packed = format!("{plain}.gz");
    // Sorted, so the plain file comes first.
    let found = names
        .iter()
        .find(|name| **name == plain || **name == packed);
    let found = found.map(|name| folder.join(name));
    found.ok_or_else(|| {
        let beside = names.iter().filter(|name| name.starts_with(stem));
        let beside: Vec<_> = beside.cloned().collect();
        missing(folder, &beside, &format!("no file `{plain}` or `{packed}`"))
    })
}

fn both([source, target]: [&str; 2]) -> String {
    format!("the languages `{source}` and `{target}`")
}

fn missing(folder: &Path, names: &[String], what: &str) -> Error {
    let shown = &names[..names.len().min(MOST_NAMES)];
    let more = names.len() - shown.len();
    Error::NotFound {
        path: folder.to_owned(),
        hint: format!(
            "{what}. There are {shown:?} and {more} more. Set source_language and \
             target_language (--source-language, --target-language) to what the names of the two \
             files of a part end in, as in train.de and train.en; or give tables for train, \
             valid and test"
        ),
    }
}
