//! Picture sets from a folder of IDX files, or drawn: [`open`], [`describe`], [`digits()`].
//!
//! [`open`] knows a set by its files, so every set in MNIST's form works like MNIST, whatever
//! the size of its pictures and the number of its classes:
//!
//! | | train | test |
//! | --- | --- | --- |
//! | pictures | `train-images*idx3-ubyte[.gz]` | `t10k-` or `test-images*idx3-ubyte[.gz]` |
//! | labels | `train-labels*idx1-ubyte[.gz]` | `t10k-` or `test-labels*idx1-ubyte[.gz]` |
//!
//! The classes are the lines of `classes.txt` if the folder has one; else those of MNIST or
//! Fashion-MNIST if the labels are theirs (their hashes are known); else `0` up to the largest
//! label of the train split.
//!
//! ```no_run
//! use mapsto_data::{Dataset, Split, describe, open};
//! let train = open("data/fashion-mnist", Split::Train)?;
//! assert_eq!((train.len(), train.class_names()[9].as_str()), (60_000, "Ankle boot"));
//! assert_eq!(describe("data/fashion-mnist")?.licence.as_deref(), Some("MIT"));
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! ```
//! use mapsto_data::{Dataset, Split, digits};
//! let test = digits(Split::Test, 100, 42)?;
//! assert_eq!((test.len(), test.height(), test.width()), (100, 28, 28));
//! # Ok::<(), mapsto_data::Error>(())
//! ```

mod drawn;
mod folder;
mod info;
mod known;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use drawn::digits;
pub use info::{FileInfo, SetInfo};
pub(crate) use info::{hex, own_name};

use crate::{Error, Idx, ImageSet, Result};
use folder::Folder;

/// A part of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What a network learns from.
    Train,
    /// What it is judged by.
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Test => "test",
        })
    }
}

/// Reads one split of the set in the folder `source`.
///
/// # Errors
///
/// Where the folder, the split or one of its files is missing, several files could be one of them,
/// files are damaged or do not fit each other, or a label is that of no class.
pub fn open(source: impl AsRef<Path>, split: Split) -> Result<ImageSet> {
    let folder = Folder::find(source.as_ref())?;
    let pair = folder.pair(split)?;
    let classes = folder.classes()?.names;
    let images = Idx::read(&pair.images)?;
    let [count, height, width] = folder::picture_dims(&pair.images, &images.dims)?;
    let labels = pair.labels(count)?;
    let beyond = |&(_, &label): &(usize, &u8)| usize::from(label) >= classes.len();
    if let Some((index, label)) = labels.data.iter().enumerate().find(beyond) {
        return Err(Error::format(
            &pair.labels,
            format!(
                "label {index} is {label}, but the set has {} classes (0 to {}): correct the \
                 label, or name all classes in a file `{}`, one a line",
                classes.len(),
                classes.len().saturating_sub(1),
                folder::CLASSES
            ),
        ));
    }
    let labels = labels.data.into_iter().map(u32::from).collect();
    ImageSet::new(images.data, labels, (height, width), classes)
}

/// Says what the folder `source` holds: files with their hashes, sizes, classes and licence.
///
/// # Errors
///
/// Where the folder or one of its files is missing, several files could be one of them, or files
/// are damaged or do not fit each other.
pub fn describe(source: impl AsRef<Path>) -> Result<SetInfo> {
    SetInfo::of(&Folder::find(source.as_ref())?)
}
