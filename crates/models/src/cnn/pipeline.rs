//! [`CnnPipeline`]: a picture file in, class names with probabilities out.

use std::path::Path;

use mapsto_data::{Picture, fit_digit};
use mapsto_nn::Sequential;
use mapsto_tensor::{Checkpoint, D, DType, Device, ModuleT, ParamStore, Tensor, ops::softmax};
use mapsto_train::Snapshot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::network::{CnnConfig, cnn};
use crate::error::{Error, Result};

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Always `cnn`.
    pub kind: String,
    /// The network.
    pub config: CnnConfig,
    /// Names of the classes, in order.
    pub class_names: Vec<String>,
    /// Name of the data set it learned.
    pub data: String,
}

impl Description {
    /// Reads it from the value stored in a checkpoint.
    pub(super) fn read(model: &Value, path: &Path) -> Result<Self> {
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let description: Self = crate::described(model, path, "cnn")?;
        let (names, classes) = (description.class_names.len(), description.config.classes);
        if names != classes {
            let reason = format!("names {names} classes for a model of {classes}");
            return Err(incompatible(reason));
        }
        Ok(description)
    }
}

/// A trained network with all it needs to answer.
#[derive(Debug)]
pub struct CnnPipeline {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The parameters.
    pub store: ParamStore,
    model: Sequential,
    device: Device,
}

impl CnnPipeline {
    /// Loads a checkpoint, `best` or `last`.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let snapshot = Snapshot::load(path)?;
        let Checkpoint { tensors, metadata } = snapshot.without_training();
        let description = Description::read(&metadata["model"], path)?;
        let store = ParamStore::new(DType::F32, device);
        let model = cnn(&description.config, store.root())?;
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            model,
            device: device.clone(),
        })
    }

    /// The network.
    pub fn model(&self) -> &Sequential {
        &self.model
    }

    /// The classes of a picture of any size, light on dark or dark on light, most probable first.
    ///
    /// # Errors
    /// When the picture is blank.
    pub fn predict(&self, picture: &Picture) -> Result<Vec<(String, f32)>> {
        let CnnConfig {
            channels,
            height,
            width,
            ..
        } = self.description.config;
        let pixels = fit_digit(picture, height, width)?;
        let input = Tensor::from_vec(pixels, (1, channels, height, width), &self.device)?;
        let probabilities = softmax(&self.model.forward_t(&input, false)?, D::Minus1)?;
        let probabilities = probabilities.flatten_all()?.to_vec1::<f32>()?;
        let names = self.description.class_names.iter().cloned();
        let mut classes: Vec<(String, f32)> = names.zip(probabilities).collect();
        classes.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ok(classes)
    }
}
