//! Finds the files of the parts train, valid and test in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The words that tell a file's part, by part.
pub(crate) const NAMES: [(&str, &[&str]); 3] = [
    ("train", &["train", "training"]),
    ("valid", &["valid", "val", "dev", "validation"]),
    ("test", &["test"]),
];

/// The files of the parts.
#[derive(Debug)]
pub(crate) enum Parts {
    /// One file to be cut.
    Single(PathBuf),
    /// A file for each part.
    Several {
        train: PathBuf,
        valid: Option<PathBuf>,
        test: Option<PathBuf>,
    },
}

impl Parts {
    pub(crate) fn find(source: &Path) -> Result<Self> {
        if source.is_file() {
            return Ok(Self::Single(source.to_owned()));
        }
        if !source.is_dir() {
            return Err(missing(source, "it does not exist"));
        }
        let names = file_names(source)?;
        let mut found: [Option<&str>; 3] = [None; 3];
        for name in &names {
            if let Some(part) = part(source, name)? {
                take(source, &mut found, part, name)?;
            }
        }
        // A name like `trainset2.txt` is one of a part, if there is no plainer one, and more than it.
        let open = found.map(|name| name.is_none());
        for name in names.iter().filter(|_| names.len() > 1) {
            if let Some(part) = loosely(name).filter(|&part| open[part]) {
                take(source, &mut found, part, name)?;
            }
        }
        let path = |name: Option<&str>| name.map(|name| source.join(name));
        let [train, valid, test] = found.map(path);
        match (train, &valid, &test, names.as_slice()) {
            (Some(train), ..) => Ok(Self::Several { train, valid, test }),
            (None, None, None, [single]) => Ok(Self::Single(source.join(single))),
            (None, None, None, []) => Err(missing(source, "the folder holds no file")),
            _ => Err(missing(source, "the folder holds no train part")),
        }
    }

    /// The files of train, valid and test; a single one is train.
    pub(crate) fn each(self) -> [Option<PathBuf>; 3] {
        match self {
            Self::Single(path) => [Some(path), None, None],
            Self::Several { train, valid, test } => [Some(train), valid, test],
        }
    }

    pub(crate) fn files(&self) -> Vec<&Path> {
        match self {
            Self::Single(path) => vec![path],
            Self::Several { train, valid, test } => {
                let optional = valid.iter().chain(test).map(PathBuf::as_path);
                std::iter::once(train.as_path()).chain(optional).collect()
            }
        }
    }
}

