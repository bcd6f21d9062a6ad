//! Generators and discriminators of every kind: shapes, classes, gradients, and what is shared.

use mapsto_models::gan::{
    Architecture, Condition, Discriminator, GanConfig, GanTask, Generator, Norm, Rules, Shape,
};
use mapsto_tensor::testing::wave;
use mapsto_tensor::{DType, Device, ParamKind, ParamStore, Tensor, backward, rng};
use mapsto_train::Game;

fn pictures(architecture: Architecture, condition: Condition, norm: Norm) -> GanConfig {
    GanConfig {
        shape: Shape::Pictures {
            channels: 3,
            height: 16,
            width: 8,
        },
        architecture,
        latent: 5,
        width: 4,
        classes: if condition == Condition::None { 1 } else { 3 },
        condition,
        norm,
        pack: 1,
    }
}

fn points(pack: usize) -> GanConfig {
    GanConfig {
        shape: Shape::Points(2),
        architecture: Architecture::Mlp,
        latent: 3,
        width: 8,
        classes: 1,
        condition: Condition::None,
        norm: Norm::None,
        pack,
    }
}

fn all() -> Vec<GanConfig> {
    let mut configs = vec![points(1), points(2)];
    for architecture in [Architecture::Dcgan, Architecture::Residual] {
        for condition in [Condition::None, Condition::Concat, Condition::Projection] {
            for norm in [Norm::None, Norm::Batch, Norm::Spectral] {
                configs.push(pictures(architecture, condition, norm));
            }
        }
    }
    configs
}

fn classes(n: usize, config: &GanConfig) -> Tensor {
    let classes: Vec<u32> = (0..n).map(|i| (i % config.classes) as u32).collect();
    Tensor::new(classes, &Device::Cpu).unwrap()
}

fn real(n: usize, config: &GanConfig) -> Tensor {
    match config.shape {
        Shape::Points(dims) => wave((n, dims), 0.4),
        Shape::Pictures {
            channels,
            height,
            width,
        } => wave((n, channels, height, width), 0.4),
    }
}

#[test]
fn every_kind_makes_and_judges_samples_and_every_parameter_learns() {
    for config in all() {
        rng::manual_seed(5);
        let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(2);
        let task = GanTask::new(&config, Rules::default(), &store).unwrap();
        let batch = (real(6, &config), classes(6, &config));
        let made = task.generate(&batch).unwrap();
        assert_eq!(made.dims(), batch.0.dims(), "{config:?}");
        let output = task.discriminator_loss(&batch, &made.detach()).unwrap();
        assert_eq!(
            output.predictions.dims(),
            [6 / config.pack, 2],
            "{config:?}"
        );
        let loss = task.generator_loss(&batch, &made).unwrap();
        for (prefix, loss, other) in [
            ("discriminator.", &output.loss, "generator."),
            ("generator.", &loss, "discriminator."),
        ] {
            let of = |prefix: &str| {
                let mut params = store.trainable();
                params.retain(|(name, _)| name.starts_with(prefix));
                params
            };
            let gradients = backward::by(loss, of(prefix)).unwrap();
            gradients
                .audit()
                .unwrap_or_else(|error| panic!("{config:?}: {error}"));
            // No work is done for the other player.
            let others = backward::by(loss, of(other)).unwrap();
            assert_eq!(others.iter().count(), 0, "{config:?}");
        }
    }
}

#[test]
fn samples_and_scores_depend_on_the_class() {
    for architecture in [Architecture::Dcgan, Architecture::Residual] {
        for condition in [Condition::Concat, Condition::Projection] {
            let config = pictures(architecture, condition, Norm::Spectral);
            let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(2);
            let generator = Generator::new(&config, store.root().pp("g")).unwrap();
            let discriminator = Discriminator::new(&config, store.root().pp("d")).unwrap();
            let noise = wave((2, 5), 0.3);
            let class = |class: u32| Tensor::new(&[class, class], &Device::Cpu).unwrap();
            let values = |x: Tensor| x.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let made = |c| values(generator.forward(&noise, &class(c), false).unwrap());
            assert_ne!(made(0), made(2));
            let x = real(2, &config);
            let score = |c| values(discriminator.forward(&x, &class(c), false).unwrap());
            assert_ne!(score(0), score(2), "{config:?}");
            let error = generator.forward(&noise, &class(3), false).unwrap_err();
            assert!(error.to_string().contains("no class 3"), "{error}");
            assert!(
                generator
                    .forward(&wave((2, 4), 0.3), &class(0), false)
                    .is_err()
            );
        }
    }
}

#[test]
fn spectral_norm_bounds_the_slope_of_points() {
    let config = GanConfig {
        norm: Norm::Spectral,
        ..points(1)
    };
    let store = ParamStore::new(DType::F64, &Device::Cpu).with_seed(3);
    let network = Discriminator::new(&config, store.root()).unwrap();
    let (a, b) = (wave((50, 2), 0.3), wave((50, 2), 1.7));
    for _ in 0..60 {
        network.forward(&a, &classes(50, &config), true).unwrap();
    }
    let score = |x: &Tensor| network.forward(x, &classes(50, &config), false).unwrap();
    let apart = (&a - &b)
        .unwrap()
        .sqr()
        .unwrap()
        .sum(1)
        .unwrap()
        .sqrt()
        .unwrap();
    let slope = ((score(&a) - score(&b)).unwrap().abs().unwrap() / apart).unwrap();
    let steepest = slope.max(0).unwrap().to_scalar::<f64>().unwrap();
    assert!(steepest <= 1.0 + 1e-6 && steepest > 0.01, "{steepest}");
}

#[test]
fn clipped_weights_stay_in_bounds() {
    let rules = Rules {
        clip_weights: 0.01,
        ..Rules::default()
    };
    let store = ParamStore::new(DType::F32, &Device::Cpu);
    let task = GanTask::new(&points(1), rules, &store).unwrap();
    task.after_discriminator().unwrap();
    let largest = |prefix: &str| {
        let tensors = store.trainable().into_iter();
        let of_prefix = tensors.filter(|(name, _)| name.starts_with(prefix));
        let largest = of_prefix.map(|(_, var)| {
            var.abs()
                .unwrap()
                .max_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        });
        largest.fold(0.0, f32::max)
    };
    assert_eq!(largest("discriminator."), 0.01);
    assert!(largest("generator.") > 0.1);
}

#[test]
fn the_summary_lists_both_networks_with_all_their_parameters() {
    for config in [
        points(2),
        pictures(Architecture::Dcgan, Condition::Projection, Norm::Spectral),
    ] {
        let store = ParamStore::new(DType::F32, &Device::Cpu);
        let task = GanTask::new(&config, Rules::default(), &store).unwrap();
        let summary = task.summary().unwrap();
        let parameters = store.entries().into_iter();
        let parameters = parameters.filter(|(_, _, kind, _)| *kind == ParamKind::Parameter);
        let total: usize = parameters.map(|(_, var, _, _)| var.elem_count()).sum();
        assert_eq!(summary.trainable, total);
        let names: Vec<&str> = summary.layers.iter().map(|row| row.name.as_str()).collect();
        assert!(
            names.contains(&"generator.0") && names.contains(&"discriminator.score"),
            "{names:?}"
        );
    }
}
