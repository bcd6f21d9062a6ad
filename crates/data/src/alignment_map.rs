//! [`alignment_map`]: a matrix as a picture with words on both axes.
//!
//! Each cell is the darker the larger its value. The words of the columns stand above them and are
//! read upward, or from above where they are Chinese or the like; those of the rows stand to the
//! left. A bar at the right shows the scale from 0 to 1. Labels are drawn in GNU Unifont, which has
//! the scripts of Unicode's basic plane; a character beyond it, such as an emoji, appears as its
//! number, and a label of more than 24 characters is cut.
//!
//! ```
//! use mapsto_data::alignment_map;
//! let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
//! let weights = vec![vec![0.9, 0.1], vec![0.2, 0.8], vec![0.0, 1.0]];
//! let map = alignment_map(&words("le café"), &words("the 咖啡 café"), &weights)?;
//! assert!(map.width() > 2 * 36 && map.height() > 3 * 36);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use tokenizers::normalizers::NFC;
use tokenizers::{NormalizedString, Normalizer};
use unicode_segmentation::UnicodeSegmentation;
use unifont::{Glyph, get_glyph};

use crate::tokenizer::failed;
use crate::{Error, Picture, Result};

/// Height and width of a cell, before the picture is enlarged.
const CELL: usize = 18;
/// Height of a letter.
const LETTER: usize = 16;
const GAP: usize = 4;
const BAR: usize = 100;
/// Most characters of a label.
const LONGEST: usize = 24;
/// Most words on an axis.
const MOST: usize = 400;
const ENLARGED: usize = 2;
const LINE: f32 = 0.85;

/// Draws `weights`, a row for each of `rows` with a value in `[0, 1]` for each of `columns`.
///
/// # Errors
///
/// Where there are no words or more than 400 on an axis, the shape does not fit them, or a value
/// is not in `[0, 1]`.
pub fn alignment_map(columns: &[String], rows: &[String], weights: &[Vec<f32>]) -> Result<Picture> {
    check(columns, rows, weights)?;
    let above = columns
        .iter()
        .map(|word| Label::new(word).map(Label::upward));
    let above = above.collect::<Result<Vec<_>>>()?;
    let left = rows.iter().map(|word| Label::new(word));
    let left = left.collect::<Result<Vec<_>>>()?;
    let top = GAP + above.iter().map(|label| label.height).max().unwrap_or(0) + GAP;
    let start = GAP + left.iter().map(|label| label.width).max().unwrap_or(0) + GAP;
    let (width, height) = (columns.len() * CELL + 1, rows.len() * CELL + 1);
    let bar = start + width + 3 * GAP;
    let mut sheet = Sheet::new(bar + LETTER + 8 + 2 * GAP, top + height.max(BAR) + 2 * GAP);
    for (place, label) in above.iter().enumerate() {
        let x = start + place * CELL + (CELL + 1 - label.width.min(CELL)) / 2;
        sheet.write(label, x, top - GAP - label.height);
    }
    for (place, label) in left.iter().enumerate() {
        let y = top + place * CELL + (CELL + 1 - LETTER) / 2;
        sheet.write(label, start - GAP - label.width, y);
    }
    sheet.fill(start, top, width, height, LINE);
    for (row, weights) in weights.iter().enumerate() {
        for (column, &weight) in weights.iter().enumerate() {
            let (x, y) = (start + column * CELL + 1, top + row * CELL + 1);
            sheet.fill(x, y, CELL - 1, CELL - 1, shade(weight));
        }
    }
    for at in 0..BAR {
        let weight = 1.0 - at as f32 / (BAR - 1) as f32;
        sheet.fill(bar, top + at, LETTER / 2, 1, shade(weight));
    }
    for (text, y) in [("1", top), ("0", top + BAR - LETTER)] {
        sheet.write(&Label::new(text)?, bar + LETTER / 2 + GAP / 2, y);
    }
    Picture::new(sheet.pixels, sheet.height, sheet.width)?.enlarge(ENLARGED)
}

fn check(columns: &[String], rows: &[String], weights: &[Vec<f32>]) -> Result<()> {
    let (across, down) = (columns.len(), rows.len());
    if !(1..=MOST).contains(&across) || !(1..=MOST).contains(&down) {
        return Err(Error::Config(format!(
            "a map of {across} by {down} words: give 1 to {MOST} on each axis"
        )));
    }
    if let Some(row) = weights.iter().find(|row| row.len() != across) {
        return Err(Error::Config(format!(
            "a map of {across} columns has a row of {} values",
            row.len()
        )));
    }
    if weights.len() != down {
        let found = weights.len();
        return Err(Error::Config(format!(
            "a map of {down} rows has {found} rows of values"
        )));
    }
    match weights
        .iter()
        .flatten()
        .find(|weight| !(0.0..=1.0).contains(*weight))
    {
        Some(weight) => Err(Error::Config(format!(
            "a value of a map must lie in [0, 1], got {weight}"
        ))),
        None => Ok(()),
    }
}

