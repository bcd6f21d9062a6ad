//! Layers of Transformers against PyTorch's outputs and gradients, with every kind of mask.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests too"
)]

use mapsto_nn::{
    AttentionMask, LayerNorm, LayerNormConfig, MultiheadAttention, MultiheadAttentionConfig,
    TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
    TransformerLayerConfig,
};
use mapsto_tensor::testing::{Golden, goldens};
use mapsto_tensor::{
    DType, Device, Module, ParamKind, ParamStore, Result, Tensor, VarBuilder, backward,
};
use serde_json::Value;

mod torch {
    pub(crate) mod args;
}

use torch::args::{assert_args, modules};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/transformer");

/// The options that are read of a module: another one would make another module.
fn known(module: &str) -> Vec<&'static str> {
    const LAYER: [&str; 7] = [
        "batch_first",
        "bias",
        "d_model",
        "dim_feedforward",
        "dropout",
        "nhead",
        "norm_first",
    ];
    let own: &[&str] = match module {
        "LayerNorm" => return vec!["bias", "elementwise_affine", "eps", "normalized_shape"],
        "MultiheadAttention" => {
            // Those that add keys are never set, as is asserted below.
            return vec![
                "add_bias_kv",
                "add_zero_attn",
                "batch_first",
                "bias",
                "embed_dim",
                "num_heads",
            ];
        }
        "Transformer" => &["num_decoder_layers", "num_encoder_layers"],
        "TransformerEncoder" => &["norm", "num_layers"],
        _ => &[],
    };
    [&LAYER[..], own].concat()
}

/// A case with its inputs as variables, batch first.
struct Case<'a> {
    golden: &'a Golden,
    vb: VarBuilder<'static>,
    args: Value,
    inputs: Vec<Tensor>,
}

impl Case<'_> {
    fn flag(&self, name: &str, default: bool) -> bool {
        self.args[name].as_bool().unwrap_or(default)
    }

    fn size(&self, name: &str, default: u64) -> usize {
        self.args[name].as_u64().unwrap_or(default) as usize
    }

    /// `(N, T, D)`, whatever the order of the case.
    fn batch_first(&self, x: &Tensor) -> Result<Tensor> {
        match x.rank() {
            2 => x.unsqueeze(0),
            _ if self.flag("batch_first", false) => Ok(x.clone()),
            _ => x.transpose(0, 1)?.contiguous(),
        }
    }

    /// Back to the order of the case.
    fn in_order(&self, y: &Tensor) -> Result<Tensor> {
        match self.inputs[0].rank() {
            2 => y.squeeze(0),
            _ if self.flag("batch_first", false) => Ok(y.clone()),
            _ => y.transpose(0, 1),
        }
    }

    fn input(&self, place: usize) -> Result<Tensor> {
        self.batch_first(&self.inputs[place])
    }

    /// The masks of the keywords `places` and `padding` as one that is added.
    fn mask(&self, places: &str, padding: &str) -> Result<AttentionMask> {
        let forbid = |name: &str| -> Result<Option<Tensor>> {
            let name = format!("kwarg.{name}");
            if !self.golden.has(&name) {
                return Ok(None);
            }
            let mask = self.golden.tensor(&name);
            if mask.dtype() != DType::U8 {
                return Ok(Some(mask));
            }
            let nowhere = Tensor::full(f64::NEG_INFINITY, mask.shape(), &Device::Cpu)?;
            Ok(Some(mask.where_cond(&nowhere, &nowhere.zeros_like()?)?))
        };
        let padding = match forbid(padding)? {
            Some(mask) if mask.rank() == 1 => Some(mask.reshape((1, 1, 1, ()))?),
            Some(mask) => Some(mask.unsqueeze(1)?.unsqueeze(1)?),
            None => None,
        };
        let added = match (forbid(places)?, padding) {
            (Some(places), Some(padding)) => Some(padding.broadcast_add(&places)?),
            (places, padding) => places.or(padding),
        };
        Ok(AttentionMask {
            added,
            ..AttentionMask::default()
        })
    }

    fn layer(&self) -> TransformerLayerConfig {
        TransformerLayerConfig {
            dim_feedforward: self.size("dim_feedforward", 2048),
            dropout: self.args["dropout"].as_f64().unwrap_or(0.1),
            norm_first: self.flag("norm_first", false),
            bias: self.flag("bias", true),
            ..TransformerLayerConfig::new(self.size("d_model", 0), self.size("nhead", 0))
        }
    }

    /// All outputs.
    fn outputs(&self) -> Result<Vec<Tensor>> {
        let (vb, config) = (&self.vb, self.layer());
        let source = || self.mask("src_mask", "src_key_padding_mask");
        let target = || self.mask("tgt_mask", "tgt_key_padding_mask");
        let memory = || self.mask("memory_mask", "memory_key_padding_mask");
        let y = match self.golden.meta("module") {
            "LayerNorm" => return Ok(vec![self.layer_norm()?.forward(&self.inputs[0])?]),
            "MultiheadAttention" => return self.attention(),
            "TransformerEncoderLayer" => {
                let layer = TransformerEncoderLayer::new(&config, vb)?;
                layer.forward(&self.input(0)?, &source()?, true)?
            }
            "TransformerEncoder" => {
                let (count, norm) = (self.size("num_layers", 0), self.flag("norm", false));
                let stack = TransformerEncoder::new(&config, count, norm, vb)?;
                stack.forward(&self.input(0)?, &source()?, true)?
            }
            "TransformerDecoderLayer" => {
                let layer = TransformerDecoderLayer::new(&config, vb)?;
                let (x, m) = (self.input(0)?, self.input(1)?);
                layer.forward(&x, &m, &target()?, &memory()?, true)?
            }
            "Transformer" => {
                let encoders = self.size("num_encoder_layers", 6);
                let decoders = self.size("num_decoder_layers", 6);
                let encoder = TransformerEncoder::new(&config, encoders, true, &vb.pp("encoder"))?;
                let decoder = TransformerDecoder::new(&config, decoders, true, &vb.pp("decoder"))?;
                let m = encoder.forward(&self.input(0)?, &source()?, true)?;
                decoder.forward(&self.input(1)?, &m, &target()?, &memory()?, true)?
            }
            other => panic!("no layer for {other}"),
        };
        Ok(vec![self.in_order(&y)?])
    }

    fn layer_norm(&self) -> Result<LayerNorm> {
        let shape = match &self.args["normalized_shape"] {
            Value::Array(all) => all.iter().map(|n| n.as_u64().unwrap() as usize).collect(),
            one => vec![one.as_u64().unwrap() as usize],
        };
        let config = LayerNormConfig {
            eps: self.args["eps"].as_f64().unwrap_or(1e-5),
            elementwise_affine: self.flag("elementwise_affine", true),
            bias: self.flag("bias", true),
            ..LayerNormConfig::new(shape)
        };
        LayerNorm::new(&config, self.vb.clone())
    }

    fn attention(&self) -> Result<Vec<Tensor>> {
        assert!(!self.flag("add_bias_kv", false) && !self.flag("add_zero_attn", false));
        let config = MultiheadAttentionConfig {
            bias: self.flag("bias", true),
            ..MultiheadAttentionConfig::new(self.size("embed_dim", 0), self.size("num_heads", 0))
        };
        let layer = MultiheadAttention::new(&config, &self.vb)?;
        let last = self.inputs.len() - 1;
        let [q, k, v] = [0, 1, 2].map(|place| self.input(usize::min(place, last)));
        let mask = self.mask("attn_mask", "key_padding_mask")?;
        let (y, weights) = layer.forward(&q?, &k?, &v?, &mask, true)?;
        let weights = match self.inputs[0].rank() {
            2 => weights.squeeze(0)?,
            _ => weights,
        };
        Ok(vec![self.in_order(&y)?, weights])
    }
}

