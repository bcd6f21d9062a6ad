//! A whole DCGAN of PyTorch's, both networks, out of our layers: values, losses, every gradient and
//! the running statistics.

use mapsto_models::gan::GanLoss;
use mapsto_nn::{
    Activation, BatchNorm2d, BatchNormConfig, Conv2d, Conv2dConfig, ConvTranspose2d,
    ConvTranspose2dConfig, Flatten, Padding, Sequential,
};
use mapsto_tensor::testing::{Golden, assert_close};
use mapsto_tensor::{DType, Device, ModuleT, ParamStore, Result, Tensor, VarBuilder, backward};

const FILE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/golden/gan/dcgan.safetensors"
);

fn norm(vb: VarBuilder<'static>, channels: usize) -> Result<BatchNorm2d> {
    BatchNorm2d::new(&BatchNormConfig::new(channels), vb)
}

/// Noise of 6 channels of one pixel, to 4x4, and doubled three times.
fn generator(vb: VarBuilder<'static>) -> Result<Sequential> {
    let mut layers = Sequential::new(vb);
    let sizes = [(6, 16), (16, 8), (8, 4), (4, 1)];
    for (index, (from, to)) in sizes.into_iter().enumerate() {
        let first = index == 0;
        let config = ConvTranspose2dConfig {
            stride: if first { (1, 1) } else { (2, 2) },
            padding: if first { (0, 0) } else { (1, 1) },
            bias: false,
            ..ConvTranspose2dConfig::new(from, to, 4)
        };
        layers = layers.layer(|vb| ConvTranspose2d::new(&config, vb))?;
        layers = if index < 3 {
            layers.layer(|vb| norm(vb, to))?.add(Activation::Relu)
        } else {
            layers.add(Activation::Tanh)
        };
    }
    Ok(layers)
}

fn discriminator(vb: VarBuilder<'static>) -> Result<Sequential> {
    let mut layers = Sequential::new(vb);
    let sizes = [(1, 4), (4, 8), (8, 16), (16, 1)];
    for (index, (from, to)) in sizes.into_iter().enumerate() {
        let last = index == 3;
        let config = Conv2dConfig {
            stride: if last { (1, 1) } else { (2, 2) },
            padding: if last {
                Padding::Valid
            } else {
                Padding::Explicit(1, 1)
            },
            bias: false,
            ..Conv2dConfig::new(from, to, 4)
        };
        layers = layers.layer(|vb| Conv2d::new(&config, vb))?;
        if !last {
            if index > 0 {
                layers = layers.layer(|vb| norm(vb, to))?;
            }
            layers = layers.add(Activation::LeakyRelu(0.2));
        }
    }
    Ok(layers.add(Flatten))
}

fn exact(golden: &Golden, name: &str) -> Tensor {
    golden.tensor(name).to_dtype(DType::F64).unwrap()
}

#[test]
fn a_whole_dcgan_agrees_with_pytorch() {
    let golden = Golden::open(FILE);
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let g = generator(store.root().pp("generator").pp("main")).unwrap();
    let d = discriminator(store.root().pp("discriminator").pp("main")).unwrap();
    let mut state = golden.with_prefix("param.");
    state.extend(golden.with_prefix("buffer."));
    store.load_state_dict(&state, true).unwrap();

    let judge = |x: &Tensor| d.forward_t(x, true).unwrap().squeeze(1).unwrap();
    let fake = g.forward_t(&golden.tensor("z"), true).unwrap();
    assert_close("fake", &fake, &exact(&golden, "fake"), 1e-5, 1e-6);
    let real_scores = judge(&exact(&golden, "real"));
    let fake_scores = judge(&fake.detach());
    golden.check("d_real", &real_scores);
    golden.check("d_fake", &fake_scores);
    let loss = GanLoss::NonSaturating;
    let loss_d = loss.discriminator(&real_scores, &fake_scores, 0.0).unwrap();
    golden.check("loss_d", &loss_d);
    let for_g = judge(&fake);
    golden.check("d_fake_for_g", &for_g);
    let loss_g = loss.generator(&for_g).unwrap();
    golden.check("loss_g", &loss_g);

    let mut checked = 0;
    for (prefix, loss) in [("discriminator.", &loss_d), ("generator.", &loss_g)] {
        let mut params = store.trainable();
        params.retain(|(name, _)| name.starts_with(prefix));
        let gradients = backward::by(loss, params).unwrap();
        gradients.audit().unwrap();
        for (name, gradient) in gradients.iter() {
            golden.check(&format!("grad.param.{name}"), gradient);
            checked += 1;
        }
    }
    assert_eq!(checked, golden.with_prefix("grad.param.").len());
    for name in golden.with_prefix("buffer_after.").keys() {
        let buffer = store.get(name).unwrap();
        let expected = exact(&golden, &format!("buffer_after.{name}"));
        assert_close(name, &buffer, &expected, 1e-6, 1e-7);
    }
    let one = golden.tensor("z").narrow(0, 0, 1).unwrap();
    let evaluated = g.forward_t(&one, false).unwrap();
    assert_close(
        "fake_eval",
        &evaluated,
        &exact(&golden, "fake_eval"),
        1e-5,
        1e-6,
    );
}