/// The grey of a value: even steps to the eye.
fn shade(weight: f32) -> f32 {
    1.0 - 0.9 * weight.powf(0.8)
}

/// A picture under way, white at first.
struct Sheet {
    pixels: Vec<f32>,
    width: usize,
    height: usize,
}

impl Sheet {
    fn new(width: usize, height: usize) -> Self {
        Self {
            pixels: vec![1.0; width * height],
            width,
            height,
        }
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, grey: f32) {
        for row in y..y + height {
            self.pixels[row * self.width + x..][..width].fill(grey);
        }
    }

    fn write(&mut self, label: &Label, x: usize, y: usize) {
        for &(dx, dy) in &label.ink {
            self.pixels[(y + dy) * self.width + x + dx] = 0.0;
        }
    }
}

/// A word as dots.
#[derive(Debug, PartialEq)]
struct Label {
    ink: Vec<(usize, usize)>,
    width: usize,
    height: usize,
    /// Whether it is of wide characters alone, which may stand on top of each other.
    wide: bool,
}

impl Label {
    fn new(word: &str) -> Result<Self> {
        let (mut ink, mut width, mut wide) = (vec![], 0, true);
        let word = shown(word)?;
        for c in word.chars() {
            let Some(glyph) = get_glyph(c) else { continue };
            // A mark lies on the letter before it.
            let is_mark = is_combining(c);
            let from = if is_mark {
                usize::max(width, 8) - 8
            } else {
                width
            };
            ink.extend(dots(glyph).map(|(x, y)| (from + x, y)));
            if !is_mark {
                width += glyph.get_width();
                wide &= glyph.is_fullwidth();
            }
        }
        // A mark may reach beyond its letter.
        let reach = ink.iter().map(|&(x, _)| x + 1).max().unwrap_or(1);
        Ok(Self {
            ink,
            wide: wide && width > 0,
            width: width.max(reach),
            height: LETTER,
        })
    }

    /// Read from below, or from above if it is of wide characters.
    fn upward(self) -> Self {
        let turn = |&(x, y): &(usize, usize)| {
            if self.wide {
                (x % LETTER, x / LETTER * LETTER + y)
            } else {
                (y, self.width - 1 - x)
            }
        };
        Self {
            ink: self.ink.iter().map(turn).collect(),
            width: LETTER,
            height: self.width,
            wide: self.wide,
        }
    }
}

fn dots(glyph: &Glyph) -> impl Iterator<Item = (usize, usize)> {
    let all = (0..LETTER).flat_map(|y| (0..glyph.get_width()).map(move |x| (x, y)));
    all.filter(|&(x, y)| glyph.get_pixel(x, y))
}

/// A mark that has no place of its own.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c), 0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5c7 | 0x610..=0x61a
        | 0x64b..=0x65f | 0x670 | 0x6d6..=0x6ed | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff
        | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}

/// The characters that are drawn, from left to right.
fn shown(word: &str) -> Result<String> {
    let mut normalised = NormalizedString::from(word);
    NFC.normalize(&mut normalised).map_err(failed)?;
    let mut signs: Vec<&str> = normalised.get().graphemes(true).collect();
    let cut = signs.len() > LONGEST;
    signs.truncate(LONGEST - usize::from(cut));
    if cut {
        signs.push("…");
    }
    let letters = || normalised.get().chars().filter(|c| c.is_alphabetic());
    if letters().next().is_some() && letters().all(is_right_to_left) {
        signs.reverse();
    }
    let text = signs.concat();
    let drawn = text.chars().filter(|c| !c.is_control());
    Ok(drawn.map(spelled).collect())
}

fn is_right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff)
}

