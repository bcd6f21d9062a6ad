//! [`animation`]: pictures one after another, as a GIF that plays for ever.
//!
//! ```
//! use mapsto_data::{Picture, animation};
//! let folder = tempfile::tempdir().unwrap();
//! let frames = [0.0, 0.5, 1.0].map(|grey| Picture::new(vec![grey; 6], 2, 3).unwrap());
//! animation(&frames, 200, folder.path().join("brighter.gif"))?;
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use std::io::Write;
use std::path::Path;

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame};

use crate::{Error, Picture, Result, atomic};

/// Writes the frames, each shown for `milliseconds`; the file appears whole or not at all.
///
/// # Errors
/// When there are no frames, they differ in size or are too large, or the file cannot be written.
pub fn animation(frames: &[Picture], milliseconds: u32, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let size = |picture: &Picture| (picture.height(), picture.width());
    if frames.is_empty() || frames.iter().any(|frame| size(frame) != size(&frames[0])) {
        return Err(Error::Config(
            "an animation needs at least one picture, and all of one size".to_owned(),
        ));
    }
    let mut bytes = Vec::new();
    encode(frames, milliseconds, &mut bytes)
        .map_err(|error| Error::Config(format!("the animation cannot be made: {error}")))?;
    atomic::write(path, |file| file.write_all(&bytes))
}

fn encode(frames: &[Picture], milliseconds: u32, bytes: &mut Vec<u8>) -> image::ImageResult<()> {
    let mut encoder = GifEncoder::new(bytes);
    encoder.set_repeat(Repeat::Infinite)?;
    for frame in frames {
        let delay = Delay::from_numer_denom_ms(milliseconds, 1);
        encoder.encode_frame(Frame::from_parts(frame.to_rgba()?, 0, 0, delay))?;
    }
    Ok(())
}
