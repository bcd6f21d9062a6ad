//! [`Discriminator`]: from a sample, and its class if it has any, to one number: real above 0.
//!
//! | architecture | layers |
//! | --- | --- |
//! | `mlp` | dense and leaky ReLU three times; dense |
//! | `dcgan` | convolutions 4x4 with stride 2 and leaky ReLU, batch norm in all but the first; dense |
//! | `residual` | residual blocks that halve, and one that does not; ReLU, sum over places; dense |
//!
//! The last dense layer looks at the features. With projection a vector of the class, multiplied
//! with them, is added; with concatenation a plane of the class joins the picture. Spectral
//! normalisation is on every weight, and in place of batch norm.

use mapsto_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, Embedding, EmbeddingConfig,
    Flatten, Linear, Padding, Sequential, Summary, SummaryPart, linear,
};
use mapsto_tensor::{D, DType, ModuleT, ParamStore, Result, Tensor, VarBuilder, bail};

use super::config::{Architecture, Condition, GanConfig, Norm, Shape};
use super::normed::{Normed, normed};
use super::residual::DownBlock;

/// Slope of the leaky ReLU below 0.
const LEAK: Activation = Activation::LeakyRelu(0.2);

/// Tells real samples from made ones.
#[derive(Debug, Clone)]
pub struct Discriminator {
    config: GanConfig,
    features: Sequential,
    score: Normed<Linear>,
    /// A vector, or a plane, of each class.
    class: Option<Normed<Embedding>>,
}

impl Discriminator {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When the config does not fit together, or the store holds these names with other shapes.
    pub fn new(config: &GanConfig, vb: VarBuilder<'static>) -> Result<Self> {
        config.validate()?;
        let below = vb.pp("features");
        let (features, width) = match (config.shape, config.architecture) {
            (Shape::Points(dims), _) => dense(config, dims, below)?,
            (Shape::Pictures { .. }, Architecture::Residual) => residual(config, below)?,
            (Shape::Pictures { .. }, _) => strided(config, below)?,
        };
        let class = match (config.condition, config.shape) {
            (Condition::None, _) => None,
            (Condition::Concat, Shape::Pictures { height, width, .. }) => Some(height * width),
            (Condition::Concat | Condition::Projection, _) => Some(width),
        };
        let class = class.map(|size| {
            normed(config.norm, vb.pp("class"), |vb| {
                Embedding::new(&EmbeddingConfig::new(config.classes, size), vb)
            })
        });
        Ok(Self {
            config: config.clone(),
            features,
            score: normed(config.norm, vb.pp("score"), |vb| linear(width, 1, vb))?,
            class: class.transpose()?,
        })
    }

