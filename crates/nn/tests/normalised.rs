//! Layers with buffers: batch and spectral normalisation. What training changes, what evaluation
//! uses, what is stored, and what is refused.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

use mapsto_nn::{
    BatchNorm1d, BatchNorm2d, BatchNormConfig, ConvTranspose2d, ConvTranspose2dConfig,
    SpectralNorm, conv2d, linear,
};
use mapsto_tensor::testing::{assert_close, wave};
use mapsto_tensor::{
    Checkpoint, DType, Device, ModuleT, ParamKind, ParamStore, Tensor, VarBuilder, backward,
};

fn store() -> ParamStore {
    ParamStore::new(DType::F64, &Device::Cpu).with_seed(4)
}

fn values(store: &ParamStore, name: &str) -> Vec<f64> {
    store
        .get(name)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn bits(x: &Tensor) -> Vec<f64> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn buffers_are_apart_from_parameters_and_get_no_gradient() {
    let store = store();
    let norm = BatchNorm2d::new(&BatchNormConfig::new(3), store.root().pp("norm")).unwrap();
    let conv = SpectralNorm::new(store.root().pp("conv"), |vb| conv2d(2, 3, 3, vb)).unwrap();
    let of_kind = |wanted: ParamKind| {
        let entries = store.entries().into_iter();
        let of_kind = entries.filter(move |(_, _, kind, _)| *kind == wanted);
        of_kind.map(|(name, ..)| name).collect::<Vec<_>>()
    };
    assert_eq!(
        of_kind(ParamKind::Parameter),
        ["conv.bias", "conv.weight_orig", "norm.bias", "norm.weight"]
    );
    assert_eq!(
        of_kind(ParamKind::Buffer),
        [
            "conv.weight_u",
            "conv.weight_v",
            "norm.num_batches_tracked",
            "norm.running_mean",
            "norm.running_var"
        ]
    );
    let x = wave((4, 2, 6, 5), 0.3);
    let y = norm
        .forward_t(&conv.forward_t(&x, true).unwrap(), true)
        .unwrap();
    let loss = (&y * wave(y.shape(), 0.7)).unwrap().sum_all().unwrap();
    let gradients = backward(&loss, &store).unwrap();
    gradients.audit().unwrap();
    assert_eq!(gradients.iter().count(), 4);
}

#[test]
fn training_moves_buffers_and_evaluation_uses_and_leaves_them() {
    let store = store();
    let norm = BatchNorm1d::new(&BatchNormConfig::new(2), store.root()).unwrap();
    let x = (wave((20, 2), 0.3) * 3.0).unwrap();
    for _ in 0..200 {
        norm.forward_t(&x, true).unwrap();
    }
    // By then the running statistics are those of the batch, the variance unbiased.
    let trained = norm.forward_t(&x, true).unwrap();
    let before = (
        values(&store, "running_mean"),
        values(&store, "running_var"),
    );
    let evaluated = norm.forward_t(&x, false).unwrap();
    let unbiased = (&trained * (19f64 / 20.0).sqrt()).unwrap();
    assert_close("evaluated", &evaluated, &unbiased, 1e-4, 1e-4);
    assert_eq!(
        (
            values(&store, "running_mean"),
            values(&store, "running_var")
        ),
        before
    );
    assert_eq!(values(&store, "num_batches_tracked"), [201.0]);
    // One sample alone can be evaluated, and not trained on.
    let one = x.narrow(0, 0, 1).unwrap();
    assert_eq!(
        bits(&norm.forward_t(&one, false).unwrap()),
        bits(&evaluated)[..2]
    );
    let error = norm.forward_t(&one, true).unwrap_err().to_string();
    assert!(error.contains("has no variance"), "{error}");
}

#[test]
fn frozen_layers_still_track() {
    let store = store();
    store.freeze("");
    let norm = BatchNorm1d::new(&BatchNormConfig::new(2), store.root()).unwrap();
    norm.forward_t(&wave((5, 2), 0.3), true).unwrap();
    assert_eq!(values(&store, "num_batches_tracked"), [1.0]);
    assert_ne!(values(&store, "running_mean"), [0.0, 0.0]);
    let conv = SpectralNorm::new(store.root().pp("conv"), |vb| conv2d(2, 3, 3, vb)).unwrap();
    let before = values(&store, "conv.weight_u");
    conv.forward_t(&wave((1, 2, 4, 4), 0.3), true).unwrap();
    assert_ne!(values(&store, "conv.weight_u"), before);
}

#[test]
fn what_cannot_be_tracked_is_an_error_and_not_forgotten() {
    let tensors = [("running_mean", 0.0), ("running_var", 1.0)];
    let mut tensors: std::collections::HashMap<String, Tensor> = tensors
        .map(|(name, value)| {
            (
                name.to_owned(),
                Tensor::full(value, 2, &Device::Cpu).unwrap(),
            )
        })
        .into();
    let zero = Tensor::new(0f64, &Device::Cpu).unwrap();
    tensors.insert("num_batches_tracked".to_owned(), zero);
    let config = BatchNormConfig {
        affine: false,
        ..BatchNormConfig::new(2)
    };
    // Tensors of a file, which nobody can change.
    let vb = VarBuilder::from_tensors(tensors, DType::F64, &Device::Cpu);
    let norm = BatchNorm1d::new(&config, vb).unwrap();
    let x = wave((5, 2), 0.3);
    norm.forward_t(&x, false).unwrap();
    let error = norm.forward_t(&x, true).unwrap_err().to_string();
    assert!(error.contains("ParamStore"), "{error}");
}

#[test]
fn states_are_stored_and_loaded_with_their_buffers() {
    let build = |seed| {
        let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(seed);
        let conv = SpectralNorm::new(store.root().pp("conv"), |vb| conv2d(2, 3, 3, vb)).unwrap();
        let norm = BatchNorm2d::new(&BatchNormConfig::new(3), store.root().pp("norm")).unwrap();
        (store, move |x: &Tensor, train| {
            norm.forward_t(&conv.forward_t(x, train).unwrap(), train)
                .unwrap()
        })
    };
    let x = wave((4, 2, 6, 5), 0.3);
    let (from, network) = build(1);
    for _ in 0..3 {
        network(&x, true);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.safetensors");
    let checkpoint = Checkpoint {
        tensors: from.state_dict(),
        ..Checkpoint::default()
    };
    checkpoint.save(&path).unwrap();
    let (to, other) = build(2);
    assert_ne!(bits(&other(&x, false)), bits(&network(&x, false)));
    to.load_state_dict(&Checkpoint::load(&path).unwrap().tensors, true)
        .unwrap();
    assert_eq!(bits(&other(&x, false)), bits(&network(&x, false)));
    assert_eq!(bits(&other(&x, true)), bits(&network(&x, true)));
}

#[test]
fn the_norm_found_is_the_largest_singular_value() {
    // Diagonal weights, whose singular values are plain to see.
    let weight = Tensor::new(&[[3f64, 0.0, 0.0], [0.0, -5.0, 0.0]], &Device::Cpu).unwrap();
    let store = store();
    let layer = SpectralNorm::new(store.root(), |vb| linear(3, 2, vb)).unwrap();
    store.get("weight_orig").unwrap().set(&weight).unwrap();
    let x = Tensor::eye(3, DType::F64, &Device::Cpu).unwrap();
    for _ in 0..60 {
        layer.forward_t(&x, true).unwrap();
    }
    let found = layer.normalized(false).unwrap();
    let expected = (weight / 5.0).unwrap();
    assert_close("normalised", found.weight(), &expected, 1e-9, 1e-9);
}

#[test]
fn vectors_start_on_the_unit_sphere_and_follow_every_kind_of_layer() {
    let store = store();
    let doubling = ConvTranspose2dConfig {
        stride: (2, 2),
        ..ConvTranspose2dConfig::new(3, 4, 2)
    };
    let layer = SpectralNorm::new(store.root(), |vb| ConvTranspose2d::new(&doubling, vb)).unwrap();
    let length = |name: &str| values(&store, name).iter().map(|x| x * x).sum::<f64>();
    // Outputs are the second dimension of this weight.
    assert_eq!(values(&store, "weight_u").len(), 4);
    assert_eq!(values(&store, "weight_v").len(), 3 * 2 * 2);
    for name in ["weight_u", "weight_v"] {
        assert!((length(name) - 1.0).abs() < 1e-12);
    }
    let y = layer.forward_t(&wave((2, 3, 4, 4), 0.1), true).unwrap();
    assert_eq!(y.dims(), [2, 4, 8, 8]);
}

#[test]
fn what_does_not_fit_is_named() {
    let refused = |result: mapsto_tensor::Result<Tensor>, what: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(what), "{error}");
    };
    let one = BatchNorm1d::new(&BatchNormConfig::new(2), store().root()).unwrap();
    refused(
        one.forward_t(&wave((2, 2, 3, 3), 0.1), true),
        "(N, C) or (N, C, L)",
    );
    refused(one.forward_t(&wave((4, 3), 0.1), true), "2 channels");
    let two = BatchNorm2d::new(&BatchNormConfig::new(2), store().root()).unwrap();
    refused(two.forward_t(&wave((4, 2), 0.1), true), "(N, C, H, W)");
    for config in [
        BatchNormConfig::new(0),
        BatchNormConfig {
            eps: -1.0,
            ..BatchNormConfig::new(2)
        },
        BatchNormConfig {
            momentum: Some(1.5),
            ..BatchNormConfig::new(2)
        },
    ] {
        assert!(BatchNorm1d::new(&config, store().root()).is_err());
    }
    for config in [
        ConvTranspose2dConfig {
            stride: (0, 1),
            ..ConvTranspose2dConfig::new(2, 2, 2)
        },
        ConvTranspose2dConfig {
            groups: 3,
            ..ConvTranspose2dConfig::new(2, 2, 2)
        },
    ] {
        assert!(ConvTranspose2d::new(&config, store().root()).is_err());
    }
}
