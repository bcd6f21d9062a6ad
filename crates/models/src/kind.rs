//! Which entry of the zoo a checkpoint belongs to.

use std::path::Path;

use mapsto_train::Snapshot;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

/// The kind of model that a checkpoint holds: the name of its entry in the zoo.
///
/// # Errors
/// When the file is missing or damaged, or does not describe its model.
pub fn kind_of(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let snapshot = Snapshot::load(path)?;
    Ok(kind(snapshot.model(), path)?.to_owned())
}

/// The stored description of a model of this kind.
///
/// # Errors
/// When there is none, or it is of another kind or damaged.
pub(crate) fn described<T: DeserializeOwned>(model: &Value, path: &Path, kind: &str) -> Result<T> {
    let incompatible = |reason| Error::Incompatible {
        path: path.to_owned(),
        reason,
    };
    // Read before all else, since models of other kinds have other fields.
    let found = self::kind(model, path)?;
    if found != kind {
        let reason = format!("holds a model of kind {found}, not {kind}");
        return Err(incompatible(reason));
    }
    serde_json::from_value(model.clone())
        .map_err(|error| incompatible(format!("is no checkpoint of kind {kind}: {error}")))
}

/// The kind in a stored description.
fn kind<'a>(model: &'a Value, path: &Path) -> Result<&'a str> {
    if model.is_null() {
        return Err(Error::Incompatible {
            path: path.to_owned(),
            reason: "does not describe its model; give a checkpoint that train wrote, or load \
                     the weights in code"
                .to_owned(),
        });
    }
    Ok(model["kind"].as_str().unwrap_or("unknown"))
}
