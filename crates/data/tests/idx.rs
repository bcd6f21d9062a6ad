//! IDX files: what is written is read, and every way in which a file can be wrong has its error.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use mapsto_data::{Error, Idx};
use tempfile::TempDir;

/// 2 pictures of 3 x 2.
const GOOD: [u8; 28] = [
    0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images-idx3-ubyte");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// The message for a file of these bytes, which must name the file.
fn message(bytes: &[u8]) -> String {
    let (_folder, path) = file(bytes);
    let error = Idx::read(&path).unwrap_err();
    assert!(matches!(error, Error::Format { .. }), "{error:?}");
    let message = error.to_string();
    let start = format!("{}: ", path.display());
    message
        .strip_prefix(&start)
        .expect("names the file")
        .to_owned()
}

#[test]
fn plain_and_gzip_are_told_by_content() {
    // A gzip file may have several members, one after the other.
    let members = [gzip(&GOOD[..7]), gzip(&GOOD[7..])].concat();
    for bytes in [GOOD.to_vec(), gzip(&GOOD), members] {
        let (_folder, path) = file(&bytes);
        let idx = Idx::read(&path).unwrap();
        assert_eq!(idx.dims, [2, 3, 2]);
        assert_eq!(idx.data, (1..=12).collect::<Vec<u8>>());
        assert_eq!(Idx::read_dims(&path).unwrap(), [2, 3, 2]);
    }
}

#[test]
fn what_is_written_is_read_and_replaces_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    for (name, dims) in [
        ("a", vec![12]),
        ("b.gz", vec![2, 6]),
        ("c", vec![1, 2, 3, 2]),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, "old").unwrap();
        let data = (0..12).collect();
        let idx = Idx { dims, data };
        idx.write(&path).unwrap();
        assert_eq!(Idx::read(&path).unwrap(), idx);
        assert_eq!(fs::read(&path).unwrap()[0] == 0x1f, name.ends_with(".gz"));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_written_idx_must_be_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (dims, len) in [(vec![3], 2), (vec![], 1), (vec![0], 0), (vec![1; 5], 1)] {
        let data = vec![0; len];
        assert!(Idx { dims, data }.write(&path).is_err());
    }
    assert!(!path.exists());
}

#[test]
fn every_wrong_field_is_named() {
    let with = |offset: usize, byte| {
        let mut bytes = GOOD.to_vec();
        bytes[offset] = byte;
        message(&bytes)
    };
    assert!(with(0, 1).contains("byte 0: expected two zero bytes, got 0x01 0x00"));
    assert!(with(1, 7).contains("got 0x00 0x07"));
    let float = with(2, 0x0d);
    assert!(
        float.contains("byte 2 (element type): expected 0x08"),
        "{float}"
    );
    assert!(float.contains("0x0d (32-bit float)"), "{float}");
    for count in [0, 5, 255] {
        let text = with(3, count);
        assert!(
            text.contains(&format!("expected 1 to 4, got {count}")),
            "{text}"
        );
    }
    assert!(with(11, 0).contains("byte 8 (size of dimension 1): expected 1 or more, got 0"));
}

#[test]
fn the_length_must_be_exact() {
    for cut in 0..GOOD.len() {
        for bytes in [GOOD[..cut].to_vec(), gzip(&GOOD[..cut])] {
            let text = message(&bytes);
            assert!(text.contains("truncated"), "{cut}: {text}");
        }
    }
    assert!(message(&GOOD[..6]).contains(
        "byte 4: the header is truncated: expected 4 bytes for the size of dimension 0, got 2"
    ));
    assert!(
        message(&GOOD[..27])
            .contains("byte 16 (data): truncated: dimensions [2, 3, 2] ask for 12 bytes, got 11")
    );
    let long = [&GOOD[..], &[0; 5]].concat();
    for bytes in [long.clone(), gzip(&long)] {
        let text = message(&bytes);
        assert!(
            text.contains("ask for 12 bytes of data, got 17: 5 trailing bytes"),
            "{text}"
        );
    }
}

#[test]
fn a_damaged_gzip_stream_has_its_own_error() {
    let whole = gzip(&GOOD);
    // Cut anywhere after the magic, the checksum at the end included.
    for cut in 2..whole.len() {
        let text = message(&whole[..cut]);
        assert!(
            text.contains("the gzip stream is truncated"),
            "{cut}: {text}"
        );
    }
    let mut damaged = whole.clone();
    let checksum = whole.len() - 6;
    damaged[checksum] ^= 1;
    assert!(message(&damaged).contains("the gzip stream is damaged"));
    let garbage = [&whole[..], b"garbage after the end"].concat();
    assert!(message(&garbage).contains("the gzip stream is damaged"));
}

#[test]
fn a_header_that_promises_too_much_takes_no_memory() {
    let huge = [
        0, 0, 8, 4, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 1, 0, 0, 0, 1,
    ];
    assert!(message(&huge).contains("truncated"));
    let overflow = [&huge[..12], &[255; 8]].concat();
    assert!(message(&overflow).contains("larger than this machine can count"));
}

#[test]
fn a_missing_file_is_told_from_a_wrong_one() {
    let error = Idx::read("no/such/idx").unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    assert!(error.to_string().starts_with("no/such/idx: not found"));
}
