//! Checkpoint files: what goes in comes out, and what is broken is said to be.
#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::Path;

use mapsto_tensor::checkpoint::{remove_leftovers, write_atomic};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{Checkpoint, CheckpointError, DType, Device, StateDict, Tensor};
use serde_json::{Value, json};

fn small() -> Checkpoint {
    Checkpoint {
        tensors: StateDict::from([
            (
                "b".into(),
                Tensor::new(&[1.5f32, -2.0], &Device::Cpu).unwrap(),
            ),
            (
                "a".into(),
                Tensor::new(&[[3i64, -4]], &Device::Cpu).unwrap(),
            ),
        ]),
        metadata: json!({"kind": "demo", "classes": ["cat", "dog"], "size": [28, 28]}),
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_dtype_shape_and_layout_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let base = (wave((2, 3), 0.2) * 50.0).unwrap();
    let mut tensors = StateDict::from([
        ("scalar".into(), Tensor::new(7f64, &Device::Cpu).unwrap()),
        (
            "empty".into(),
            Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap(),
        ),
        ("transposed".into(), base.t().unwrap()),
        ("piece".into(), base.narrow(1, 1, 2).unwrap()),
    ]);
    for dtype in [
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::U8,
        DType::U32,
        DType::I64,
    ] {
        let positive = base.abs().unwrap().to_dtype(dtype).unwrap();
        tensors.insert(dtype.as_str().into(), positive);
    }
    let checkpoint = Checkpoint {
        tensors,
        metadata: Value::Null,
    };
    checkpoint.save(&path).unwrap();
    let back = Checkpoint::load(&path).unwrap();
    assert_eq!(back.metadata, Value::Null);
    let names = |c: &Checkpoint| c.tensors.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&back), names(&checkpoint));
    for (name, tensor) in &checkpoint.tensors {
        assert_eq!(back.tensors[name].dtype(), tensor.dtype(), "{name}");
        assert_close(name, &back.tensors[name], tensor, 0.0, 0.0);
    }
}

#[test]
fn the_same_content_gives_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |checkpoint: &Checkpoint| {
        let path = folder.path().join("model.safetensors");
        checkpoint.save(&path).unwrap();
        (
            std::fs::read(&path).unwrap(),
            Checkpoint::load(&path).unwrap(),
        )
    };
    let (first, back) = bytes(&small());
    assert_eq!(bytes(&small()).0, first);
    assert_eq!(bytes(&back).0, first, "written, read and written again");
    let other = Checkpoint {
        metadata: json!({"kind": "other"}),
        ..small()
    };
    assert_ne!(bytes(&other).0, first);
}

#[test]
fn metadata_comes_back_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    small().save(&path).unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().metadata, small().metadata);
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);
}

#[test]
fn files_of_others_load_without_metadata_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("torch.safetensors");
    let write = |key: &str, value: &str| {
        let metadata = HashMap::from([(key.to_owned(), value.to_owned())]);
        let bytes = safetensors::serialize(&small().tensors, Some(metadata)).unwrap();
        std::fs::write(&path, bytes).unwrap();
        Checkpoint::load(&path)
    };
    let torch = write("format", "pt").unwrap();
    assert_eq!((torch.metadata, torch.tensors.len()), (Value::Null, 2));
    let error = write("mapsto", "{no json").unwrap_err();
    assert!(
        matches!(&error, CheckpointError::Corrupt { reason, .. } if reason.contains("metadata")),
        "{error}"
    );
}

/// Loads `bytes` from a file.
fn load(folder: &Path, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let path = folder.join("broken.safetensors");
    std::fs::write(&path, bytes).unwrap();
    Checkpoint::load(&path)
}

fn small_bytes(folder: &Path) -> Vec<u8> {
    let path = folder.join("whole.safetensors");
    small().save(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_file_cut_off_anywhere_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = small_bytes(folder.path());
    for length in 0..bytes.len() {
        let error = load(folder.path(), &bytes[..length]).unwrap_err();
        assert!(
            matches!(error, CheckpointError::Corrupt { .. }),
            "{length} bytes: {error}"
        );
        assert!(error.to_string().contains("broken.safetensors"), "{error}");
    }
    let longer = [&bytes[..], b"x"].concat();
    let error = load(folder.path(), &longer).unwrap_err();
    assert!(matches!(error, CheckpointError::Corrupt { .. }), "{error}");
}

#[test]
fn a_flipped_bit_in_the_header_is_corrupt_or_another_valid_file() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = small_bytes(folder.path());
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let mut corrupt = 0;
    for (byte, bit) in (0..header).flat_map(|byte| (0..8).map(move |bit| (byte, bit))) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << bit;
        match load(folder.path(), &flipped) {
            // Never more data than the file holds.
            Ok(other) => assert!(
                other
                    .tensors
                    .values()
                    .map(Tensor::elem_count)
                    .sum::<usize>()
                    <= 24
            ),
            Err(CheckpointError::Corrupt { .. }) => corrupt += 1,
            Err(error) => panic!("byte {byte}, bit {bit}: {error}"),
        }
    }
    assert!(corrupt > header, "most of the header is structure");
}

#[test]
fn a_file_that_cannot_be_written_is_an_io_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "old").unwrap();
    for path in [
        file.join("model"),
        folder.path().join("missing/model"),
        "/".into(),
    ] {
        let error = small().save(&path).unwrap_err();
        assert!(
            matches!(
                error,
                CheckpointError::Io {
                    action: "write",
                    ..
                }
            ),
            "{error}"
        );
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"old");
    assert_eq!(names_in(folder.path()), ["file"]);
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that is not empty cannot be replaced by the finished file.
    let taken = folder.path().join("model.safetensors");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("old"), "old").unwrap();
    let error = small().save(&taken).unwrap_err();
    assert!(matches!(error, CheckpointError::Io { .. }), "{error}");
    assert_eq!(names_in(folder.path()), ["model.safetensors"]);
    assert_eq!(std::fs::read(taken.join("old")).unwrap(), b"old");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_keeps_its_old_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    small().save(&path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let mode =
        |mode| std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(mode));
    mode(0o555).unwrap();
    let is_bound = std::fs::write(folder.path().join("probe"), "").is_err();
    let saved = Checkpoint::default().save(&path);
    mode(0o755).unwrap();
    // The superuser writes all the same.
    if is_bound {
        assert!(matches!(saved, Err(CheckpointError::Io { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), before);
        assert_eq!(names_in(folder.path()), ["model.safetensors"]);
    }
}

#[test]
fn a_missing_file_is_an_io_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = Checkpoint::load(&folder.path().join("none")).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Io { action: "read", .. }),
        "{error}"
    );
}

#[test]
fn writing_replaces_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    write_atomic(&path, b"a longer text").unwrap();
    write_atomic(&path, b"short").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"short");
    assert_eq!(names_in(folder.path()), ["x"]);
}

#[test]
fn leftovers_of_killed_writers_go_and_all_else_stays() {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        ".model-17.writing",
        ".x.writing",
        "model.writing",
        ".hidden",
        "model",
    ] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    remove_leftovers(folder.path()).unwrap();
    assert_eq!(
        names_in(folder.path()),
        [".hidden", "model", "model.writing"]
    );
    assert!(remove_leftovers(&folder.path().join("missing")).is_err());
}
