//! Pictures of every kind are read alike, and free pictures are brought into MNIST's form.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::path::Path;

use image::{DynamicImage, ImageBuffer, ImageEncoder, Luma, LumaA, Rgb, Rgba};
use mapsto_data::{Error, Picture, fit_digit};

fn load(image: impl Into<DynamicImage>, name: &str) -> Picture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    image.into().save(&path).unwrap();
    Picture::load(&path).unwrap()
}

fn buffer<P: image::Pixel>(pixels: &[P]) -> ImageBuffer<P, Vec<P::Subpixel>> {
    ImageBuffer::from_fn(pixels.len() as u32, 1, |x, _| pixels[x as usize])
}

#[test]
fn every_kind_of_png_becomes_grey() {
    let grey = load(buffer(&[Luma([0_u8]), Luma([51]), Luma([255])]), "a.png");
    assert_eq!(grey.pixels(), [0.0, 51.0 / 255.0, 1.0]);
    assert_eq!((grey.height(), grey.width()), (1, 3));

    let grey16 = load(
        buffer(&[Luma([0_u16]), Luma([13107]), Luma([65535])]),
        "a.png",
    );
    assert_eq!(grey16.pixels(), [0.0, 13107.0 / 65535.0, 1.0]);

    // Transparent black is white; half-transparent black is grey.
    let alpha = load(
        buffer(&[LumaA([0_u8, 0]), LumaA([0, 102]), LumaA([9, 255])]),
        "a.png",
    );
    assert_eq!(alpha.pixels()[0], 1.0);
    assert!((alpha.pixels()[1] - 0.6).abs() < 1e-6);
    assert_eq!(alpha.pixels()[2], 9.0 / 255.0);

    let colour = load(
        buffer(&[Rgb([255_u8, 0, 0]), Rgb([0, 255, 0]), Rgb([7, 7, 7])]),
        "a.png",
    );
    assert_eq!(colour.pixels(), [0.299, 0.587, 7.0 / 255.0]);

    let both = load(
        buffer(&[Rgba([255_u8, 0, 0, 0]), Rgba([0, 0, 255, 255])]),
        "a.png",
    );
    assert_eq!(both.pixels(), [1.0, 0.114]);

    let deep = load(
        buffer(&[Rgba([0_u16, 0, 0, 0]), Rgba([0, 65535, 0, 65535])]),
        "a.png",
    );
    assert_eq!(deep.pixels(), [1.0, 0.587]);
}

#[test]
fn a_palette_png_is_read() {
    // 2 x 1, palette of dark green and white, one bit a pixel.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("palette.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::One);
    encoder.set_palette(vec![0, 100, 0, 255, 255, 255]);
    encoder
        .write_header()
        .unwrap()
        .write_image_data(&[0b0100_0000])
        .unwrap();
    let picture = Picture::load(&path).unwrap();
    assert!((picture.pixels()[0] - 0.587 * 100.0 / 255.0).abs() < 1e-6);
    assert_eq!(picture.pixels()[1], 1.0);
}

#[test]
fn a_jpeg_is_read_whatever_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.png");
    let image: ImageBuffer<Luma<u8>, _> = ImageBuffer::from_pixel(16, 8, Luma([200]));
    image
        .save_with_format(&path, image::ImageFormat::Jpeg)
        .unwrap();
    let picture = Picture::load(&path).unwrap();
    assert_eq!((picture.height(), picture.width()), (8, 16));
    assert!(
        picture
            .pixels()
            .iter()
            .all(|v| (v - 200.0 / 255.0).abs() < 0.02)
    );
}

#[test]
fn a_jpeg_in_the_inks_of_print_is_read() {
    // Quarters of 8x8: no ink, magenta and yellow, cyan and magenta, black; written with Adobe's
    // marker, which turns all values round.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("print.jpg");
    std::fs::write(&path, include_bytes!("golden/cmyk.jpg")).unwrap();
    let picture = Picture::load_colour(&path).unwrap();
    assert_eq!((picture.height(), picture.width()), (16, 16));
    for ((row, column), colour) in [
        ((3, 3), [1.0, 1.0, 1.0]),
        ((3, 12), [1.0, 0.0, 0.0]),
        ((12, 3), [0.0, 0.0, 1.0]),
        ((12, 12), [0.0, 0.0, 0.0]),
    ] {
        for (plane, expected) in colour.into_iter().enumerate() {
            let value = picture.pixels()[(plane * 16 + row) * 16 + column];
            assert!(
                (value - expected).abs() < 0.02,
                "({row}, {column}), plane {plane}: {value}"
            );
        }
    }
}

#[test]
fn a_jpeg_is_turned_upright_as_its_camera_noted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    // Black left half, white right half, and a note to turn it by 90 degrees clockwise.
    let image = ImageBuffer::from_fn(16, 8, |x, _| Luma([if x < 8 { 0_u8 } else { 255 }]));
    let exif = [
        &b"II*\0\x08\0\0\0\x01\0"[..],
        b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    ];
    let file = std::fs::File::create(&path).unwrap();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new(file);
    encoder.set_exif_metadata(exif.concat()).unwrap();
    encoder.encode_image(&image).unwrap();
    let picture = Picture::load(&path).unwrap();
    assert_eq!((picture.height(), picture.width()), (16, 8));
    assert!(picture.pixels()[0] < 0.1 && picture.pixels()[127] > 0.9);
}