fn check(golden: &Golden) {
    assert_args(golden, &known(golden.meta("module")));
    let store = ParamStore::new(golden.dtype(), &Device::Cpu);
    let names: Vec<String> = ["input", "input.0", "input.1", "input.2"]
        .into_iter()
        .filter(|name| golden.has(name))
        .map(str::to_owned)
        .collect();
    let case = |inputs: Vec<Tensor>| Case {
        golden,
        vb: store.root(),
        args: serde_json::from_str(golden.meta("args")).unwrap(),
        inputs,
    };
    // Makes the parameters, which are replaced then.
    let plain = names.iter().map(|name| golden.tensor(name)).collect();
    case(plain)
        .outputs()
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    store
        .load_state_dict(&golden.with_prefix("param."), true)
        .unwrap_or_else(|error| panic!("{}: {error}", golden.name));
    let tracked = names.iter().map(|name| {
        let var = store.insert(name, &golden.tensor(name), ParamKind::Parameter);
        var.unwrap().as_tensor().clone()
    });
    let outputs = case(tracked.collect()).outputs().unwrap();
    let mut loss = Tensor::zeros((), golden.dtype(), &Device::Cpu).unwrap();
    for (place, y) in outputs.iter().enumerate() {
        let end = if golden.has("output") {
            String::new()
        } else {
            format!(".{place}")
        };
        golden.check(&format!("output{end}"), y);
        let upstream = golden.tensor(&format!("grad_output{end}"));
        loss = (loss + (y * upstream).unwrap().sum_all().unwrap()).unwrap();
    }
    let gradients = backward(&loss, &store).unwrap();
    let expected = golden.with_prefix("grad.");
    assert_eq!(gradients.iter().count(), expected.len(), "{}", golden.name);
    for name in expected.keys() {
        let ours = gradients.get(name.trim_start_matches("param."));
        let ours = ours.unwrap_or_else(|| panic!("{}: no gradient of {name}", golden.name));
        golden.check(&format!("grad.{name}"), ours);
    }
}

#[test]
fn layers_agree_with_pytorch() {
    goldens(FOLDER).iter().for_each(check);
}

#[test]
fn every_layer_has_a_case() {
    let expected = [
        "LayerNorm",
        "MultiheadAttention",
        "Transformer",
        "TransformerDecoderLayer",
        "TransformerEncoder",
        "TransformerEncoderLayer",
    ];
    assert_eq!(modules(&goldens(FOLDER)), expected);
}
