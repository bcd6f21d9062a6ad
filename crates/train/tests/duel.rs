//! Two players: who moves when, by whose loss, and that a resumed game goes on to the same bits.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{StopAfter, fingerprint, sgd};
use mapsto_optim::Adam;
use mapsto_tensor::{DType, Device, ParamStore, Result, Tensor, ops, rng};
use mapsto_train::{Callback, Context, Duel, Ema, Game, Output, TerminateOnNan, Trainer};
use rand::Rng;

/// A generator `g z`, a discriminator `d x`, on single numbers.
struct Lines {
    g: Tensor,
    d: Tensor,
    fixed_d: Tensor,
    /// Whether the generator's loss forgets the generator.
    cut: bool,
}

impl Game<Tensor> for Lines {
    fn generate(&self, real: &Tensor) -> Result<Tensor> {
        let mut stream = rng::next_stream();
        let noise: Vec<f64> = (0..real.elem_count()).map(|_| stream.random()).collect();
        Tensor::from_vec(noise, real.shape(), &Device::Cpu)?.broadcast_mul(&self.g)
    }

    fn discriminator_loss(&self, real: &Tensor, made: &Tensor) -> Result<Output> {
        let score = |x: &Tensor| x.broadcast_mul(&self.d);
        let loss = (score(made)?.mean_all()? - score(real)?.mean_all()?)?;
        Ok(Output {
            loss: (loss + self.d.sqr()?.sum_all()?)?,
            predictions: made.clone(),
            targets: real.clone(),
        })
    }

    fn generator_loss(&self, _: &Tensor, made: &Tensor) -> Result<Tensor> {
        let made = if self.cut {
            made.detach()
        } else {
            made.clone()
        };
        made.broadcast_mul(&self.fixed_d)?.mean_all()?.neg()
    }

    fn after_discriminator(&self) -> Result<()> {
        // The bound of a weight, at which it is kept.
        let clipped = ops::unary(&self.d.detach(), ops::Unary::Hardtanh(-0.9, 0.9))?;
        mapsto_tensor::Var::from_tensor(&self.d)?.set(&clipped)
    }
}

fn game(cut: bool) -> (ParamStore, Lines) {
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let insert = |name: &str, value: f64| {
        let value = Tensor::new(&[value], &Device::Cpu).unwrap();
        let var = store.insert(name, &value, mapsto_tensor::ParamKind::Parameter);
        var.unwrap().as_tensor().clone()
    };
    let (g, d) = (insert("generator.g", 0.5), insert("discriminator.d", 0.25));
    let fixed_d = d.detach();
    (store, Lines { g, d, fixed_d, cut })
}

fn value(store: &ParamStore, name: &str) -> f64 {
    store.get(name).unwrap().to_vec1::<f64>().unwrap()[0]
}

fn reals(batches: usize) -> impl Fn(usize) -> Vec<std::result::Result<Tensor, std::io::Error>> {
    move |_| {
        let real = |i: usize| Tensor::new(&[3.0 + i as f64, 5.0], &Device::Cpu).unwrap();
        (0..batches).map(|i| Ok(real(i))).collect()
    }
}

const PLAYERS: [&str; 2] = ["discriminator.", "generator."];

#[test]
fn each_moves_by_its_own_loss_the_discriminator_first() {
    let (store, lines) = game(false);
    let duel = Duel::new(&store, (PLAYERS[0], sgd(0.1)), (PLAYERS[1], sgd(0.1))).unwrap();
    let mut trainer = Trainer::with_step(&store, lines, duel).seed(4);
    let history = trainer.fit(1, reals(1)).unwrap();
    let noise: Vec<f64> = {
        rng::manual_seed(4);
        let mut stream = rng::next_stream();
        (0..2).map(|_| stream.random()).collect()
    };
    let mean = (noise[0] + noise[1]) / 2.0;
    // d moves by mean(made) - mean(real) + 2 d, and is clipped.
    let d = (0.25 - 0.1 * (0.5 * mean - 4.0 + 0.5)).min(0.9);
    assert!((value(&store, "discriminator.d") - d).abs() < 1e-12);
    // g moves by the discriminator as it is now.
    let g = 0.5 + 0.1 * mean * d;
    assert!((value(&store, "generator.g") - g).abs() < 1e-12);
    let logs = &history.epochs[0].logs;
    assert!((logs["train.generator_loss"] + 0.5 * mean * d).abs() < 1e-12);
    let loss = 0.25 * (0.5 * mean - 4.0) + 0.0625;
    assert!((logs["train.discriminator_loss"] - loss).abs() < 1e-12);
    assert_eq!(trainer.samples(), 2);
}

#[test]
fn the_generator_waits_for_the_critic() {
    let (store, lines) = game(false);
    let duel = Duel::new(&store, (PLAYERS[0], sgd(0.1)), (PLAYERS[1], sgd(0.1))).unwrap();
    let mut trainer = Trainer::with_step(&store, lines, duel.critic_steps(3));
    trainer.fit(1, reals(2)).unwrap();
    assert_eq!(value(&store, "generator.g"), 0.5);
    // The third step falls into the second epoch.
    let history = trainer.fit(2, reals(2)).unwrap();
    assert_ne!(value(&store, "generator.g"), 0.5);
    assert!(!history.epochs[0].logs.contains_key("train.generator_loss"));
    let steps = |name: &str| {
        let state = trainer.snapshot().unwrap().tensors_of(name);
        state["step"]
            .to_dtype(DType::F64)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()[0]
    };
    assert_eq!(
        (steps("optim_discriminator"), steps("optim_generator")),
        (4.0, 1.0)
    );
}

