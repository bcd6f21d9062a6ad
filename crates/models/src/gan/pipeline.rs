//! [`GanPipeline`]: a class and a seed in, pictures or points out.

use std::path::Path;

use mapsto_data::Picture;
use mapsto_tensor::rng::Generator as Streams;
use mapsto_tensor::{DType, Device, ParamStore, Result as TensorResult, Tensor};
use mapsto_train::Snapshot;
use serde::{Deserialize, Serialize};

use super::config::{Condition, GanConfig, Shape};
use super::generator::Generator;
use super::task::{GENERATOR, noise, some_classes};
use crate::error::{Error, Result};

/// What a checkpoint of this entry says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// Always `gan`.
    pub kind: String,
    /// Both networks.
    pub config: GanConfig,
    /// Names of the classes, in order.
    pub class_names: Vec<String>,
    /// Name of the data set they learned.
    pub data: String,
}

/// A trained generator with all it needs to make samples.
#[derive(Debug, Clone)]
pub struct GanPipeline {
    /// What the checkpoint says about itself.
    pub description: Description,
    /// The generator's parameters.
    pub store: ParamStore,
    generator: Generator,
}

/// Samples that are made together.
const BATCH: usize = 250;

impl GanPipeline {
    /// Loads a checkpoint, `best` or `last`; the discriminator is left out.
    ///
    /// # Errors
    /// When the file is missing, damaged, of another kind, or does not fit its own description.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        let snapshot = Snapshot::load(path)?;
        let incompatible = |reason: String| Error::Incompatible {
            path: path.to_owned(),
            reason,
        };
        let description: Description = crate::described(snapshot.model(), path, "gan")?;
        let mut tensors = snapshot.without_training().tensors;
        let (names, classes) = (description.class_names.len(), description.config.classes);
        if names != classes {
            let reason = format!("names {names} classes for a model of {classes}");
            return Err(incompatible(reason));
        }
        let store = ParamStore::new(DType::F32, device);
        let generator = Generator::new(&description.config, store.root().pp("generator"))?;
        tensors.retain(|name, _| name.starts_with(GENERATOR));
        store.load_state_dict(&tensors, true)?;
        Ok(Self {
            description,
            store,
            generator,
        })
    }

    /// The network.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Whether a class can be asked for.
    pub fn is_conditional(&self) -> bool {
        self.description.config.condition != Condition::None
    }

    /// The number of a class, from its name or its number.
    ///
    /// # Errors
    /// When the model knows no classes, or not this one.
    pub fn class(&self, name: &str) -> Result<u32> {
        let names = &self.description.class_names;
        if !self.is_conditional() {
            return Err(Error::Config(
                "the model was trained without classes: train one with --preset conditional, or \
                 ask for none"
                    .to_owned(),
            ));
        }
        let by_name = names.iter().position(|known| known == name);
        let number = || name.parse().ok().filter(|&number| number < names.len());
        by_name
            .or_else(number)
            .map(|class| class as u32)
            .ok_or_else(|| {
                Error::Config(format!(
                    "there is no class {name}; there are {}",
                    names.join(", ")
                ))
            })
    }

    /// `n` samples of `class`, or of all classes in turn: pictures `(n, C, H, W)` in `[-1, 1]`, or
    /// points `(n, D)`. Sample `i` depends on `seed` and `i` only.
    ///
    /// # Errors
    /// When `n` is 0 or the class beyond the last.
    pub fn sample(&self, n: usize, class: Option<u32>, seed: u64) -> Result<Tensor> {
        if n == 0 {
            return Err(Error::Config("n must be at least 1, got 0".to_owned()));
        }
        let classes = match class {
            Some(class) => vec![class; n],
            None => in_turn(n, self.description.config.classes),
        };
        let source = Source {
            generator: &self.generator,
            config: &self.description.config,
            store: &self.store,
        };
        Ok(source.make(&source.noise(n, seed)?, &classes)?)
    }

    /// The same as pictures.
    ///
    /// # Errors
    /// As for [`sample`](Self::sample), or when the model makes points.
    pub fn pictures(&self, n: usize, class: Option<u32>, seed: u64) -> Result<Vec<Picture>> {
        pictures(&self.sample(n, class, seed)?)
    }

    /// `rows` ways of `columns` steps each from one picture to another.
    ///
    /// # Errors
    /// When a number is 0, or the model makes points.
    pub fn interpolate(&self, rows: usize, columns: usize, seed: u64) -> Result<Vec<Picture>> {
        let source = Source {
            generator: &self.generator,
            config: &self.description.config,
            store: &self.store,
        };
        pictures(&source.ways(rows, columns, seed)?)
    }
}

