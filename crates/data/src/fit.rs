//! [`fit_digit`]: brings a free picture of a digit into the form of the MNIST pictures.
//!
//! MNIST's convention is bright ink on black, scaled with its aspect kept into 20/28 of the
//! side, with the centre of mass in the middle. A photograph or a drawing is brought there in
//! steps:
//!
//! 1. the paper is the median of the border; what differs from it is ink, brighter or darker,
//!    whichever is stronger over the picture;
//! 2. ink = |pixel - paper| over its largest value; the faintest part is taken off as haze, the
//!    more of it, the less even the border is;
//! 3. the ink's bounding box is scaled and placed, its centre of mass at pixel `side / 2`
//!    counted from 0, which is where MNIST has it (14.0 on average over its test pictures).
//!
//! A picture that has the wanted size and bright ink on a dark border comes back as it is, so
//! that a picture of the set itself, saved as PNG, is what the network has seen.
//!
//! **Shape:** any `Picture` to `height * width` values in 0..=1, row by row.
//!
//! ```
//! use mapsto_data::{Picture, fit_digit};
//! // A dark stroke on white paper, left of the middle.
//! let dark = |i: usize| (3..6).contains(&(i % 40)) && (5..35).contains(&(i / 40));
//! let pixels = (0..1600).map(|i| if dark(i) { 0.1 } else { 0.9 }).collect();
//! let digit = fit_digit(&Picture::new(pixels, 40, 40)?, 28, 28)?;
//! assert_eq!(digit[0], 0.0);
//! assert!(digit[14 * 28 + 14] > 0.9);
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **References:** LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.

use image::imageops::{FilterType, crop_imm, resize};
use image::{ImageBuffer, Luma};

use crate::{Error, Picture, Result};

type Grey = ImageBuffer<Luma<f32>, Vec<f32>>;

/// Share of the side that the ink fills: 20 pixels of MNIST's 28.
const BOX: f32 = 20.0 / 28.0;
/// Ink that differs less from the paper than this is none.
const LEAST_CONTRAST: f32 = 0.1;
/// Bounds of the haze, as a share of the strongest ink: what compression leaves around strokes
/// on even paper, and what must remain of the ink on uneven paper.
const HAZE: (f32, f32) = (0.05, 0.5);
/// The share of the border that is taken for paper; the rest may be ink that touches it.
const PAPER_SHARE: f32 = 0.9;
/// How much less even the paper may be inside than at the border.
const UNEVEN: f32 = 3.0;
/// The brightest border that counts as dark.
const DARK: f32 = 0.25;

/// Brings a picture into the form of the MNIST pictures, `height` by `width`.
///
/// # Errors
///
/// Where `height` or `width` is 0, or the picture is in colour, blank or too large to be scaled.
pub fn fit_digit(picture: &Picture, height: usize, width: usize) -> Result<Vec<f32>> {
    if height == 0 || width == 0 {
        return Err(Error::Config(format!(
            "a digit cannot be fitted into {height}x{width}: give sides of 1 or more"
        )));
    }
    if picture.channels() != 1 {
        return Err(Error::Config(
            "a digit is fitted from a grey picture, and this is one in colour: load it in grey"
                .to_owned(),
        ));
    }
    let border = border(picture);
    let paper = border[border.len() / 2];
    let bright = bright_ink(picture, paper);
    let contrast = |&pixel: &f32| if bright { pixel - paper } else { paper - pixel };
    let strongest = picture.pixels().iter().map(contrast).fold(0.0, f32::max);
    if strongest < LEAST_CONTRAST {
        return Err(Error::Config(format!(
            "the picture is blank: nothing in it differs from its border by {LEAST_CONTRAST} or \
             more (the most is {strongest:.3}): give one with ink"
        )));
    }
    let same_size = (picture.height(), picture.width()) == (height, width);
    if same_size && bright && paper <= DARK {
        return Ok(picture.pixels().to_vec());
    }
    let haze = haze(&border, paper) / strongest;
    let haze = haze.clamp(HAZE.0, HAZE.1);
    let ink = |pixel| ((contrast(pixel) / strongest - haze) / (1.0 - haze)).max(0.0);
    let ink: Vec<f32> = picture.pixels().iter().map(ink).collect();
    let scaled = scale_to_box(picture, ink, height, width)?;
    Ok(centre(&scaled, height, width))
}

