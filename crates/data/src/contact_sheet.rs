//! [`contact_sheet`]: many pictures on one.
//!
//! ```
//! use mapsto_data::{Picture, contact_sheet};
//! let grey = Picture::new(vec![0.3; 6], 2, 3)?;
//! let sheet = contact_sheet(&[grey.clone(), grey], 2)?;
//! assert_eq!((sheet.height(), sheet.width()), (1 + 2 + 1, 1 + 3 + 1 + 3 + 1));
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use crate::{Error, Picture, Result};

const GAP: usize = 1;
const GAP_GREY: f32 = 0.5;

/// Lays pictures out row by row, `columns` in a row, with grey lines of one pixel around them.
///
/// All cells have the size of the largest picture; smaller ones stand in the upper left corner. The
/// sheet is in colour if one of them is.
///
/// # Errors
///
/// Where there are no pictures, or `columns` is 0.
pub fn contact_sheet(pictures: &[Picture], columns: usize) -> Result<Picture> {
    let cell_height = pictures.iter().map(|p| p.height()).max().unwrap_or(0);
    let cell_width = pictures.iter().map(|p| p.width()).max().unwrap_or(0);
    if columns == 0 || pictures.is_empty() {
        return Err(Error::Config(format!(
            "a contact sheet of {} pictures in {columns} columns is empty: give 1 or more of both",
            pictures.len()
        )));
    }
    let columns = columns.min(pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let height = rows * (cell_height + GAP) + GAP;
    let width = columns * (cell_width + GAP) + GAP;
    let channels = pictures.iter().map(Picture::channels).max().unwrap_or(1);
    let mut pixels = vec![GAP_GREY; channels * height * width];
    for (index, picture) in pictures.iter().enumerate() {
        let top = index / columns * (cell_height + GAP) + GAP;
        let left = index % columns * (cell_width + GAP) + GAP;
        let planes = picture
            .pixels()
            .chunks_exact(picture.height() * picture.width());
        // A grey plane stands for all three colours.
        for (sheet, plane) in pixels.chunks_exact_mut(height * width).zip(planes.cycle()) {
            for (y, row) in plane.chunks_exact(picture.width()).enumerate() {
                let start = (top + y) * width + left;
                sheet[start..start + row.len()].copy_from_slice(row);
            }
        }
    }
    Picture::of_planes(pixels, channels, height, width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_puts_every_picture_in_its_cell() {
        let dot = |v| Picture::new(vec![v], 1, 1).unwrap();
        let tall = Picture::new(vec![0.1, 0.2], 2, 1).unwrap();
        let sheet = contact_sheet(&[dot(0.0), tall, dot(1.0)], 2).unwrap();
        let g = GAP_GREY;
        #[rustfmt::skip]
        assert_eq!(sheet.pixels(), [
            g,   g, g,   g, g,
            g, 0.0, g, 0.1, g,
            g,   g, g, 0.2, g,
            g,   g, g,   g, g,
            g, 1.0, g,   g, g,
            g,   g, g,   g, g,
            g,   g, g,   g, g,
        ]);
        let red = Picture::of_planes(vec![1.0, 0.0, 0.25], 3, 1, 1).unwrap();
        let sheet = contact_sheet(&[red, dot(0.75)], 2).unwrap();
        assert_eq!(sheet.channels(), 3);
        for (plane, red) in sheet.pixels().chunks_exact(15).zip([1.0, 0.0, 0.25]) {
            assert_eq!(plane[5..10], [g, red, g, 0.75, g]);
        }
        assert!(contact_sheet(&[], 2).is_err());
        assert!(contact_sheet(&[dot(0.0)], 0).is_err());
        assert_eq!(contact_sheet(&[dot(0.0)], 9).unwrap().width(), 3);
    }
}
