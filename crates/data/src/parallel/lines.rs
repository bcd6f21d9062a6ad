//! Two files that are line by line translations of each other.

use std::path::Path;

use super::{Rows, row};
use crate::{Encoding, Error, Result};

pub(super) fn read(paths: [&Path; 2], encoding: Encoding) -> Result<Rows> {
    let [source, target] = paths.map(|path| text(path, encoding));
    let (source, target) = (source?, target?);
    let counts = [&source, &target].map(|text| text.lines().count());
    if counts[0] != counts[1] {
        return Err(unequal(paths, counts));
    }
    let lines = source.lines().zip(target.lines());
    let pair = |(line, (source, target))| row(paths, line, source, target);
    (1..).zip(lines).map(pair).collect()
}

fn text(path: &Path, encoding: Encoding) -> Result<String> {
    let text = encoding.read(path)?;
    if text.trim().is_empty() {
        let what = "the file is empty: give a sentence a line";
        return Err(Error::format(path, what));
    }
    Ok(text)
}

/// The error of two files of different length, about the longer one.
fn unequal(paths: [&Path; 2], counts: [usize; 2]) -> Error {
    let (long, short) = if counts[0] > counts[1] {
        (0, 1)
    } else {
        (1, 0)
    };
    let other = paths[short].display();
    Error::format(
        paths[long],
        format!(
            "line {} has no partner: this file has {} lines, `{other}` has {}: give two files \
             that are line by line translations of each other",
            counts[short] + 1,
            counts[long],
            counts[short]
        ),
    )
}