/// 0, 1, ... up to the last class, and again.
pub(super) fn in_turn(n: usize, classes: usize) -> Vec<u32> {
    (0..n).map(|i| (i % classes) as u32).collect()
}

/// A generator, while it learns or after.
pub(super) struct Source<'a> {
    pub(super) generator: &'a Generator,
    pub(super) config: &'a GanConfig,
    pub(super) store: &'a ParamStore,
}

impl Source<'_> {
    /// Noise whose row `i` depends on `seed` and `i` only.
    pub(super) fn noise(&self, n: usize, seed: u64) -> TensorResult<Tensor> {
        let row = |i: usize| {
            let mut stream = Streams::keyed(seed, &[i as u64]);
            noise(1, self.config.latent, &mut stream, self.store)
        };
        let rows: Vec<Tensor> = (0..n).map(row).collect::<TensorResult<_>>()?;
        Tensor::cat(&rows, 0)
    }

    /// Samples of noise, some at a time.
    pub(super) fn make(&self, noise: &Tensor, classes: &[u32]) -> TensorResult<Tensor> {
        let mut made = vec![];
        for (index, classes) in classes.chunks(BATCH).enumerate() {
            let noise = noise.narrow(0, index * BATCH, classes.len())?;
            let classes = Tensor::new(classes, noise.device())?;
            made.push(self.generator.forward(&noise, &classes, false)?.detach());
        }
        Tensor::cat(&made, 0)
    }

    /// Great circles between pairs of noise, along which its length, to which generators are used,
    /// hardly changes; one class a row.
    pub(super) fn ways(&self, rows: usize, columns: usize, seed: u64) -> TensorResult<Tensor> {
        let ends = self
            .noise(2 * rows, seed)?
            .to_dtype(DType::F64)?
            .to_vec2::<f64>()?;
        let mut noise = vec![];
        for pair in ends.chunks_exact(2) {
            let length = |row: &[f64]| row.iter().map(|x| x * x).sum::<f64>().sqrt();
            let dot: f64 = pair[0].iter().zip(&pair[1]).map(|(a, b)| a * b).sum();
            let angle = (dot / (length(&pair[0]) * length(&pair[1])))
                .clamp(-1.0, 1.0)
                .acos();
            for column in 0..columns {
                let at = column as f64 / columns.saturating_sub(1).max(1) as f64;
                let share = |at: f64| match angle.sin() {
                    // Of ends in one direction, or opposite ones, there is no circle.
                    sine if sine < 1e-6 => at,
                    sine => (at * angle).sin() / sine,
                };
                let (first, second) = (share(1.0 - at), share(at));
                let between = pair[0].iter().zip(&pair[1]);
                noise.extend(between.map(|(a, b)| first * a + second * b));
            }
        }
        let shape = (rows * columns, self.config.latent);
        let noise = Tensor::from_vec(noise, shape, &Device::Cpu)?
            .to_dtype(self.store.dtype())?
            .to_device(&self.store.device())?;
        let mut stream = Streams::keyed(seed, &[u64::MAX]);
        let classes = some_classes(rows, self.config.classes, &mut stream);
        let classes = classes.into_iter().flat_map(|class| vec![class; columns]);
        self.make(&noise, &classes.collect::<Vec<_>>())
    }
}

/// Pictures of values in `[-1, 1]`.
pub(super) fn pictures(samples: &Tensor) -> Result<Vec<Picture>> {
    let Ok((_, channels, height, width)) = samples.dims4() else {
        return Err(Error::Config(
            "the model makes points and no pictures: ask for its points with --json".to_owned(),
        ));
    };
    let values = ((samples + 1.0)? * 0.5)?.to_dtype(DType::F32)?;
    let rows: Vec<Vec<f32>> = values.flatten_from(1)?.to_vec2()?;
    let picture = |row| Ok(Picture::of_planes(row, channels, height, width)?);
    rows.into_iter().map(picture).collect()
}

/// Points of a plane.
pub(super) fn points(samples: &Tensor) -> Result<Vec<[f32; 2]>> {
    let rows: Vec<Vec<f32>> = samples.to_dtype(DType::F32)?.to_vec2()?;
    Ok(rows.iter().map(|row| [row[0], row[1]]).collect())
}

impl GanConfig {
    /// Whether samples are pictures.
    pub fn makes_pictures(&self) -> bool {
        matches!(self.shape, Shape::Pictures { .. })
    }
}