/// The character, or its number if the font has none.
fn spelled(c: char) -> String {
    match get_glyph(c) {
        Some(_) => c.to_string(),
        None => format!("[{:X}]", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    /// The grey in the middle of a cell of a map whose labels are one narrow letter each.
    fn cell(map: &Picture, row: usize, column: usize) -> f32 {
        let (start, top) = (GAP + 8 + GAP, GAP + 8 + GAP);
        let x = ENLARGED * (start + column * CELL + CELL / 2);
        let y = ENLARGED * (top + row * CELL + CELL / 2);
        map.pixels()[y * map.width() + x]
    }

    #[test]
    fn rows_go_down_and_columns_across() {
        let weights = vec![vec![0.0, 0.25, 1.0], vec![0.5, 0.75, 0.1]];
        let map = alignment_map(&words("a b c"), &words("x y"), &weights).unwrap();
        for (row, weights) in weights.iter().enumerate() {
            for (column, &weight) in weights.iter().enumerate() {
                assert_eq!(cell(&map, row, column), shade(weight), "{row} {column}");
            }
        }
    }

    #[test]
    fn labels_are_the_letters_of_the_font() {
        let ink = |word: &str| Label::new(word).unwrap();
        let e = get_glyph('é').unwrap();
        assert_eq!(ink("é").ink, dots(e).collect::<Vec<_>>());
        assert_ne!(ink("é"), ink("e"));
        assert_eq!(ink("e\u{301}"), ink("é"));
        // Two wide ones, each with ink of its own.
        let wide = ink("咖啡");
        assert!(wide.wide && wide.width == 32);
        for half in [0..16, 16..32] {
            assert!(wide.ink.iter().filter(|(x, _)| half.contains(x)).count() > 20);
        }
        // A mark that no letter has been joined with lies on the one before.
        assert_eq!(ink("x\u{301}").width, 8);
        assert!(ink("x\u{301}").ink.len() > ink("x").ink.len());
        assert_eq!(ink("👍"), ink("[1F44D]"));
        assert_eq!(ink("אב"), {
            let mut other = ink("ב");
            let more = ink("א");
            other
                .ink
                .extend(more.ink.iter().map(|&(x, y)| (x + other.width, y)));
            other.width += more.width;
            other
        });
        // A mark that reaches beyond its letter, or has none.
        for word in ["\u{301}", "1\u{20e3}"] {
            let (across, up) = (ink(word), ink(word).upward());
            assert!(!across.ink.is_empty());
            assert!(across.ink.iter().all(|&(x, _)| x < across.width), "{word}");
            assert!(up.ink.iter().all(|&(_, y)| y < up.height), "{word}");
        }
        let long = "a".repeat(40);
        assert_eq!(ink(&long), ink(&format!("{}…", "a".repeat(23))));
        assert!(ink("").ink.is_empty());
    }

    #[test]
    fn columns_are_read_upward_and_wide_ones_from_above() {
        let letter = Label::new("b").unwrap();
        let turned = Label::new("b").unwrap().upward();
        assert_eq!((turned.width, turned.height), (16, 8));
        let back = turned.ink.iter().map(|&(x, y)| (7 - y, x));
        assert_eq!(back.collect::<Vec<_>>(), letter.ink);
        let stacked = Label::new("咖啡").unwrap().upward();
        let first = dots(get_glyph('咖').unwrap()).collect::<Vec<_>>();
        let above = stacked.ink.iter().copied().filter(|&(_, y)| y < 16);
        assert_eq!(above.collect::<Vec<_>>(), first);
        assert_eq!((stacked.width, stacked.height), (16, 32));
    }

    #[test]
    fn both_axes_are_labelled() {
        let weights = vec![vec![0.0, 0.0]];
        let ink = |columns: &str, row: &str| {
            let map = alignment_map(&words(columns), &words(row), &weights).unwrap();
            map.pixels().iter().filter(|&&grey| grey == 0.0).count()
        };
        let [above, left, none] = [ink("é 咖", "i"), ink("i i", "咖"), ink("i i", "i")];
        assert!(above > none && left > none, "{above} {left} {none}");
    }

    #[test]
    fn what_cannot_be_drawn_is_named() {
        let one = words("a");
        for (columns, rows, weights, what) in [
            (&[][..], &one[..], vec![vec![]], "0 by 1 words"),
            (
                &one[..],
                &one[..],
                vec![vec![0.1, 0.2]],
                "a row of 2 values",
            ),
            (&one[..], &one[..], vec![], "0 rows of values"),
            (
                &one[..],
                &one[..],
                vec![vec![f32::NAN]],
                "in [0, 1], got NaN",
            ),
            (&one[..], &one[..], vec![vec![1.1]], "in [0, 1], got 1.1"),
        ] {
            let error = alignment_map(columns, rows, &weights).unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        }
        let many = vec!["a".to_owned(); 401];
        assert!(alignment_map(&many, &one, &[vec![0.0; 401]]).is_err());
    }
}