#[test]
fn a_parameter_without_a_gradient_is_named() {
    // In the generator's first update, whenever that is.
    for every in [1, 3] {
        let (store, lines) = game(true);
        let duel = Duel::new(&store, (PLAYERS[0], sgd(0.1)), (PLAYERS[1], sgd(0.1))).unwrap();
        let error = Trainer::with_step(&store, lines, duel.critic_steps(every))
            .fit(1, reals(every))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("generator.g") && !text.contains("discriminator.d"),
            "{text}"
        );
    }
    let (store, _) = game(true);
    assert!(Duel::new(&store, ("critic.", sgd(0.1)), (PLAYERS[1], sgd(0.1))).is_err());
}

#[test]
fn losses_of_both_are_watched() {
    let (store, mut lines) = game(false);
    lines.fixed_d = Tensor::new(&[f64::NAN], &Device::Cpu).unwrap();
    let duel = Duel::new(&store, (PLAYERS[0], sgd(0.1)), (PLAYERS[1], sgd(0.1))).unwrap();
    let mut trainer = Trainer::with_step(&store, lines, duel).callback(TerminateOnNan);
    let error = trainer.fit(1, reals(1)).unwrap_err();
    assert!(
        matches!(error, mapsto_train::Error::Diverged { .. }),
        "{error}"
    );
}

const EPOCHS: usize = 3;

fn resumable(seed: u64) -> (ParamStore, Trainer<Lines, Duel>) {
    let (store, lines) = game(false);
    let adam = |lr| Adam {
        lr,
        ..Adam::default()
    };
    let players = ((PLAYERS[0], adam(0.02)), (PLAYERS[1], adam(0.05)));
    let duel = Duel::new(&store, players.0, players.1)
        .unwrap()
        .critic_steps(2);
    let trainer = Trainer::with_step(&store, lines, duel)
        .seed(seed)
        .callback(Ema::new(0.9).of("generator."));
    (store, trainer)
}

#[test]
fn a_resumed_game_goes_on_to_the_same_bits() {
    let (_, mut whole) = resumable(7);
    whole.fit(EPOCHS, reals(5)).unwrap();
    let expected = fingerprint(&whole.snapshot().unwrap());
    for step in [1, 5, 8, 9] {
        let (_, first) = resumable(7);
        let mut first = first.callback(StopAfter::Step(step));
        first.fit(EPOCHS, reals(5)).unwrap();
        let snapshot = first.snapshot().unwrap();
        let (_, mut second) = resumable(99);
        let kept = fingerprint(&snapshot);
        second.resume(&snapshot).unwrap();
        let history = second.fit(EPOCHS, reals(5)).unwrap();
        assert_eq!(
            fingerprint(&snapshot),
            kept,
            "what was trained since is not in it"
        );
        let mut timeless = second.snapshot().unwrap();
        let mut of_whole = whole.snapshot().unwrap();
        // The seconds of an epoch are the clock's.
        for snapshot in [&mut timeless, &mut of_whole] {
            snapshot.insert("history", serde_json::Value::Null);
        }
        assert_eq!(
            fingerprint(&timeless),
            fingerprint(&of_whole),
            "after step {step}"
        );
        for (a, b) in history.epochs.iter().zip(&whole.history().epochs) {
            assert_eq!(a.logs, b.logs);
        }
    }
    let (_, mut other) = resumable(8);
    other.fit(EPOCHS, reals(5)).unwrap();
    assert_ne!(fingerprint(&other.snapshot().unwrap()), expected);
}

/// Looks at the generator after each step.
#[derive(Debug, Default)]
struct Watch(Vec<f64>);

impl Callback for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn on_batch_end(&mut self, context: &mut Context<'_>) -> mapsto_train::Result<()> {
        self.0.push(value(context.store, "generator.g"));
        Ok(())
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!(self.0)
    }
}

#[test]
fn the_average_follows_the_generator_alone_and_is_what_is_measured() {
    let (store, lines) = game(false);
    let duel = Duel::new(&store, (PLAYERS[0], sgd(0.1)), (PLAYERS[1], sgd(0.1))).unwrap();
    let mut trainer = Trainer::with_step(&store, lines, duel)
        .callback(Watch::default())
        .callback(Ema::new(0.75).of("generator."));
    let measured = std::cell::Cell::new(0.0);
    trainer
        .fit_scored(1, reals(6), |trainer| {
            let _ = trainer;
            measured.set(value(&store, "generator.g"));
            Ok(mapsto_train::Scores {
                values: Default::default(),
                details: Default::default(),
                samples: 1,
            })
        })
        .unwrap();
    let snapshot = trainer.snapshot().unwrap();
    let states: serde_json::Value = snapshot.training("callbacks").unwrap();
    let seen: Vec<f64> = serde_json::from_value(states["watch"].clone()).unwrap();
    let mut average = 0.0;
    for (step, g) in seen.iter().enumerate() {
        // The plain mean of the first four, then a quarter of each.
        let share = (1.0 / (step + 1) as f64).max(0.25);
        average += (g - average) * share;
    }
    let averaged = snapshot.without_training().tensors;
    let kept = averaged["generator.g"].to_vec1::<f64>().unwrap()[0];
    assert!((kept - average).abs() < 1e-12, "{kept} {average}");
    assert_eq!(measured.get(), kept);
    assert_ne!(kept, *seen.last().unwrap());
    // Back in place afterwards, and the discriminator has no average.
    assert_eq!(value(&store, "generator.g"), *seen.last().unwrap());
    assert_eq!(
        averaged["discriminator.d"].to_vec1::<f64>().unwrap()[0],
        value(&store, "discriminator.d")
    );
}
