//! [`Material`]: what is learned from, and how what is made is measured and shown.

use std::fmt::Debug;
use std::fs;
use std::path::PathBuf;

use mapsto_data::{Picture, animation};
use mapsto_tensor::Tensor;
use mapsto_train::{Direction, Error as TrainError, RunFolder, Scores};
use serde_json::Value;

use super::pipeline::Source;
use crate::error::{Error, Result};

/// The batches of an epoch: samples and classes.
pub(super) type Batches<'a> = Box<dyn Iterator<Item = mapsto_data::Result<(Tensor, Tensor)>> + 'a>;

/// Data of one kind.
pub(super) trait Material: Debug {
    /// Name of the set.
    fn name(&self) -> &str;

    /// What the run writes down about it.
    fn info(&self) -> Value;

    /// Batches of an epoch.
    fn steps(&self) -> usize;

    /// The batches of an epoch.
    fn batches(&self, epoch: usize) -> Batches<'_>;

    /// Measures after an epoch, and writes a picture of what is made.
    fn score(&self, source: &Source<'_>, run: &RunFolder, epoch: usize) -> Result<Scores>;

    /// Measures the finished generator, and writes pictures beside real ones.
    fn test(&self, source: &Source<'_>, run: &RunFolder) -> Result<Scores>;

    /// The figure that decides which epoch was the best.
    fn monitored(&self) -> Option<(&'static str, Direction)>;
}

/// Milliseconds that an epoch is shown for.
const FRAME: u32 = 300;

fn folder(run: &RunFolder) -> PathBuf {
    run.file("samples")
}

fn failed(action: &'static str, path: PathBuf) -> impl FnOnce(std::io::Error) -> Error {
    move |error| {
        Error::Train(TrainError::Io {
            action,
            path,
            error,
        })
    }
}

/// The file of the picture of an epoch, counted from 0.
pub(super) fn frame(run: &RunFolder, epoch: usize) -> Result<PathBuf> {
    let folder = folder(run);
    fs::create_dir_all(&folder).map_err(failed("create", folder.clone()))?;
    Ok(folder.join(format!("epoch_{:04}.png", epoch + 1)))
}

/// The pictures of all epochs as an animation.
pub(super) fn animate(run: &RunFolder, channels: usize) -> Result<()> {
    let folder = folder(run);
    let entries = fs::read_dir(&folder).map_err(failed("read", folder.clone()))?;
    let mut paths = vec![];
    for entry in entries {
        let path = entry.map_err(failed("read", folder.clone()))?.path();
        if path.extension().is_some_and(|ending| ending == "png") {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let load = |path: &PathBuf| match channels {
        1 => Picture::load(path),
        _ => Picture::load_colour(path),
    };
    let frames: Vec<Picture> = paths.iter().map(load).collect::<mapsto_data::Result<_>>()?;
    Ok(animation(&frames, FRAME, run.file("samples.gif"))?)
}
