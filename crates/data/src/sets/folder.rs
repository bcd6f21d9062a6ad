//! Finds the files of a set in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Split, known};
use crate::{Error, Idx, Result};

pub(super) const CLASSES: &str = "classes.txt";

/// The files of a set.
pub(super) struct Folder {
    pub(super) path: PathBuf,
    train: Option<Pair>,
    test: Option<Pair>,
    classes: Option<PathBuf>,
}

/// The two files of a split.
pub(super) struct Pair {
    pub(super) images: PathBuf,
    pub(super) labels: PathBuf,
}

/// What a set's classes are, and which known set it is.
pub(super) struct Classes {
    pub(super) names: Vec<String>,
    pub(super) known: Option<&'static known::Known>,
}

impl Folder {
    pub(super) fn find(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            let state = if path.exists() {
                "is a file, not a folder"
            } else {
                "does not exist"
            };
            return Err(missing(path, &format!("the folder {state}")));
        }
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| Error::io(path, error))? {
            let entry = entry.map_err(|error| Error::io(path, error))?;
            names.extend(entry.file_name().into_string());
        }
        names.sort_unstable();
        let folder = Self {
            path: path.to_owned(),
            train: pair(path, &names, &["train"])?,
            test: pair(path, &names, &["t10k", "test"])?,
            classes: names
                .iter()
                .any(|name| name == CLASSES)
                .then(|| path.join(CLASSES)),
        };
        if folder.train.is_none() && folder.test.is_none() {
            return Err(missing(path, "the folder holds none of the files"));
        }
        Ok(folder)
    }

    /// The files of a split, which must be there.
    pub(super) fn pair(&self, split: Split) -> Result<&Pair> {
        self.get(split)
            .ok_or_else(|| missing(&self.path, &format!("the folder holds no {split} split")))
    }

    pub(super) fn get(&self, split: Split) -> Option<&Pair> {
        match split {
            Split::Train => self.train.as_ref(),
            Split::Test => self.test.as_ref(),
        }
    }

    /// The set's own files, `classes.txt` among them.
    pub(super) fn files(&self) -> Vec<&Path> {
        let pairs = self.train.iter().chain(&self.test);
        let mut files: Vec<&Path> = pairs.flat_map(|p| [&*p.images, &*p.labels]).collect();
        files.extend(self.classes.as_deref());
        files
    }

    /// The names of the classes, the same for both splits.
    pub(super) fn classes(&self) -> Result<Classes> {
        let known = self.known()?;
        let names = match (&self.classes, known) {
            (Some(file), _) => read_names(file)?,
            (None, Some(known)) => known.class_names.iter().map(|&n| n.to_owned()).collect(),
            (None, None) => self.numbers()?,
        };
        Ok(Classes { names, known })
    }

    /// The known set that all label files here belong to.
    fn known(&self) -> Result<Option<&'static known::Known>> {
        let mut found = None;
        for pair in self.train.iter().chain(&self.test) {
            let dims = Idx::read_dims(&pair.images)?;
            let of_pair = known::find(&dims, &Idx::read(&pair.labels)?)?;
            match (of_pair, found) {
                (Some(of_pair), None) => found = Some(of_pair),
                (Some(of_pair), Some(found)) if std::ptr::eq(of_pair, found) => {}
                _ => return Ok(None),
            }
        }
        Ok(found)
    }

    /// `0` up to the largest label of the train split.
    fn numbers(&self) -> Result<Vec<String>> {
        let Some(pair) = &self.train else {
            return Err(missing(
                &self.path,
                &format!(
                    "the folder has neither a train split nor `{CLASSES}`, so the number of \
                     classes is unknown"
                ),
            ));
        };
        let labels = Idx::read(&pair.labels)?;
        let largest = labels.data.iter().copied().max().unwrap_or(0);
        Ok((0..=largest).map(|class| class.to_string()).collect())
    }
}

