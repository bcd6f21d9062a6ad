//! Residual blocks that double or halve pictures: `y = f(x) + g(x)` with a deep `f` and a shallow
//! `g`, both resizing.
//!
//! Up: `f` is batch norm, ReLU, doubling, convolution, batch norm, ReLU, convolution; `g` doubling
//! and a convolution of one pixel. Down: `f` is ReLU, convolution, ReLU, convolution, halving; `g`
//! a convolution of one pixel and halving. Convolutions in `f` are 3x3.
//!
//! **References:** Kaiming He et al., "Identity mappings in deep residual networks", 2016; Takeru
//! Miyato et al., "Spectral normalization for generative adversarial networks", 2018.

use mapsto_nn::{
    Activation, AvgPool2d, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, Padding, Sequential,
    Upsample,
};
use mapsto_tensor::{ModuleT, Result, Tensor, VarBuilder};

use super::config::Norm;
use super::normed::{Normed, normed};

/// Two ways through a block, added up.
#[derive(Debug, Clone)]
struct Branches {
    deep: Sequential,
    shallow: Sequential,
}

impl ModuleT for Branches {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.deep.forward_t(x, train)? + self.shallow.forward_t(x, train)?
    }
}

fn same(from: usize, to: usize, kernel: usize) -> Conv2dConfig {
    Conv2dConfig {
        padding: Padding::Same,
        ..Conv2dConfig::new(from, to, kernel)
    }
}

/// Doubles pictures.
#[derive(Debug, Clone)]
pub(super) struct UpBlock(Branches);

impl UpBlock {
    pub(super) fn new(from: usize, to: usize, vb: VarBuilder<'static>) -> Result<Self> {
        let norm = |channels: usize| {
            move |vb: VarBuilder<'static>| BatchNorm2d::new(&BatchNormConfig::new(channels), vb)
        };
        let double = Upsample::nearest(2.0)?;
        let deep = Sequential::new(vb.pp("deep"))
            .layer(norm(from))?
            .add(Activation::Relu)
            .add(double)
            .layer(|vb| Conv2d::new(&same(from, to, 3), vb))?
            .layer(norm(to))?
            .add(Activation::Relu)
            .layer(|vb| Conv2d::new(&same(to, to, 3), vb))?;
        // One pixel at a time, the order makes no difference, and before is cheaper.
        let shallow = Sequential::new(vb.pp("shallow"))
            .layer(|vb| Conv2d::new(&same(from, to, 1), vb))?
            .add(double);
        Ok(Self(Branches { deep, shallow }))
    }
}

impl ModuleT for UpBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.forward_t(x, train)
    }
}

/// Halves pictures, or keeps them.
#[derive(Debug, Clone)]
pub(super) struct DownBlock(Branches);

impl DownBlock {
    /// `first` for the block that gets the picture itself: a ReLU would lose its dark half.
    pub(super) fn new(
        (from, to): (usize, usize),
        halve: bool,
        first: bool,
        norm: Norm,
        vb: VarBuilder<'static>,
    ) -> Result<Self> {
        let conv = |from: usize, to: usize, kernel: usize| {
            move |vb: VarBuilder<'static>| -> Result<Normed<Conv2d>> {
                normed(norm, vb, |vb| Conv2d::new(&same(from, to, kernel), vb))
            }
        };
        let mut deep = Sequential::new(vb.pp("deep"));
        if !first {
            deep = deep.add(Activation::Relu);
        }
        deep = deep
            .layer(conv(from, to, 3))?
            .add(Activation::Relu)
            .layer(conv(to, to, 3))?;
        let mut shallow = Sequential::new(vb.pp("shallow"));
        if halve {
            deep = deep.add(AvgPool2d::new(2));
            shallow = shallow.add(AvgPool2d::new(2));
        }
        let shallow = shallow.layer(conv(from, to, 1))?;
        Ok(Self(Branches { deep, shallow }))
    }
}

impl ModuleT for DownBlock {
    fn forward_t(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        self.0.forward_t(x, train)
    }
}
