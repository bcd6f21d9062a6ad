//! [`Picture`]: one picture, grey or in colour, read from PNG or JPEG of any kind, written as PNG.
//!
//! Colour becomes grey as `0.299 R + 0.587 G + 0.114 B` (ITU-R BT.601, which PIL uses too),
//! transparent pixels show white behind them, palettes and 16-bit samples are read as they are,
//! and a JPEG is turned upright as its camera noted. A grey pixel of 8 bits is exactly
//! `byte / 255`.
//!
//! **Shape:** `H x W` in f32, row by row, 0 black and 1 white; in colour three such planes, red,
//! green and blue.
//!
//! ```
//! use mapsto_data::Picture;
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("grey.png");
//! let grey = Picture::new(vec![0.0, 0.2, 1.0, 1.0, 0.4, 0.0], 2, 3)?;
//! grey.save_png(&path)?;
//! assert_eq!(Picture::load(&path)?, grey);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::fs::File;
use std::io::{BufReader, Cursor, Write};
use std::path::Path;

use image::{
    DynamicImage, GrayImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage,
    RgbaImage,
};

use crate::{Error, Result, atomic};

/// One picture, grey or in colour, 0 dark and 1 bright.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    pixels: Vec<f32>,
    channels: usize,
    height: usize,
    width: usize,
}

impl Picture {
    /// A grey picture of `height` rows; values outside 0..=1 are brought to its nearer end,
    /// and what is not a number becomes 0.
    ///
    /// # Errors
    ///
    /// Where there is no pixel, or not one value for each.
    pub fn new(pixels: Vec<f32>, height: usize, width: usize) -> Result<Self> {
        Self::of_planes(pixels, 1, height, width)
    }

    /// A picture of 1 plane (grey) or 3 (red, green, blue), one after the other; values as in
    /// [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// Where there are neither 1 nor 3 planes, no pixel, or not one value for each in each plane.
    pub fn of_planes(
        mut pixels: Vec<f32>,
        channels: usize,
        height: usize,
        width: usize,
    ) -> Result<Self> {
        let size = height
            .checked_mul(width)
            .and_then(|size| size.checked_mul(channels));
        if pixels.is_empty() || size != Some(pixels.len()) || ![1, 3].contains(&channels) {
            return Err(Error::Config(format!(
                "{} values are no picture of {height}x{width} in {channels} channels: give one \
                 value a pixel, or three, and at least one pixel",
                pixels.len()
            )));
        }
        for pixel in &mut pixels {
            *pixel = if pixel.is_nan() {
                0.0
            } else {
                pixel.clamp(0.0, 1.0)
            };
        }
        Ok(Self {
            pixels,
            channels,
            height,
            width,
        })
    }