impl Pair {
    /// Reads the labels, of which there must be `count`.
    pub(super) fn labels(&self, count: usize) -> Result<Idx> {
        let labels = Idx::read(&self.labels)?;
        self.check_labels(&labels.dims, count)?;
        Ok(labels)
    }

    pub(super) fn check_labels(&self, dims: &[usize], count: usize) -> Result<()> {
        match *dims {
            [labels] if labels == count => Ok(()),
            [labels] => Err(Error::format(
                &self.labels,
                format!(
                    "holds {labels} labels, but {} holds {count} pictures: take both files from \
                     the same set",
                    self.images.display()
                ),
            )),
            _ => Err(Error::format(
                &self.labels,
                format!("byte 3: labels have 1 dimension, this file has {dims:?}"),
            )),
        }
    }
}

/// The dimensions of a file of pictures: number, height, width.
pub(super) fn picture_dims(path: &Path, dims: &[usize]) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(dims).map_err(|_| {
        let what = "byte 3: pictures have 3 dimensions (number, height, width), this file has";
        Error::format(path, format!("{what} {dims:?}"))
    })
}

/// The pictures and labels of a split, or nothing if both are missing.
fn pair(folder: &Path, names: &[String], splits: &[&str]) -> Result<Option<Pair>> {
    let images = single(folder, names, splits, "images", "idx3-ubyte")?;
    let labels = single(folder, names, splits, "labels", "idx1-ubyte")?;
    let lacking = |there: &Path, what| {
        let there = there.display();
        missing(folder, &format!("there is {there}, but no {what} to it"))
    };
    match (images, labels) {
        (Some(images), Some(labels)) => Ok(Some(Pair { images, labels })),
        (Some(images), None) => Err(lacking(&images, "labels")),
        (None, Some(labels)) => Err(lacking(&labels, "pictures")),
        (None, None) => Ok(None),
    }
}

/// The one file of this kind; where a file is there both plain and as gzip, the plain one.
fn single(
    folder: &Path,
    names: &[String],
    splits: &[&str],
    kind: &str,
    ending: &str,
) -> Result<Option<PathBuf>> {
    let plain = |name: &str| name.strip_suffix(".gz").unwrap_or(name).to_owned();
    let fits = |name: &&String| {
        let stem = plain(name);
        let start = |split: &&str| stem.starts_with(&format!("{split}-{kind}"));
        splits.iter().any(start) && stem.ends_with(ending)
    };
    // Sorted, so the plain file comes before its gzip.
    let found: Vec<&String> = names.iter().filter(fits).collect();
    match found.as_slice() {
        [] => Ok(None),
        [first, others @ ..] if others.iter().all(|other| plain(other) == **first) => {
            Ok(Some(folder.join(first)))
        }
        several => Err(Error::format(
            folder,
            format!("several files could be the {kind}: {several:?}: keep one set in a folder"),
        )),
    }
}

fn read_names(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| Error::io(path, error))?;
    let names: Vec<String> = text
        .trim_end()
        .lines()
        .map(|l| l.trim().to_owned())
        .collect();
    match names.iter().position(String::is_empty) {
        Some(line) => Err(Error::format(
            path,
            format!("line {} is empty: give one class name a line", line + 1),
        )),
        None if names.is_empty() => Err(Error::format(
            path,
            "the file is empty: give one class name a line, or remove it",
        )),
        None => Ok(names),
    }
}

fn missing(path: &Path, what: &str) -> Error {
    Error::NotFound {
        path: path.to_owned(),
        hint: format!(
            "{what}. A set is a folder with the IDX files train-images*idx3-ubyte, \
             train-labels*idx1-ubyte, t10k-images*idx3-ubyte (or test-images*) and \
             t10k-labels*idx1-ubyte (or test-labels*), each plain or .gz, and optionally \
             {CLASSES} with one class name a line"
        ),
    }
}