    /// The scores `(N)` of samples, or of every `pack` samples together.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn forward(&self, samples: &Tensor, classes: &Tensor, train: bool) -> Result<Tensor> {
        let class = match &self.class {
            Some(class) => Some(class.forward_t(classes, train)?),
            None => None,
        };
        let input = match (self.config.shape, self.config.condition) {
            (Shape::Points(dims), _) => self.packed(samples, dims)?,
            (Shape::Pictures { height, width, .. }, Condition::Concat) => {
                let Some(plane) = &class else {
                    bail!("gan: a picture's class is missing");
                };
                let plane = plane.reshape((samples.dim(0)?, 1, height, width))?;
                Tensor::cat(&[samples, &plane], 1)?
            }
            _ => samples.clone(),
        };
        let features = self.features.forward_t(&input, train)?;
        let score = self.score.forward_t(&features, train)?.squeeze(1)?;
        match class {
            Some(class) if self.config.condition == Condition::Projection => {
                score + (features * class)?.sum(D::Minus1)?
            }
            _ => Ok(score),
        }
    }

    /// The table of layers, for one sample, or one pack of points.
    ///
    /// # Errors
    /// When a layer fails.
    pub fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let dims = match self.config.shape {
            Shape::Points(dims) => vec![1, self.config.pack * dims],
            Shape::Pictures { height, width, .. } => vec![1, channels(&self.config), height, width],
        };
        let input = Tensor::zeros(dims, store.dtype(), &store.device())?;
        let layers = Summary::of(&self.features, store, &input)?;
        let features = self.features.forward_t(&input, false)?;
        let score = || self.score.forward_t(&features, false);
        let class = Tensor::zeros(1, DType::U32, &store.device())?;
        let vector = || match &self.class {
            Some(table) => table.forward_t(&class, false),
            None => Ok(class.clone()),
        };
        let mut parts: Vec<SummaryPart<'_>> = vec![("discriminator.score", "Linear", &score)];
        if self.class.is_some() {
            parts.push(("discriminator.class", "Embedding", &vector));
        }
        let layers = layers.under("discriminator.features");
        Ok(Summary::joined([layers, Summary::of_parts(store, &parts)?]))
    }

    /// Every `pack` points as one; what is left over is dropped.
    fn packed(&self, points: &Tensor, dims: usize) -> Result<Tensor> {
        let pack = self.config.pack;
        let whole = points.dim(0)? / pack;
        if whole == 0 {
            bail!(
                "gan: a batch of {} points cannot be judged {pack} by {pack}",
                points.dim(0)?
            );
        }
        points
            .narrow(0, 0, whole * pack)?
            .reshape((whole, pack * dims))
    }
}

fn dense(config: &GanConfig, dims: usize, vb: VarBuilder<'static>) -> Result<(Sequential, usize)> {
    let layer = |from: usize, to: usize| {
        let norm = config.norm;
        move |vb: VarBuilder<'static>| normed(norm, vb, |vb| linear(from, to, vb))
    };
    let layers = Sequential::new(vb)
        .layer(layer(config.pack * dims, config.width))?
        .add(LEAK)
        .layer(layer(config.width, config.width))?
        .add(LEAK)
        .layer(layer(config.width, config.width))?
        .add(LEAK);
    Ok((layers, config.width))
}

/// Channels of what the network gets.
fn channels(config: &GanConfig) -> usize {
    let Shape::Pictures { channels, .. } = config.shape else {
        return 0;
    };
    channels + usize::from(config.condition == Condition::Concat)
}

fn strided(config: &GanConfig, vb: VarBuilder<'static>) -> Result<(Sequential, usize)> {
    let Shape::Pictures { height, width, .. } = config.shape else {
        bail!("gan: convolutions judge pictures");
    };
    let (halvings, norm) = (config.halvings(), config.norm);
    let mut layers = Sequential::new(vb);
    let mut from = channels(config);
    for done in 1..=halvings {
        let to = config.channels_at(done);
        let batch_norm = norm == Norm::Batch && done > 1;
        let halving = Conv2dConfig {
            stride: (2, 2),
            padding: Padding::Explicit(1, 1),
            bias: !batch_norm,
            ..Conv2dConfig::new(from, to, 4)
        };
        layers = layers.layer(|vb| normed(norm, vb, |vb| Conv2d::new(&halving, vb)))?;
        if batch_norm {
            layers = layers.layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(to), vb))?;
        }
        layers = layers.add(LEAK);
        from = to;
    }
    let units = from * (height >> halvings) * (width >> halvings);
    Ok((layers.add(Flatten), units))
}

fn residual(config: &GanConfig, vb: VarBuilder<'static>) -> Result<(Sequential, usize)> {
    let mut layers = Sequential::new(vb);
    let mut from = channels(config);
    for done in 1..=config.halvings() + 1 {
        let halve = done <= config.halvings();
        let to = config.channels_at(done.min(config.halvings()));
        let norm = config.norm;
        layers = layers.layer(|vb| DownBlock::new((from, to), halve, done == 1, norm, vb))?;
        from = to;
    }
    let sum = |x: &Tensor| x.flatten_from(2)?.sum(D::Minus1);
    Ok((layers.add(Activation::Relu).add(sum), from))
}
