//! What a run writes down about its data.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::folder::{Folder, picture_dims};
use super::{Split, known};
use crate::{Error, Idx, Result, digits};

/// What a run writes down about its data, so that the same data can be found again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetInfo {
    /// `mnist`, `fashion-mnist`, `digits`, or the name of the folder.
    pub name: String,
    /// The files, in the order pictures and labels of train, of test, class names.
    pub files: Vec<FileInfo>,
    /// The seed of a drawn set.
    pub seed: Option<u64>,
    /// Number of pictures to learn from.
    pub train: usize,
    /// Number of pictures to judge by.
    pub test: usize,
    /// Height of the pictures in pixels.
    pub height: usize,
    /// Width of the pictures in pixels.
    pub width: usize,
    /// The name of each class.
    pub class_names: Vec<String>,
    /// The licence, where it is known.
    pub licence: Option<String>,
}

/// A file of a set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// The name in the set's folder.
    pub name: String,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file as it stands there, in hexadecimal.
    pub sha256: String,
}

impl FileInfo {
    /// Reads and hashes a file.
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let failed = |error| Error::io(path, error);
        let mut hash = Sha256::new();
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(failed)?);
        let mut bytes = 0;
        loop {
            let read = file.fill_buf().map_err(failed)?;
            if read.is_empty() {
                break;
            }
            hash.update(read);
            let len = read.len();
            bytes += len as u64;
            file.consume(len);
        }
        Ok(Self {
            name: file_name(path),
            bytes,
            sha256: hex(&hash.finalize()),
        })
    }
}

impl SetInfo {
    /// The set that [`digits`](fn@crate::digits) draws.
    pub fn digits(train: usize, test: usize, seed: u64) -> Self {
        Self {
            name: "digits".to_owned(),
            files: Vec::new(),
            seed: Some(seed),
            train,
            test,
            height: digits::SIDE,
            width: digits::SIDE,
            class_names: known::DIGITS.map(str::to_owned).to_vec(),
            licence: Some(env!("CARGO_PKG_LICENSE").to_owned()),
        }
    }

    pub(super) fn of(folder: &Folder) -> Result<Self> {
        let classes = folder.classes()?;
        let [train, test] = [Split::Train, Split::Test].map(|split| size(folder, split));
        let (train, test) = (train?, test?);
        let [_, height, width] = match (train, test) {
            (Some(train), Some(test)) if train[1..] != test[1..] => {
                return Err(Error::format(
                    &folder.path,
                    format!(
                        "train pictures are {}x{}, test pictures {}x{}: take both from the same \
                         set",
                        train[1], train[2], test[1], test[2]
                    ),
                ));
            }
            (Some(size), _) | (None, Some(size)) => size,
            (None, None) => [0; 3],
        };
        let own_name = || own_name(&folder.path);
        Ok(Self {
            name: classes.known.map_or_else(own_name, |k| k.name.to_owned()),
            files: folder
                .files()
                .into_iter()
                .map(FileInfo::of)
                .collect::<Result<_>>()?,
            seed: None,
            train: train.map_or(0, |size| size[0]),
            test: test.map_or(0, |size| size[0]),
            height,
            width,
            class_names: classes.names,
            licence: classes.known.map(|known| known.licence.to_owned()),
        })
    }
}

/// Number, height and width of a split's pictures.
fn size(folder: &Folder, split: Split) -> Result<Option<[usize; 3]>> {
    let Some(pair) = folder.get(split) else {
        return Ok(None);
    };
    let size = picture_dims(&pair.images, &Idx::read_dims(&pair.images)?)?;
    pair.check_labels(&Idx::read_dims(&pair.labels)?, size[0])?;
    Ok(Some(size))
}

/// The last part of the whole path, also where `path` is `.` or the like.
pub(crate) fn own_name(path: &Path) -> String {
    match path.canonicalize() {
        Ok(path) => file_name(&path),
        Err(_) => file_name(path),
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
