//! [`Judge`]: a classifier of real pictures, whose features made ones are compared by.
//!
//! It is the mission's network: a convolution of 32 filters 3x3, ReLU, max pooling, a dense layer
//! of 128 units whose ReLU gives the features, and a dense layer to the classes. It learns the
//! training pictures once, and is kept in the run folder.

use std::path::Path;

use mapsto_data::{DataLoader, ImageCollate, ImageSet, Subset};
use mapsto_nn::{
    Activation, Flatten, Linear, MaxPool2d, Sequential, conv2d, cross_entropy, linear,
};
use mapsto_optim::Adam;
use mapsto_tensor::ops::softmax;
use mapsto_tensor::{Checkpoint, D, DType, Device, Module, ModuleT, ParamStore, Tensor};
use mapsto_train::{Output, Trainer};
use serde_json::json;

use crate::error::Result;

/// Units of the layer that gives the features.
const FEATURES: usize = 128;

/// Filters of the convolution.
const FILTERS: usize = 32;

/// Pictures that are looked at together.
const BATCH: usize = 500;

/// A classifier of real pictures.
#[derive(Debug, Clone)]
pub(super) struct Judge {
    store: ParamStore,
    features: Sequential,
    head: Linear,
}

/// What the judge says about pictures.
#[derive(Debug, Clone)]
pub(super) struct Opinion {
    /// `(N, 128)`.
    pub(super) features: Tensor,
    /// `(N, classes)`.
    pub(super) probabilities: Tensor,
}

impl Judge {
    fn new(
        [channels, height, width]: [usize; 3],
        classes: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let store = ParamStore::new(DType::F32, device).with_seed(seed);
        let units = FILTERS * ((height - 2) / 2) * ((width - 2) / 2);
        let features = Sequential::new(store.root())
            .named("conv", |vb| conv2d(channels, FILTERS, 3, vb))?
            .add(Activation::Relu)
            .add(MaxPool2d::new(2))
            .add(Flatten)
            .named("fc1", |vb| linear(units, FEATURES, vb))?
            .add(Activation::Relu);
        let head = linear(FEATURES, classes, store.root().pp("fc2"))?;
        Ok(Self {
            store,
            features,
            head,
        })
    }

    /// One that has learned these pictures, from `path` if it is there, else trained and stored there.
    pub(super) fn of(
        learned: Subset<ImageSet>,
        collate: &ImageCollate,
        (epochs, seed): (usize, u64),
        device: &Device,
        path: &Path,
    ) -> Result<Self> {
        let set = learned.dataset();
        let dims = [set.channels(), set.height(), set.width()];
        let judge = Self::new(dims, set.class_names().len(), seed, device)?;
        if path.exists() {
            let tensors = Checkpoint::load(path)?.tensors;
            judge.store.load_state_dict(&tensors, true)?;
            return Ok(judge);
        }
        let loader = DataLoader::new(learned, collate.clone())
            .batch_size(128)?
            .shuffle(true)
            .seed(seed)
            .workers(1);
        let task = |(pictures, labels): &(Tensor, Tensor), train: bool| {
            let features = judge.features.forward_t(pictures, train)?;
            let predictions = judge.head.forward(&features)?;
            Ok(Output {
                loss: cross_entropy(&predictions, labels)?,
                predictions,
                targets: labels.clone(),
            })
        };
        let mut trainer = Trainer::new(&judge.store, task, Adam::default())?;
        trainer.fit(epochs, |epoch| loader.epoch(epoch))?;
        let checkpoint = Checkpoint {
            tensors: judge.store.state_dict(),
            metadata: json!({"model": {"kind": "judge"}}),
        };
        checkpoint.save(path)?;
        Ok(judge)
    }

    /// Features and probabilities of pictures as the generator makes them, in `[-1, 1]`.
    pub(super) fn look(&self, pictures: &Tensor) -> Result<Opinion> {
        let (mut features, mut probabilities) = (vec![], vec![]);
        for start in (0..pictures.dim(0)?).step_by(BATCH) {
            let count = BATCH.min(pictures.dim(0)? - start);
            let of_some = self
                .features
                .forward_t(&pictures.narrow(0, start, count)?, false)?;
            let logits = self.head.forward(&of_some)?;
            probabilities.push(softmax(&logits.detach(), D::Minus1)?);
            features.push(of_some.detach());
        }
        Ok(Opinion {
            features: Tensor::cat(&features, 0)?,
            probabilities: Tensor::cat(&probabilities, 0)?,
        })
    }
}