    /// Reads a PNG or JPEG in grey, whatever the name ends in.
    ///
    /// # Errors
    ///
    /// Where the file is missing, too large, or no picture that can be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), 1)
    }

    /// Reads a PNG or JPEG in colour; a grey one gives three equal planes.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    pub fn load_colour(path: impl AsRef<Path>) -> Result<Self> {
        Self::read(path.as_ref(), 3)
    }

    fn read(path: &Path, channels: usize) -> Result<Self> {
        let image = decode(path).map_err(|error| match error {
            ImageError::IoError(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Error::io(path, error)
            }
            ImageError::Limits(error) => {
                Error::format(path, format!("too large: {error}: make it smaller"))
            }
            other => Error::format(
                path,
                format!("no picture that can be read: {other}: give a PNG or JPEG file"),
            ),
        })?;
        let rgba = image.into_rgba16();
        let (width, height) = (rgba.width() as usize, rgba.height() as usize);
        let pixels = match channels {
            1 => rgba.pixels().map(|pixel| grey(pixel.0)).collect(),
            _ => (0..channels)
                .flat_map(|plane| rgba.pixels().map(move |pixel| over_white(pixel.0, plane)))
                .collect(),
        };
        Self::of_planes(pixels, channels, height, width)
    }

    /// 1 if it is grey, 3 in colour.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The pixels, row by row, plane by plane.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }

    /// Every pixel as a square of `factor` by `factor`, to make small pictures visible.
    ///
    /// # Errors
    ///
    /// Where `factor` is 0.
    pub fn enlarge(&self, factor: usize) -> Result<Self> {
        let mut pixels = Vec::new();
        for row in self.pixels.chunks_exact(self.width) {
            let wide = row.iter().flat_map(|&v| std::iter::repeat_n(v, factor));
            let wide: Vec<f32> = wide.collect();
            for _ in 0..factor {
                pixels.extend_from_slice(&wide);
            }
        }
        let (height, width) = (self.height * factor, self.width * factor);
        Self::of_planes(pixels, self.channels, height, width)
    }

    /// Writes a PNG of 8 bits a sample, grey or in colour; it appears whole or not at all.
    ///
    /// # Errors
    ///
    /// Where the picture is too large for PNG, or the file cannot be written.
    pub fn save_png(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let (width, height) = (u32::try_from(self.width), u32::try_from(self.height));
        let image = match (width, height) {
            (Ok(width), Ok(height)) if self.channels == 1 => {
                GrayImage::from_raw(width, height, self.bytes()).map(DynamicImage::from)
            }
            (Ok(width), Ok(height)) => {
                RgbImage::from_raw(width, height, self.bytes()).map(DynamicImage::from)
            }
            _ => None,
        };
        let mut png = Cursor::new(Vec::new());
        let encoded = image.map(|image| image.write_to(&mut png, ImageFormat::Png));
        if !matches!(encoded, Some(Ok(()))) {
            let (height, width) = (self.height, self.width);
            return Err(Error::Config(format!(
                "a picture of {height}x{width} is too large for PNG: make it smaller"
            )));
        }
        atomic::write(path, |file| file.write_all(png.get_ref()))
    }

    /// Eight bits a sample, the samples of a pixel side by side.
    fn bytes(&self) -> Vec<u8> {
        let size = self.height * self.width;
        let sample = |i: usize| self.pixels[i % self.channels * size + i / self.channels];
        let byte = |value: f32| (value * 255.0).round() as u8;
        (0..self.pixels.len()).map(|i| byte(sample(i))).collect()
    }

    pub(crate) fn to_rgba(&self) -> image::ImageResult<RgbaImage> {
        let (width, height) = (u32::try_from(self.width), u32::try_from(self.height));
        let sample = if self.channels == 1 { 1 } else { 3 };
        let pixels = self.bytes();
        let rgba = pixels.chunks_exact(sample).flat_map(|pixel| {
            let [r, g, b] = [0, 1, 2].map(|i| pixel[i.min(sample - 1)]);
            [r, g, b, 255]
        });
        let image = match (width, height) {
            (Ok(width), Ok(height)) => RgbaImage::from_raw(width, height, rgba.collect()),
            _ => None,
        };
        image.ok_or_else(|| {
            let kind = image::error::ParameterErrorKind::DimensionMismatch;
            ImageError::Parameter(image::error::ParameterError::from_kind(kind))
        })
    }
}

fn decode(path: &Path) -> image::ImageResult<DynamicImage> {
    let file = BufReader::new(File::open(path)?);
    let reader = ImageReader::new(file).with_guessed_format()?;
    let mut decoder = reader.into_decoder()?;
    let orientation = decoder.orientation()?;
    // The decoders leave the size of the whole to whoever allocates it.
    image::Limits::default().reserve(decoder.total_bytes())?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// The grey value of a pixel over white.
fn grey([r, g, b, a]: [u16; 4]) -> f32 {
    let unit = |sample: u16| f32::from(sample) / 65535.0;
    let (r, g, b, a) = (unit(r), unit(g), unit(b), unit(a));
    // The weights add up to 1 but for rounding, and a grey pixel shall keep its exact value.
    let value = if r == g && g == b {
        r
    } else {
        0.299 * r + 0.587 * g + 0.114 * b
    };
    value * a + (1.0 - a)
}

/// One of the three colours of a pixel over white.
fn over_white(rgba: [u16; 4], plane: usize) -> f32 {
    let unit = |sample: u16| f32::from(sample) / 65535.0;
    unit(rgba[plane]) * unit(rgba[3]) + (1.0 - unit(rgba[3]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_keeps_its_value_and_colour_is_weighted() {
        for byte in 0..=255_u16 {
            let v = byte * 257;
            assert_eq!(grey([v, v, v, 65535]), f32::from(byte) / 255.0);
        }
        assert_eq!(grey([65535, 0, 0, 65535]), 0.299);
        assert_eq!(grey([0, 0, 0, 0]), 1.0);
        assert!((grey([0, 0, 0, 32768]) - 0.5).abs() < 1e-4);
    }

    #[test]
    fn values_are_brought_into_range() {
        let picture = Picture::new(vec![-1.0, f32::NAN, 0.5, 2.0], 2, 2).unwrap();
        assert_eq!(picture.pixels(), [0.0, 0.0, 0.5, 1.0]);
        let large = picture.enlarge(2).unwrap();
        assert_eq!(large.height(), 4);
        assert_eq!(large.pixels()[8..12], [0.5, 0.5, 1.0, 1.0]);
        assert!(Picture::new(vec![0.0; 3], 2, 2).is_err());
        assert!(picture.enlarge(0).is_err());
    }
}
