//! [`PictureFolder`]: any folder of PNG and JPEG files as a set of pictures of one size.
//!
//! Each picture is cut to the wanted shape about its middle and resized; grey or colour, 8 or 16
//! bits, transparent or not. Where the folder has sub-folders with pictures, each is a class of the
//! folder's name, and pictures beside them are refused; otherwise all are of one class. Hidden files
//! and files of other kinds are left alone. A picture that cannot be read is skipped and named in
//! [`PictureFolder::skipped`], or refused if `strict`.
//!
//! ```
//! use mapsto_data::{Dataset, Picture, PictureFolder, PictureFolderConfig};
//! let folder = tempfile::tempdir().unwrap();
//! for (name, grey) in [("a.png", 0.0), ("b.png", 1.0)] {
//!     Picture::new(vec![grey; 12], 3, 4)?.save_png(folder.path().join(name))?;
//! }
//! let read = PictureFolder::read(folder.path(), &PictureFolderConfig::grey(8, 8))?;
//! assert_eq!((read.set.len(), read.set.height(), read.skipped.len()), (2, 8, 0));
//! assert_eq!(read.set.pixels(1)?, [255; 64]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageBuffer, Luma};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{Error, ImageSet, Picture, Result};

/// What becomes of the pictures of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureFolderConfig {
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows of every picture.
    pub height: usize,
    /// Columns of every picture.
    pub width: usize,
    /// Whether a picture that cannot be read is an error, and not skipped; default no.
    #[serde(default)]
    pub strict: bool,
}

impl PictureFolderConfig {
    /// Grey pictures of this size; broken ones are skipped.
    pub const fn grey(height: usize, width: usize) -> Self {
        Self {
            channels: 1,
            height,
            width,
            strict: false,
        }
    }

    /// Pictures in colour of this size; broken ones are skipped.
    pub const fn colour(height: usize, width: usize) -> Self {
        Self {
            channels: 3,
            ..Self::grey(height, width)
        }
    }
}

/// The pictures of a folder.
#[derive(Debug, Clone)]
pub struct PictureFolder {
    /// The pictures, in the order of their paths, and their classes.
    pub set: ImageSet,
    /// Those that could not be read, each with the reason.
    pub skipped: Vec<(PathBuf, String)>,
}

impl PictureFolder {
    /// Reads all pictures of a folder, on all processors.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no picture, [`Error::Format`] when none can be read, or
    /// one cannot if `strict`, or pictures lie beside folders of classes.
    pub fn read(folder: impl AsRef<Path>, config: &PictureFolderConfig) -> Result<Self> {
        let folder = folder.as_ref();
        let (class_names, files) = find(folder)?;
        let read = |(path, label): &Labelled| (pixels(path, config), path.clone(), *label);
        let all: Vec<_> = files.par_iter().map(read).collect();
        let (mut bytes, mut labels, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for (pixels, path, label) in all {
            match pixels {
                Ok(pixels) => {
                    bytes.extend(pixels);
                    labels.push(label);
                }
                Err(error) if config.strict => return Err(error),
                Err(error) => skipped.push((path, error.to_string())),
            }
        }
        if labels.is_empty() {
            let first = skipped.first().map_or("", |(_, reason)| reason);
            return Err(Error::format(
                folder,
                format!(
                    "none of its {} pictures can be read; the first: {first}",
                    files.len()
                ),
            ));
        }
        let size = (config.channels, config.height, config.width);
        Ok(Self {
            set: ImageSet::of_planes(bytes, labels, size, class_names)?,
            skipped,
        })
    }
}

/// A picture's file and the number of its class.
type Labelled = (PathBuf, u32);

/// The classes, and each picture with the number of its own.
fn find(folder: &Path) -> Result<(Vec<String>, Vec<Labelled>)> {
    let (files, folders) = entries(folder)?;
    let mut classes = Vec::new();
    for path in folders {
        let (pictures, _) = entries(&path)?;
        if !pictures.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            classes.push((name.into_owned(), pictures));
        }
    }
    let of_class = |label: usize, pictures: Vec<PathBuf>| {
        pictures.into_iter().map(move |path| (path, label as u32))
    };
    match (files.first(), classes.is_empty()) {
        (None, true) => Err(Error::NotFound {
            path: folder.to_owned(),
            hint: "no picture is there: give a folder of .png, .jpg or .jpeg files, or one with a \
                   sub-folder of them for each class"
                .to_owned(),
        }),
        (Some(_), true) => {
            let name = crate::sets::own_name(folder);
            Ok((vec![name], of_class(0, files).collect()))
        }
        (None, false) => {
            let (names, pictures): (Vec<_>, Vec<_>) = classes.into_iter().unzip();
            let labelled = pictures.into_iter().enumerate();
            let labelled = labelled.flat_map(|(label, pictures)| of_class(label, pictures));
            Ok((names, labelled.collect()))
        }
        (Some(file), false) => Err(Error::format(
            file,
            "lies beside sub-folders of pictures, so its class is unknown: move it into one of \
             them, or all pictures into one folder",
        )),
    }
}

/// The pictures and the folders in a folder that are not hidden, sorted.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let failed = |error| Error::io(folder, error);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        let is_picture = ["png", "jpg", "jpeg"].contains(&ending.to_lowercase().as_str());
        if path.is_dir() {
            folders.push(path);
        } else if is_picture {
            files.push(path);
        }
    }
    files.sort_unstable();
    folders.sort_unstable();
    Ok((files, folders))
}

/// A picture's bytes, plane by plane.
fn pixels(path: &Path, config: &PictureFolderConfig) -> Result<Vec<u8>> {
    let picture = match config.channels {
        1 => Picture::load(path)?,
        _ => Picture::load_colour(path)?,
    };
    let (height, width) = (picture.height(), picture.width());
    let mut bytes = Vec::with_capacity(config.channels * config.height * config.width);
    for plane in picture.pixels().chunks_exact(height * width) {
        let plane = ImageBuffer::<Luma<f32>, _>::from_raw(width as u32, height as u32, plane);
        let plane = plane.ok_or_else(|| Error::format(path, "too large: make it smaller"))?;
        // The largest piece about the middle that has the wanted shape.
        let scale = (height as f64 / config.height as f64).min(width as f64 / config.width as f64);
        let piece =
            |wanted: usize, side: usize| ((wanted as f64 * scale).round() as usize).clamp(1, side);
        let (tall, wide) = (piece(config.height, height), piece(config.width, width));
        let (top, left) = ((height - tall) / 2, (width - wide) / 2);
        let piece = crop_imm(&plane, left as u32, top as u32, wide as u32, tall as u32);
        let resized = resize(
            &*piece,
            config.width as u32,
            config.height as u32,
            FilterType::Triangle,
        );
        bytes.extend(
            resized
                .pixels()
                .map(|pixel| (pixel.0[0].clamp(0.0, 1.0) * 255.0).round() as u8),
        );
    }
    Ok(bytes)
}
