//! [`Generator`]: from noise, and a class if it has any, to a sample.
//!
//! | architecture | layers |
//! | --- | --- |
//! | `mlp` | dense and ReLU three times; dense |
//! | `dcgan` | dense, batch norm, ReLU; transposed convolutions 4x4 with stride 2, each but the last with batch norm and ReLU; tanh |
//! | `residual` | dense; residual blocks that double; batch norm, ReLU, convolution 3x3; tanh |
//!
//! A class is the noise's company: a one-hot vector is put beside it.
//!
//! **References:** Alec Radford et al., "Unsupervised representation learning with deep
//! convolutional generative adversarial networks", 2016; Mehdi Mirza, Simon Osindero, "Conditional
//! generative adversarial nets", 2014; Takeru Miyato et al., "Spectral normalization for generative
//! adversarial networks", 2018.

use mapsto_nn::{
    Activation, BatchNorm1d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvTranspose2d,
    ConvTranspose2dConfig, Linear, LinearConfig, Padding, Sequential, Summary, linear,
};
use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Result, Tensor, VarBuilder, bail, ops};

use super::config::{Architecture, Condition, GanConfig, Shape};
use super::residual::UpBlock;

/// Makes samples of noise.
#[derive(Debug, Clone)]
pub struct Generator {
    config: GanConfig,
    layers: Sequential,
}

impl Generator {
    /// Makes or finds the parameters under `vb`.
    ///
    /// # Errors
    /// When the config does not fit together, or the store holds these names with other shapes.
    pub fn new(config: &GanConfig, vb: VarBuilder<'static>) -> Result<Self> {
        config.validate()?;
        let layers = match (config.shape, config.architecture) {
            (Shape::Points(dims), _) => dense(config, dims, vb)?,
            (Shape::Pictures { .. }, Architecture::Residual) => residual(config, vb)?,
            (Shape::Pictures { .. }, _) => transposed(config, vb)?,
        };
        Ok(Self {
            config: config.clone(),
            layers,
        })
    }

    /// Samples of `noise (N, latent)`, and of `classes (N)` if the network is told the class.
    ///
    /// # Errors
    /// When shapes do not fit, or classes are missing or beyond the last.
    pub fn forward(&self, noise: &Tensor, classes: &Tensor, train: bool) -> Result<Tensor> {
        let config = &self.config;
        if noise.dims2()?.1 != config.latent {
            bail!(
                "gan: expected noise (N, {}), got {:?}",
                config.latent,
                noise.shape()
            );
        }
        if config.condition == Condition::None {
            return self.layers.forward_t(noise, train);
        }
        let classes = one_hot(classes, config.classes, noise)?;
        self.layers
            .forward_t(&Tensor::cat(&[noise, &classes], 1)?, train)
    }
}

impl Generator {
    /// The table of layers, for one sample.
    ///
    /// # Errors
    /// When a layer fails.
    pub fn summary(&self, store: &ParamStore) -> Result<Summary> {
        let input = Tensor::zeros((1, self.config.inputs()), store.dtype(), &store.device())?;
        Ok(Summary::of(&self.layers, store, &input)?.under("generator"))
    }
}

/// `(N, count)` with a 1 at each class.
pub(super) fn one_hot(classes: &Tensor, count: usize, like: &Tensor) -> Result<Tensor> {
    let classes: Vec<u32> = classes.to_dtype(DType::U32)?.to_vec1()?;
    let mut rows = vec![0f32; classes.len() * count];
    for (row, &class) in rows.chunks_exact_mut(count).zip(&classes) {
        let Some(place) = row.get_mut(class as usize) else {
            bail!(
                "gan: there is no class {class}; the last of {count} is {}",
                count - 1
            );
        };
        *place = 1.0;
    }
    Tensor::from_vec(rows, (classes.len(), count), &Device::Cpu)?
        .to_dtype(like.dtype())?
        .to_device(like.device())
}

fn dense(config: &GanConfig, dims: usize, vb: VarBuilder<'static>) -> Result<Sequential> {
    let width = config.width;
    Sequential::new(vb)
        .layer(|vb| linear(config.inputs(), width, vb))?
        .add(Activation::Relu)
        .layer(|vb| linear(width, width, vb))?
        .add(Activation::Relu)
        .layer(|vb| linear(width, width, vb))?
        .add(Activation::Relu)
        .layer(|vb| linear(width, dims, vb))
}

/// The picture in its smallest form: channels, rows, columns.
fn smallest(config: &GanConfig, halvings: usize) -> [usize; 3] {
    let Shape::Pictures { height, width, .. } = config.shape else {
        return [0; 3];
    };
    let channels = config.channels_at(halvings);
    [channels, height >> halvings, width >> halvings]
}

/// A closure that gives numbers the shape of pictures.
fn as_pictures([channels, height, width]: [usize; 3]) -> impl Fn(&Tensor) -> Result<Tensor> {
    move |x: &Tensor| ops::reshape(x, (x.dim(0)?, channels, height, width))
}

fn transposed(config: &GanConfig, vb: VarBuilder<'static>) -> Result<Sequential> {
    let Shape::Pictures { channels, .. } = config.shape else {
        bail!("gan: transposed convolutions make pictures");
    };
    let halvings = config.halvings();
    let smallest = smallest(config, halvings);
    let units: usize = smallest.iter().product();
    let first = LinearConfig {
        bias: false,
        ..LinearConfig::new(config.inputs(), units)
    };
    let mut layers = Sequential::new(vb)
        .layer(|vb| Linear::new(&first, vb))?
        .layer(|vb| BatchNorm1d::new(&BatchNormConfig::new(units), vb))?
        .add(Activation::Relu)
        .add(as_pictures(smallest));
    for left in (0..halvings).rev() {
        let out = if left == 0 {
            channels
        } else {
            config.channels_at(left)
        };
        let doubling = ConvTranspose2dConfig {
            stride: (2, 2),
            padding: (1, 1),
            bias: left == 0,
            ..ConvTranspose2dConfig::new(config.channels_at(left + 1), out, 4)
        };
        layers = layers.layer(|vb| ConvTranspose2d::new(&doubling, vb))?;
        if left > 0 {
            layers = layers
                .layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(out), vb))?
                .add(Activation::Relu);
        }
    }
    Ok(layers.add(Activation::Tanh))
}

fn residual(config: &GanConfig, vb: VarBuilder<'static>) -> Result<Sequential> {
    let Shape::Pictures { channels, .. } = config.shape else {
        bail!("gan: residual blocks make pictures");
    };
    let halvings = config.halvings();
    let smallest = smallest(config, halvings);
    let mut layers = Sequential::new(vb)
        .layer(|vb| linear(config.inputs(), smallest.iter().product(), vb))?
        .add(as_pictures(smallest));
    for left in (0..halvings).rev() {
        let (from, to) = (
            config.channels_at(left + 1),
            config.channels_at(left.max(1)),
        );
        layers = layers.layer(|vb| UpBlock::new(from, to, vb))?;
    }
    let last = Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(config.width, channels, 3)
    };
    Ok(layers
        .layer(|vb| BatchNorm2d::new(&BatchNormConfig::new(config.width), vb))?
        .add(Activation::Relu)
        .layer(|vb| Conv2d::new(&last, vb))?
        .add(Activation::Tanh))
}
