//! Convolutional networks as lists of layers, and three that everybody knows.
//!
//! | preset | layers | source |
//! | --- | --- | --- |
//! | `mission` | conv 32 3x3, ReLU, max-pool 2, flatten, dense 128, ReLU, dense | the usual first example |
//! | `lenet5` | conv 6 5x5, tanh, mean-pool 2, conv 16 5x5, tanh, mean-pool 2, dense 120, tanh, dense 84, tanh, dense | LeCun et al. 1998, with a plain last layer |
//! | `dropout` | conv 32 3x3, ReLU, conv 64 3x3, ReLU, max-pool 2, dropout 1/4, dense 128, ReLU, dropout 1/2, dense | the MNIST example of many frameworks |
//!
//! Parameters are called `conv.weight`, `fc1.weight`, ... (`conv1`, `conv2` where there are two),
//! so a PyTorch module with these attribute names gives a state dict that loads as it is.
//!
//! **Shape:** `(N, channels, height, width)` → logits `(N, classes)`.
//!
//! **References:** Yann LeCun, Léon Bottou, Yoshua Bengio, Patrick Haffner, "Gradient-based
//! learning applied to document recognition", 1998.

use mapsto_nn::{
    Activation, AvgPool2d, Conv2d, Conv2dConfig, Dropout, Flatten, MaxPool2d, Padding, Sequential,
    linear,
};
use mapsto_tensor::{Result, VarBuilder, bail, ops::Conv2dParams, ops::Pool2dParams};
use serde::{Deserialize, Serialize};

/// One layer. Input sizes follow from the layers before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Convolution with a square kernel.
    #[allow(missing_docs)]
    Conv {
        name: String,
        channels: usize,
        kernel: usize,
        #[serde(default)]
        padding: usize,
    },
    /// An activation.
    Activation(Activation),
    /// Max pooling over squares side by side.
    MaxPool(usize),
    /// Mean pooling over squares side by side.
    AvgPool(usize),
    /// From channels, rows and columns to one dimension.
    Flatten,
    /// Dropout with this probability.
    Dropout(f64),
    /// Fully connected; `units` 0 stands for the number of classes.
    #[allow(missing_docs)]
    Linear { name: String, units: usize },
}

/// A network: what goes in, its layers, and how many classes come out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnnConfig {
    /// Colour planes of a picture.
    pub channels: usize,
    /// Rows of a picture.
    pub height: usize,
    /// Columns of a picture.
    pub width: usize,
    /// Number of classes, at least 2.
    pub classes: usize,
    /// The layers in order; the last must give `classes` numbers.
    pub layers: Vec<Layer>,
}

/// Names that [`CnnConfig::preset`] knows.
pub const PRESETS: [&str; 3] = ["mission", "lenet5", "dropout"];

fn conv(name: &str, channels: usize, kernel: usize, padding: usize) -> Layer {
    Layer::Conv {
        name: name.to_owned(),
        channels,
        kernel,
        padding,
    }
}

fn dense(name: &str, units: usize) -> Layer {
    Layer::Linear {
        name: name.to_owned(),
        units,
    }
}

impl CnnConfig {
    /// The preset called `name` for grey pictures of this size, or `None`.
    pub fn preset(name: &str, height: usize, width: usize, classes: usize) -> Option<Self> {
        use Layer::{AvgPool, Dropout, Flatten, MaxPool};
        let (relu, tanh) = (
            Layer::Activation(Activation::Relu),
            Layer::Activation(Activation::Tanh),
        );
        let layers = match name {
            "mission" => vec![
                conv("conv", 32, 3, 0),
                relu.clone(),
                MaxPool(2),
                Flatten,
                dense("fc1", 128),
                relu,
                dense("fc2", 0),
            ],
            "lenet5" => {
                // LeCun's input is 32x32; smaller pictures are padded to that.
                let padding = if height.min(width) < 32 { 2 } else { 0 };
                vec![
                    conv("conv1", 6, 5, padding),
                    tanh.clone(),
                    AvgPool(2),
                    conv("conv2", 16, 5, 0),
                    tanh.clone(),
                    AvgPool(2),
                    Flatten,
                    dense("fc1", 120),
                    tanh.clone(),
                    dense("fc2", 84),
                    tanh,
                    dense("fc3", 0),
                ]
            }
            "dropout" => vec![
                conv("conv1", 32, 3, 0),
                relu.clone(),
                conv("conv2", 64, 3, 0),
                relu.clone(),
                MaxPool(2),
                Dropout(0.25),
                Flatten,
                dense("fc1", 128),
                relu,
                Dropout(0.5),
                dense("fc2", 0),
            ],
            _ => return None,
        };
        Some(Self {
            channels: 1,
            height,
            width,
            classes,
            layers,
        })
    }

