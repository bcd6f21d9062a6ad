//! Files that hold no language model, or a damaged one.

use mapsto_models::cnn::{CnnConfig, CnnPipeline, cnn};
use mapsto_models::{Error, kind_of};
use mapsto_tensor::CheckpointError;

use super::*;

#[test]
fn each_kind_of_model_refuses_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    assert_eq!(kind_of(&path).unwrap(), "lm");
    let error = CnnPipeline::load(&path, &Device::Cpu).unwrap_err();
    assert!(matches!(&error, Error::Incompatible { .. }), "{error:?}");
    assert!(error.to_string().contains("kind lm, not cnn"), "{error}");
    let network = CnnConfig::preset("lenet5", 28, 28, 10).unwrap();
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    cnn(&network, store.root()).unwrap();
    let path = save(
        folder.path(),
        &store,
        json!({"kind": "cnn", "config": network}),
    );
    assert_eq!(kind_of(&path).unwrap(), "cnn");
    incompatible(&path, "kind cnn, not lm");
}

/// The file is refused, naming itself and the reason.
fn incompatible(path: &Path, reason: &str) {
    let error = Writer::load(path, &Device::Cpu).unwrap_err();
    assert!(matches!(&error, Error::Incompatible { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(reason) && text.contains("model.safetensors"),
        "{text}"
    );
}

#[test]
fn descriptions_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    let writer = load(&path);
    let good = json!(writer.description);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut model = good.clone();
        change(&mut model);
        save(folder.path(), &writer.store, model)
    };
    incompatible(&with(&|m| *m = Value::Null), "does not describe its model");
    incompatible(&with(&|m| *m = json!({"name": "mine"})), "kind unknown");
    incompatible(&with(&|m| *m = json!({"kind": "lm"})), "missing field");
    incompatible(&with(&|m| m["unit"] = json!("syllable")), "syllable");
    let fewer = json!({"tokens": ["<eos>", "the"]});
    incompatible(
        &with(&|m| m["vocab"] = fewer.clone()),
        "vocabulary of 2 tokens for a model of 6",
    );
    let other = with(&|m| m["config"]["hidden"] = json!(16));
    match Writer::load(&other, &Device::Cpu).unwrap_err() {
        Error::Checkpoint(CheckpointError::Mismatch(report)) => {
            assert!(report.missing.is_empty(), "{report:?}");
            assert!(!report.mismatched.is_empty());
        }
        other => panic!("{other:?}"),
    }
    let none = with(&|m| m["config"]["layers"] = json!(0));
    assert!(Writer::load(&none, &Device::Cpu).is_err());
}

#[test]
fn damaged_and_missing_files_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = checkpoint(folder.path(), &WORDS, Unit::Word, None);
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = Writer::load(&path, &Device::Cpu).unwrap_err();
        let corrupt = matches!(&error, Error::Checkpoint(CheckpointError::Corrupt { .. }));
        assert!(corrupt, "{length} bytes: {error:?}");
    }
    let error = Writer::load(folder.path().join("none"), &Device::Cpu).unwrap_err();
    assert!(
        matches!(&error, Error::Checkpoint(CheckpointError::Io { .. })),
        "{error:?}"
    );
}
