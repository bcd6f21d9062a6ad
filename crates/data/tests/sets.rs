//! Sets in folders: any set in MNIST's form is read, and what does not fit is named.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests are tests too"
)]

use std::fs;
use std::path::Path;

use mapsto_data::{Dataset, Error, Idx, SetInfo, Split, describe, digits, open};
use tempfile::TempDir;

fn write(folder: &Path, name: &str, dims: &[usize], data: Vec<u8>) {
    let dims = dims.to_vec();
    Idx { dims, data }.write(folder.join(name)).unwrap();
}

/// 5 train and 3 test pictures of 2 x 3 in 4 classes, named in the way that the file system,
/// the packing and the test split allow.
fn folder(separator: char, test: &str, gz: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let name =
        |split: &str, kind: &str, rank| format!("{split}-{kind}{separator}idx{rank}-ubyte{gz}");
    let path = folder.path();
    write(
        path,
        &name("train", "images", 3),
        &[5, 2, 3],
        (0..30).collect(),
    );
    write(path, &name("train", "labels", 1), &[5], vec![0, 3, 1, 1, 0]);
    write(
        path,
        &name(test, "images", 3),
        &[3, 2, 3],
        (50..68).collect(),
    );
    write(path, &name(test, "labels", 1), &[3], vec![2, 0, 3]);
    folder
}

fn plain() -> TempDir {
    folder('-', "t10k", "")
}