/// The names of the files in a folder that are not hidden, sorted.
pub(crate) fn file_names(folder: &Path) -> Result<Vec<String>> {
    let failed = |error| Error::io(folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.retain(|name| !name.starts_with('.'));
    names.sort_unstable();
    Ok(names)
}

/// Puts a file in its part's place.
fn take<'a>(
    source: &Path,
    found: &mut [Option<&'a str>; 3],
    part: usize,
    name: &'a str,
) -> Result<()> {
    match found[part] {
        // Sorted, so the plain file comes before its gzip.
        Some(plain) if name.strip_suffix(".gz") == Some(plain) => {}
        Some(other) => {
            let part = NAMES[part].0;
            let what = format!("`{other}` and `{name}` could both be the {part} part");
            return Err(ambiguous(source, &what));
        }
        None => found[part] = Some(name),
    }
    Ok(())
}

/// The number in [`NAMES`] of the part that a file belongs to.
pub(crate) fn part(folder: &Path, name: &str) -> Result<Option<usize>> {
    let lower = name.to_lowercase();
    let pieces: Vec<&str> = lower.split(['.', '-', '_']).collect();
    let named = |&part: &usize| NAMES[part].1.iter().any(|word| pieces.contains(word));
    let mut parts = (0..NAMES.len()).filter(named);
    match (parts.next(), parts.next()) {
        (Some(first), Some(second)) => {
            let (first, second) = (NAMES[first].0, NAMES[second].0);
            let what = format!("`{name}` could be the {first} part and the {second} part");
            Err(ambiguous(folder, &what))
        }
        (part, _) => Ok(part),
    }
}

/// The one part whose word is among all the words of a name: alone, with a number (`test2016`), or as
/// in `trainset`.
fn loosely(name: &str) -> Option<usize> {
    let lower = name.to_lowercase();
    let means = |piece: &str, word: &str| {
        let rest = piece.strip_prefix(word);
        let rest = rest.map(|rest| rest.trim_end_matches(|c: char| c.is_ascii_digit()));
        matches!(rest, Some("" | "set" | "data"))
    };
    let named = |&part: &usize| {
        let mut pieces = lower.split(|c: char| !c.is_alphanumeric());
        pieces.any(|piece| NAMES[part].1.iter().any(|word| means(piece, word)))
    };
    let mut parts = (0..NAMES.len()).filter(named);
    parts.next().filter(|_| parts.next().is_none())
}

/// The number in [`NAMES`] of the part that a folder of this name is.
pub(crate) fn part_of_folder(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    NAMES
        .iter()
        .position(|part| part.1.contains(&name.as_str()))
}

pub(crate) fn ambiguous(folder: &Path, what: &str) -> Error {
    let hint = "keep one text in a folder, one file a part";
    Error::format(folder, format!("{what}: {hint}"))
}

fn missing(path: &Path, what: &str) -> Error {
    Error::NotFound {
        path: path.to_owned(),
        hint: format!(
            "{what}. A text is one file, or a folder with a file whose name has the word `train` \
             (train.txt, wiki.train.tokens, ptb.train.txt.gz, trainset1.txt), and others with \
             `valid`, `val` or `dev` and with `test`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(names: &[&str]) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        let parts = Parts::find(folder.path())?;
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok(parts.files().into_iter().map(name).collect())
    }

    #[test]
    fn any_usual_name_is_known() {
        for names in [
            ["train.txt", "valid.txt", "test.txt"],
            ["wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"],
            ["ptb.train.txt.gz", "ptb.valid.txt.gz", "ptb.test.txt.gz"],
            ["Train", "my_val_part", "x-TEST"],
            ["en-training.txt", "en-dev.txt", "en-test.txt"],
            ["my train (1).txt", "valset.txt", "testdata2016.txt"],
            ["train2017.txt", "val2017.txt", "test2017.txt"],
        ] {
            let mut shuffled = names;
            shuffled.reverse();
            assert_eq!(find(&shuffled).unwrap(), names);
        }
        // `trained`, `contest` and `evaluate` only contain the words.
        let found = find(&["a.train", "trained.txt", "contest.txt", "evaluate", ".test"]);
        assert_eq!(found.unwrap(), ["a.train"]);
        assert_eq!(find(&["book.txt"]).unwrap(), ["book.txt"]);
        // A plainer name comes first, and one that says two things says nothing.
        let found = find(&[
            "train.txt",
            "train2.txt",
            "test.txt",
            "train+test.csv",
            "dev set.txt",
        ]);
        assert_eq!(found.unwrap(), ["train.txt", "dev set.txt", "test.txt"]);
        assert_eq!(find(&["test2016.txt"]).unwrap(), ["test2016.txt"]);
        let both = find(&["train.txt.gz", "train.txt", "test.gz"]);
        assert_eq!(both.unwrap(), ["train.txt", "test.gz"]);
    }

    #[test]
    fn what_could_be_two_things_is_named() {
        let message = |names: &[&str]| find(names).unwrap_err().to_string();
        let text = message(&["en.train", "de.train", "test"]);
        assert!(text.contains("`de.train` and `en.train` could both be the train part"));
        let text = message(&["train", "dev", "val"]);
        assert!(
            text.contains("`dev` and `val` could both be the valid part"),
            "{text}"
        );
        let text = message(&["train1.txt", "train2.txt"]);
        assert!(text.contains("`train1.txt` and `train2.txt` could both be the train part"));
        let text = message(&["train-test.txt"]);
        assert!(text.contains("`train-test.txt` could be the train part and the test part"));
    }

    #[test]
    fn what_is_missing_is_said() {
        for (names, what) in [
            (&["valid.txt", "test.txt"][..], "no train part"),
            (&["a.txt", "b.txt"], "no train part"),
            (&["test.txt"], "no train part"),
            (&[], "no file"),
        ] {
            let error = find(names).unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }));
            let text = error.to_string();
            assert!(
                text.contains(what) && text.contains("wiki.train.tokens"),
                "{text}"
            );
        }
        let gone = Parts::find(Path::new("no/such/text"))
            .unwrap_err()
            .to_string();
        assert!(
            gone.contains("no/such/text") && gone.contains("does not exist"),
            "{gone}"
        );
    }
}