    /// Size of one sample as `(channels, height, width)`.
    pub fn input_dims(&self) -> [usize; 3] {
        [self.channels, self.height, self.width]
    }
}

/// What flows between layers.
enum Flow {
    Planes {
        channels: usize,
        size: (usize, usize),
    },
    Flat(usize),
}

impl Flow {
    fn planes(&self) -> Result<(usize, (usize, usize))> {
        match *self {
            Self::Planes { channels, size } => Ok((channels, size)),
            Self::Flat(units) => bail!("it needs pictures, but gets {units} numbers"),
        }
    }

    fn units(&self) -> Result<usize> {
        match *self {
            Self::Planes {
                channels,
                size: (h, w),
            } => match h
                .checked_mul(w)
                .and_then(|plane| plane.checked_mul(channels))
            {
                Some(units) => Ok(units),
                None => bail!("{channels} planes of {h} by {w} are too many numbers"),
            },
            Self::Flat(units) => Ok(units),
        }
    }

    fn pooled(&self, kernel: usize) -> Result<Self> {
        let (channels, (h, w)) = self.planes()?;
        let size = Pool2dParams::new(kernel).output_size(h, w)?;
        Ok(Self::Planes { channels, size })
    }
}

/// Builds the network under `vb`.
///
/// # Errors
/// When layers do not fit each other or the number of classes, naming the layer.
pub fn cnn(config: &CnnConfig, vb: VarBuilder<'static>) -> Result<Sequential> {
    let size = config
        .input_dims()
        .into_iter()
        .try_fold(1, usize::checked_mul);
    if config.classes < 2 || size.is_none_or(|size| size == 0) {
        bail!("a network needs at least 2 classes and a picture size, got {config:?}");
    }
    let mut model = Sequential::new(vb);
    let mut flow = Flow::Planes {
        channels: config.channels,
        size: (config.height, config.width),
    };
    for (index, layer) in config.layers.iter().enumerate() {
        (model, flow) = push(model, flow, layer, config.classes)
            .map_err(|error| error.context(format!("layer {index}, {layer:?}")))?;
    }
    match flow {
        Flow::Flat(units) if units == config.classes => Ok(model),
        other => bail!(
            "the network gives {} numbers for {} classes",
            other.units()?,
            config.classes
        ),
    }
}

fn push(
    model: Sequential,
    flow: Flow,
    layer: &Layer,
    classes: usize,
) -> Result<(Sequential, Flow)> {
    Ok(match layer {
        Layer::Conv {
            name,
            channels,
            kernel,
            padding,
        } => {
            let (input, size) = flow.planes()?;
            if *channels == 0 {
                bail!("channels must be at least 1, got 0");
            }
            let params = Conv2dParams {
                padding: (*padding, *padding),
                ..Conv2dParams::default()
            };
            let size = params.output_size(size, (*kernel, *kernel))?;
            let config = Conv2dConfig {
                padding: Padding::Explicit(*padding, *padding),
                ..Conv2dConfig::new(input, *channels, *kernel)
            };
            let model = model.named(name, |vb| Conv2d::new(&config, vb))?;
            let channels = *channels;
            (model, Flow::Planes { channels, size })
        }
        Layer::Activation(activation) => (model.add(*activation), flow),
        Layer::MaxPool(kernel) => (model.add(MaxPool2d::new(*kernel)), flow.pooled(*kernel)?),
        Layer::AvgPool(kernel) => (model.add(AvgPool2d::new(*kernel)), flow.pooled(*kernel)?),
        Layer::Flatten => (model.add(Flatten), Flow::Flat(flow.units()?)),
        Layer::Dropout(p) => (model.add(Dropout::new(*p)?), flow),
        Layer::Linear { name, units } => {
            let Flow::Flat(input) = flow else {
                bail!("it needs a Flatten before it");
            };
            let units = if *units == 0 { classes } else { *units };
            let model = model.named(name, |vb| linear(input, units, vb))?;
            (model, Flow::Flat(units))
        }
    })
}