fn message(result: Result<impl Sized, Error>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn any_spelling_size_and_number_of_classes_is_read() {
    for (separator, test, gz) in [('-', "t10k", ""), ('.', "t10k", ""), ('-', "test", ".gz")] {
        let folder = folder(separator, test, gz);
        let train = open(folder.path(), Split::Train).unwrap();
        assert_eq!((train.len(), train.height(), train.width()), (5, 2, 3));
        assert_eq!(train.labels(), [0, 3, 1, 1, 0]);
        assert_eq!(train.class_names(), ["0", "1", "2", "3"]);
        assert_eq!(train.pixels(1).unwrap(), [6, 7, 8, 9, 10, 11]);
        let test = open(folder.path(), Split::Test).unwrap();
        assert_eq!(test.class_counts(), [1, 0, 1, 1]);
        assert_eq!(test.pixels(0).unwrap()[0], 50);
    }
}

#[test]
fn a_plain_file_is_preferred_to_its_gzip_and_two_sets_are_refused() {
    let folder = plain();
    let path = folder.path();
    write(path, "train-labels-idx1-ubyte.gz", &[5], vec![1; 5]);
    assert_eq!(open(path, Split::Train).unwrap().labels()[0], 0);
    write(path, "train-labels.idx1-ubyte", &[5], vec![1; 5]);
    let text = message(open(path, Split::Train));
    assert!(text.contains("several files could be the labels"), "{text}");
}

#[test]
fn classes_txt_names_the_classes() {
    let folder = plain();
    let classes = folder.path().join("classes.txt");
    fs::write(&classes, "ant\nbee\r\ncat \ndog\nelk\n").unwrap();
    let set = open(folder.path(), Split::Test).unwrap();
    assert_eq!(set.class_names(), ["ant", "bee", "cat", "dog", "elk"]);
    fs::write(&classes, "ant\n\nbee\n").unwrap();
    assert!(message(open(folder.path(), Split::Test)).contains("classes.txt: line 2 is empty"));
    fs::write(&classes, "\n").unwrap();
    assert!(message(open(folder.path(), Split::Test)).contains("the file is empty"));
}

#[test]
fn a_label_beyond_the_classes_is_named_with_its_place() {
    let folder = plain();
    write(folder.path(), "t10k-labels-idx1-ubyte", &[3], vec![3, 4, 9]);
    let text = message(open(folder.path(), Split::Test));
    assert!(text.contains("t10k-labels-idx1-ubyte: label 1 is 4, but the set has 4 classes"));
    fs::write(folder.path().join("classes.txt"), "a\nb\n").unwrap();
    let text = message(open(folder.path(), Split::Train));
    assert!(text.contains("train-labels-idx1-ubyte: label 1 is 3, but the set has 2 classes"));
}

#[test]
fn pictures_and_labels_must_agree() {
    let folder = plain();
    write(folder.path(), "train-labels-idx1-ubyte", &[4], vec![0; 4]);
    for text in [
        message(open(folder.path(), Split::Train)),
        message(describe(folder.path())),
    ] {
        assert!(
            text.contains("train-labels-idx1-ubyte: holds 4 labels"),
            "{text}"
        );
        assert!(
            text.contains("train-images-idx3-ubyte holds 5 pictures"),
            "{text}"
        );
    }
    write(folder.path(), "train-labels-idx1-ubyte", &[6], vec![0; 6]);
    assert!(message(open(folder.path(), Split::Train)).contains("holds 6 labels"));
    assert!(message(describe(folder.path())).contains("holds 6 labels"));
    write(
        folder.path(),
        "train-labels-idx1-ubyte",
        &[5, 1],
        vec![0; 5],
    );
    assert!(message(open(folder.path(), Split::Train)).contains("labels have 1 dimension"));
    write(
        folder.path(),
        "t10k-images-idx3-ubyte",
        &[3, 4],
        vec![0; 12],
    );
    assert!(message(open(folder.path(), Split::Test)).contains("pictures have 3 dimensions"));
}

#[test]
fn a_folder_without_a_set_says_what_is_looked_for() {
    let empty = tempfile::tempdir().unwrap();
    let file = empty.path().join("file");
    fs::write(&file, "x").unwrap();
    let gone = empty.path().join("gone");
    for (path, why) in [
        (gone.as_path(), "does not exist"),
        (file.as_path(), "is a file, not a folder"),
        (empty.path(), "holds none of the files"),
    ] {
        for error in [open(path, Split::Train).err(), describe(path).err()] {
            let error = error.expect("an error");
            assert!(matches!(&error, Error::NotFound { path: p, .. } if p == path));
            let text = error.to_string();
            assert!(text.contains(why), "{text}");
            for file in [
                "train-images*idx3-ubyte",
                "t10k-labels*idx1-ubyte",
                "classes.txt",
            ] {
                assert!(text.contains(file), "{text}");
            }
        }
    }
}

#[test]
fn half_a_split_and_a_missing_split_are_named() {
    let folder = plain();
    let remove = |name| fs::remove_file(folder.path().join(name)).unwrap();
    remove("train-labels-idx1-ubyte");
    let text = message(open(folder.path(), Split::Test));
    assert!(
        text.contains("train-images-idx3-ubyte, but no labels to it"),
        "{text}"
    );
    remove("train-images-idx3-ubyte");
    assert!(message(open(folder.path(), Split::Train)).contains("holds no train split"));
    assert!(message(open(folder.path(), Split::Test)).contains("number of classes is unknown"));
    fs::write(folder.path().join("classes.txt"), "a\nb\nc\nd").unwrap();
    assert_eq!(open(folder.path(), Split::Test).unwrap().len(), 3);
}

#[test]
fn a_description_holds_sizes_and_hashes() {
    let outer = tempfile::tempdir().unwrap();
    let path = outer.path().join("shapes");
    fs::rename(plain().keep(), &path).unwrap();
    let info = describe(&path).unwrap();
    assert_eq!(
        (info.name.as_str(), info.licence.as_deref()),
        ("shapes", None)
    );
    assert_eq!(
        (info.train, info.test, info.height, info.width),
        (5, 3, 2, 3)
    );
    assert_eq!(info.class_names.len(), 4);
    let labels = &info.files[1];
    assert_eq!(
        (labels.name.as_str(), labels.bytes),
        ("train-labels-idx1-ubyte", 13)
    );
    // sha256sum of 00 00 08 01 00 00 00 05 00 03 01 01 00.
    assert_eq!(labels.sha256, LABELS_SHA256);
    assert_eq!(info.files.len(), 4);
    let json = serde_json::to_string(&info).unwrap();
    assert_eq!(serde_json::from_str::<SetInfo>(&json).unwrap(), info);
    write(&path, "t10k-images-idx3-ubyte", &[3, 3, 3], vec![0; 27]);
    let text = message(describe(&path));
    assert!(
        text.contains("train pictures are 2x3, test pictures 3x3"),
        "{text}"
    );
}

const LABELS_SHA256: &str = "aa7bc3fa80c0fc2f850dd8fc0182e0607e0dfb48f61813a2f74543cf74e875aa";

#[test]
fn drawn_digits_are_seeded_and_the_splits_differ() {
    let train = digits(Split::Train, 40, 1).unwrap();
    assert_eq!(train, digits(Split::Train, 40, 1).unwrap());
    assert_eq!(train, digits(Split::Train, 60, 1).unwrap().truncate(40));
    assert_ne!(train, digits(Split::Train, 40, 2).unwrap());
    assert_ne!(train, digits(Split::Test, 40, 1).unwrap());
    assert_eq!(train.class_names().len(), 10);
    let info = SetInfo::digits(40, 10, 1);
    assert_eq!((info.height, info.seed), (28, Some(1)));
    assert!(digits(Split::Test, usize::MAX, 1).is_err());
}
