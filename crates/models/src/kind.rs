//! Which entry of the zoo a checkpoint belongs to.

use std::path::Path;

use mapsto_train::Snapshot;
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

/// The kind in a stored description. It is read before all else, since models of other kinds
/// have other fields.
pub(crate) fn kind<'a>(model: &'a Value, path: &Path) -> Result<&'a str> {
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