/// The outermost pixels in rising order; the one in the middle is the paper.
fn border(picture: &Picture) -> Vec<f32> {
    let (height, width) = (picture.height(), picture.width());
    let on_border = |&(i, _): &(usize, &f32)| {
        let (y, x) = (i / width, i % width);
        y == 0 || x == 0 || y == height - 1 || x == width - 1
    };
    let pixels = picture.pixels().iter().enumerate();
    let mut border: Vec<f32> = pixels.filter(on_border).map(|(_, &pixel)| pixel).collect();
    border.sort_unstable_by(f32::total_cmp);
    border
}

/// How far a pixel inside may differ from the paper without being ink.
fn haze(border: &[f32], paper: f32) -> f32 {
    let mut off: Vec<f32> = border.iter().map(|pixel| (pixel - paper).abs()).collect();
    off.sort_unstable_by(f32::total_cmp);
    off[((off.len() - 1) as f32 * PAPER_SHARE) as usize] * UNEVEN
}

/// Whether the ink is brighter than the paper. The third power keeps the sign and counts a
/// little strong ink for more than much faint shading.
fn bright_ink(picture: &Picture, paper: f32) -> bool {
    let cubes = picture.pixels().iter().map(|pixel| (pixel - paper).powi(3));
    cubes.map(f64::from).sum::<f64>() > 0.0
}

/// Cuts the ink out and scales it, with its aspect kept, to fill [`BOX`] of the wanted size.
fn scale_to_box(picture: &Picture, ink: Vec<f32>, height: usize, width: usize) -> Result<Grey> {
    let columns = picture.width();
    let mut rows = (usize::MAX, 0);
    let mut cols = (usize::MAX, 0);
    for (i, _) in ink.iter().enumerate().filter(|(_, v)| **v > 0.0) {
        let (y, x) = (i / columns, i % columns);
        rows = (rows.0.min(y), rows.1.max(y));
        cols = (cols.0.min(x), cols.1.max(x));
    }
    let side = |(first, last): (usize, usize)| (last + 1).saturating_sub(first);
    let (tall, wide) = (side(rows) as f32, side(cols) as f32);
    let scale = (BOX * height as f32 / tall).min(BOX * width as f32 / wide);
    let sized = |side: f32, limit: usize| ((side * scale).round() as u32).clamp(1, limit as u32);
    let whole = Grey::from_raw(columns as u32, picture.height() as u32, ink);
    let whole = whole.ok_or_else(|| {
        Error::Config("the picture is too large to be scaled: make it smaller".to_owned())
    })?;
    let cut = crop_imm(
        &whole,
        cols.0 as u32,
        rows.0 as u32,
        side(cols) as u32,
        side(rows) as u32,
    );
    // The triangle widens with the reduction, so every pixel of the ink counts.
    let (wide, tall) = (sized(wide, width), sized(tall, height));
    Ok(resize(&*cut, wide, tall, FilterType::Triangle))
}

/// Places the ink with its centre of mass in the middle, as far as it stays inside, and its
/// strongest pixel at 1.
fn centre(ink: &Grey, height: usize, width: usize) -> Vec<f32> {
    let (mut mass, mut mass_x, mut mass_y, mut strongest) = (0.0, 0.0, 0.0, f32::MIN_POSITIVE);
    for (x, y, pixel) in ink.enumerate_pixels() {
        mass += pixel.0[0];
        mass_x += pixel.0[0] * x as f32;
        mass_y += pixel.0[0] * y as f32;
        strongest = strongest.max(pixel.0[0]);
    }
    let start = |moment: f32, side: u32, room: usize| {
        let start = room as f32 / 2.0 - moment / mass;
        (start.round().max(0.0) as usize).min(room - side as usize)
    };
    let left = start(mass_x, ink.width(), width);
    let top = start(mass_y, ink.height(), height);
    let mut fitted = vec![0.0; height * width];
    for (x, y, pixel) in ink.enumerate_pixels() {
        fitted[(top + y as usize) * width + left + x as usize] =
            (pixel.0[0] / strongest).clamp(0.0, 1.0);
    }
    fitted
}
