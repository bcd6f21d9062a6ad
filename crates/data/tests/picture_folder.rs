//! Folders of pictures of every kind, and of none.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use std::fs;
use std::path::Path;

use image::{ImageBuffer, Luma, Rgb, Rgba};
use mapsto_data::{Dataset, Error, Picture, PictureFolder, PictureFolderConfig};

fn grey(path: &Path, value: f32) {
    Picture::new(vec![value; 48], 6, 8)
        .unwrap()
        .save_png(path)
        .unwrap();
}

#[test]
fn every_kind_of_picture_becomes_one_size_and_number_of_channels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    grey(&at("a.png"), 0.4);
    ImageBuffer::from_pixel(9, 4, Rgb([255u8, 0, 51]))
        .save(at("b.png"))
        .unwrap();
    ImageBuffer::from_pixel(4, 9, Rgba([0u8, 255, 0, 0]))
        .save(at("c.PNG.png"))
        .unwrap();
    ImageBuffer::from_pixel(5, 5, Luma([0x3333_u16]))
        .save(at("d.png"))
        .unwrap();
    ImageBuffer::from_pixel(16, 16, Rgb([0u8, 0, 255]))
        .save(at("e.JPG.jpeg"))
        .unwrap();
    fs::write(at("notes.txt"), "no picture").unwrap();
    fs::write(at(".hidden.png"), "no picture").unwrap();
    let read = PictureFolder::read(folder.path(), &PictureFolderConfig::colour(4, 4)).unwrap();
    assert_eq!(
        (read.set.len(), read.set.channels(), read.skipped.len()),
        (5, 3, 0)
    );
    assert_eq!(read.set.class_names().len(), 1);
    let planes = |i: usize| {
        let pixels = read.set.pixels(i).unwrap().to_vec();
        let plane = |p: &[u8]| {
            assert!(p.iter().all(|v| v.abs_diff(p[0]) <= 2), "{p:?}");
            p[0]
        };
        pixels.chunks_exact(16).map(plane).collect::<Vec<_>>()
    };
    assert_eq!(planes(0), [102; 3]);
    assert_eq!(planes(1), [255, 0, 51]);
    // Transparent: white shows behind.
    assert_eq!(planes(2), [255; 3]);
    assert_eq!(planes(3), [51; 3]);
    assert!(
        planes(4)
            .iter()
            .zip([0u8, 0, 255])
            .all(|(a, b)| a.abs_diff(b) <= 4)
    );
    let in_grey = PictureFolder::read(folder.path(), &PictureFolderConfig::grey(4, 4)).unwrap();
    assert_eq!(in_grey.set.pixels(1).unwrap(), [82; 16]);
}

#[test]
fn a_picture_is_cut_about_its_middle_and_not_squeezed() {
    let folder = tempfile::tempdir().unwrap();
    // Columns: 2 black, 4 white, 2 black.
    let row = [0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0];
    let picture = Picture::new(row.repeat(4), 4, 8).unwrap();
    picture.save_png(folder.path().join("wide.png")).unwrap();
    let read = PictureFolder::read(folder.path(), &PictureFolderConfig::grey(4, 4)).unwrap();
    assert_eq!(read.set.pixels(0).unwrap(), [255; 16]);
}

#[test]
fn sub_folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (class, value) in [("cat", 0.2), ("dog", 0.8)] {
        fs::create_dir(folder.path().join(class)).unwrap();
        for name in ["1.png", "2.png"] {
            grey(&folder.path().join(class).join(name), value);
        }
    }
    fs::create_dir(folder.path().join("empty")).unwrap();
    let config = PictureFolderConfig::grey(4, 4);
    let read = PictureFolder::read(folder.path(), &config).unwrap();
    assert_eq!(read.set.class_names(), ["cat", "dog"]);
    assert_eq!(read.set.labels(), [0, 0, 1, 1]);
    assert_eq!(read.set.pixels(3).unwrap(), [204; 16]);
    grey(&folder.path().join("beside.png"), 0.5);
    let error = PictureFolder::read(folder.path(), &config).unwrap_err();
    assert!(error.to_string().contains("beside.png"), "{error}");
}

#[test]
fn broken_pictures_are_skipped_by_name_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..20 {
        grey(&folder.path().join(format!("{i:02}.png")), 0.5);
    }
    let broken = folder.path().join("07.png");
    let whole = fs::read(&broken).unwrap();
    fs::write(&broken, &whole[..whole.len() / 2]).unwrap();
    let config = PictureFolderConfig::grey(4, 4);
    let read = PictureFolder::read(folder.path(), &config).unwrap();
    assert_eq!((read.set.len(), read.skipped.len()), (19, 1));
    assert_eq!(read.skipped[0].0, broken);
    let strict = PictureFolderConfig {
        strict: true,
        ..config
    };
    let error = PictureFolder::read(folder.path(), &strict).unwrap_err();
    assert!(
        matches!(&error, Error::Format { path, .. } if *path == broken),
        "{error}"
    );
}

#[test]
fn folders_without_a_usable_picture_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = PictureFolderConfig::grey(4, 4);
    let read = || PictureFolder::read(folder.path(), &config);
    assert!(matches!(read().unwrap_err(), Error::NotFound { .. }));
    fs::write(folder.path().join("text.png"), "no picture").unwrap();
    let error = read().unwrap_err();
    assert!(
        error.to_string().contains("none of its 1 pictures"),
        "{error}"
    );
    let missing = folder.path().join("missing");
    assert!(matches!(
        PictureFolder::read(missing, &config).unwrap_err(),
        Error::NotFound { .. }
    ));
}