#[test]
fn what_is_no_picture_is_named_with_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.png");
    for content in [&b"hello"[..], b"", b"\x89PNG\r\n\x1a\nbroken"] {
        std::fs::write(&path, content).unwrap();
        let error = Picture::load(&path).unwrap_err();
        assert!(matches!(error, Error::Format { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.starts_with(&path.display().to_string()), "{text}");
        assert!(text.contains("give a PNG or JPEG file"), "{text}");
    }
    let error = Picture::load(folder.path().join("none.png")).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
}

#[test]
fn saving_replaces_the_file_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.png");
    std::fs::write(&path, "old").unwrap();
    let picture = Picture::new((0..=255).map(|v| v as f32 / 255.0).collect(), 16, 16).unwrap();
    picture.save_png(&path).unwrap();
    assert_eq!(Picture::load(&path).unwrap(), picture);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = picture.save_png(Path::new("no/such/folder/out.png"));
    assert!(matches!(error, Err(Error::NotFound { .. })));
}

/// A picture of `side`, `paper` but for `ink` where `inside(y, x)` with y and x in 0..1.
fn drawing(side: usize, paper: f32, ink: f32, inside: impl Fn(f32, f32) -> bool) -> Picture {
    let at = |i: usize| (i as f32 + 0.5) / side as f32;
    let pixels = (0..side * side).map(|i| {
        let inside = inside(at(i / side), at(i % side));
        if inside { ink } else { paper }
    });
    Picture::new(pixels.collect(), side, side).unwrap()
}

/// An upside-down L, off the middle.
fn seven(y: f32, x: f32) -> bool {
    let bar = (0.1..0.2).contains(&y) && (0.1..0.6).contains(&x);
    let stem = (0.1..0.8).contains(&y) && (0.5..0.6).contains(&x);
    bar || stem
}

#[test]
fn dark_on_light_and_light_on_dark_are_fitted_alike() {
    let expected = fit_digit(&drawing(280, 0.0, 1.0, seven), 28, 28).unwrap();
    for (paper, ink) in [(1.0, 0.0), (0.9, 0.2), (0.3, 0.8)] {
        let fitted = fit_digit(&drawing(280, paper, ink, seven), 28, 28).unwrap();
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
        assert!(fitted.iter().zip(&expected).all(close), "{paper} {ink}");
    }
}

#[test]
fn a_fitted_digit_fills_20_of_28_with_its_mass_in_the_middle() {
    let fitted = fit_digit(&drawing(280, 1.0, 0.0, seven), 28, 28).unwrap();
    let inked = |i: &usize| fitted[*i] > 0.0;
    let rows: Vec<usize> = (0..784).filter(inked).map(|i| i / 28).collect();
    let cols: Vec<usize> = (0..784).filter(inked).map(|i| i % 28).collect();
    let side = |all: &[usize]| all.iter().max().unwrap() - all.iter().min().unwrap() + 1;
    // The drawing is 0.7 by 0.5 of its side.
    assert_eq!((side(&rows), side(&cols)), (20, 14));
    let mass: f32 = fitted.iter().sum();
    let mean = |place: fn(usize) -> usize| {
        let moment = |(i, v): (usize, &f32)| v * place(i) as f32;
        fitted.iter().enumerate().map(moment).sum::<f32>() / mass
    };
    assert!((mean(|i| i / 28) - 14.0).abs() <= 0.5);
    assert!((mean(|i| i % 28) - 14.0).abs() <= 0.5);
    assert_eq!(fitted.iter().copied().fold(0.0, f32::max), 1.0);
}

#[test]
fn shading_of_the_paper_is_not_ink() {
    // Paper that falls off from 0.9 to 0.8 at one side, under strong ink.
    let shaded = Picture::new(
        (0..10_000)
            .map(|i| {
                let (y, x) = (i / 100, i % 100);
                let ink = (40..60).contains(&y) && (45..50).contains(&x);
                if ink { 0.1 } else { 0.9 - 0.001 * x as f32 }
            })
            .collect(),
        100,
        100,
    )
    .unwrap();
    let fitted = fit_digit(&shaded, 28, 28).unwrap();
    let inked = fitted.iter().filter(|v| **v > 0.0).count();
    assert_eq!(inked, 20 * 5);
}

#[test]
fn a_picture_in_the_sets_form_comes_back_as_it_is() {
    let own = drawing(28, 0.0, 0.8, |y, x| y < 0.9 && x > 0.8);
    assert_eq!(fit_digit(&own, 28, 28).unwrap(), own.pixels());
    let inverted = drawing(28, 1.0, 0.2, |y, x| y < 0.9 && x > 0.8);
    assert_ne!(fit_digit(&inverted, 28, 28).unwrap(), inverted.pixels());
    let fitted = fit_digit(&own, 14, 20).unwrap();
    assert_eq!(fitted.len(), 280);
}

#[test]
fn a_blank_picture_and_a_size_of_nothing_are_refused() {
    for paper in [0.0, 0.5, 1.0] {
        for side in [28, 100] {
            let blank = drawing(side, paper, paper, |_, _| false);
            let text = fit_digit(&blank, 28, 28).unwrap_err().to_string();
            assert!(text.contains("the picture is blank"), "{text}");
        }
    }
    assert!(fit_digit(&drawing(9, 0.0, 1.0, seven), 0, 28).is_err());
}

#[test]
fn the_thinnest_and_smallest_pictures_are_fitted() {
    let dot = |side| {
        drawing(side, 0.0, 1.0, move |y, x| {
            y < 1.5 / side as f32 && x < 1.5 / side as f32
        })
    };
    assert_eq!(fit_digit(&dot(3), 28, 28).unwrap().len(), 784);
    let line = drawing(500, 1.0, 0.0, |y, _| (0.5..0.502).contains(&y));
    let fitted = fit_digit(&line, 28, 28).unwrap();
    assert_eq!(fitted.iter().filter(|v| **v > 0.0).count(), 20);
    assert_eq!(fit_digit(&line, 1, 1).unwrap(), [1.0]);
}
