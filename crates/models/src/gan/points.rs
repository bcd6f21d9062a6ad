//! Points of a mixture to learn, and how well a generator finds them.

use std::collections::BTreeMap;

use mapsto_data::{Mixture, Picture};
use mapsto_tensor::{DType, Device, Result as TensorResult, Tensor};
use mapsto_train::{Direction, Logs, RunFolder, Scores};
use serde_json::{Value, json};

use super::material::{Batches, Material, frame};
use super::measure::diversity;
use super::pipeline::{Source, points};
use super::settings::Settings;
use crate::error::{Error, Result};

/// Pixels a side of a plot, and the number that is at its edge.
const SIDE: usize = 300;
const EDGE: f32 = 1.5;

/// Batches from here on are for measuring.
const HELD: u64 = 1 << 40;

/// Points of a mixture.
#[derive(Debug)]
pub(super) struct Points {
    name: String,
    mixture: Mixture,
    batch: usize,
    steps: usize,
    seed: u64,
    device: Device,
    samples: [usize; 2],
}

impl Points {
    pub(super) fn new(settings: &Settings, device: &Device) -> Result<Self> {
        let mixture = match settings.data.source.as_str() {
            "ring" => Mixture::ring(),
            "grid" => Mixture::grid(),
            other => {
                return Err(Error::Config(format!(
                    "the model makes points, but {other} holds none: take ring or grid"
                )));
            }
        };
        let batch = settings.train.batch_size;
        Ok(Self {
            name: settings.data.source.clone(),
            mixture,
            batch,
            steps: settings.data.train_samples.div_ceil(batch),
            seed: settings.train.seed,
            device: device.clone(),
            samples: [settings.measure.epoch_samples, settings.measure.samples],
        })
    }

    /// Batch `number` of real points, `(n, 2)`.
    fn real(&self, number: u64, n: usize) -> TensorResult<Tensor> {
        let points = self.mixture.draw(self.seed, number, n);
        Tensor::from_vec(points.as_flattened().to_vec(), (n, 2), &self.device)
    }

    /// Modes and quality of `n` points, and of as many real ones how spread out they are.
    fn measure(&self, source: &Source<'_>, n: usize, seed: u64) -> Result<(Scores, Vec<[f32; 2]>)> {
        let made = source.make(&source.noise(n, seed)?, &vec![0; n])?;
        let real = self.real(HELD, n)?;
        let found = points(&made)?;
        let counted = self.mixture.count(&found);
        let values = Logs::from([
            ("modes".to_owned(), counted.modes as f64),
            ("quality".to_owned(), counted.quality),
            ("diversity".to_owned(), diversity(&made, &real)?),
        ]);
        let details = BTreeMap::from([("of_centre".to_owned(), json!(counted.of_centre))]);
        let scores = Scores {
            values,
            details,
            samples: n,
        };
        Ok((scores, found))
    }

    fn plot(&self, points: &[[f32; 2]]) -> Result<Picture> {
        let mut pixels = vec![1f32; SIDE * SIDE];
        let place = |x: f32| {
            let at = (x + EDGE) / (2.0 * EDGE) * SIDE as f32;
            (at >= 0.0 && at < SIDE as f32).then_some(at as usize)
        };
        let mut dot = |point: [f32; 2], ink: f32| {
            if let (Some(x), Some(y)) = (place(point[0]), place(-point[1])) {
                let pixel = &mut pixels[y * SIDE + x];
                *pixel = (*pixel - ink).max(0.0);
            }
        };
        for centre in self.mixture.centres() {
            // A light cross where a centre is.
            for step in -6..=6i32 {
                let off = step as f32 * 2.0 * EDGE / SIDE as f32;
                let (x, y) = (centre[0] as f32, centre[1] as f32);
                dot([x + off, y], 0.15);
                dot([x, y + off], 0.15);
            }
        }
        points.iter().for_each(|&point| dot(point, 0.6));
        Ok(Picture::new(pixels, SIDE, SIDE)?)
    }
}

impl Material for Points {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> Value {
        json!({
            "name": self.name, "centres": self.mixture.centres(),
            "deviation": self.mixture.deviation(), "seed": self.seed,
        })
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn batches(&self, epoch: usize) -> Batches<'_> {
        Box::new((0..self.steps).map(move |step| {
            let number = (epoch * self.steps + step) as u64;
            let classes = Tensor::zeros(self.batch, DType::U32, &self.device)?;
            Ok((self.real(number, self.batch)?, classes))
        }))
    }

    fn score(&self, source: &Source<'_>, run: &RunFolder, epoch: usize) -> Result<Scores> {
        let (scores, found) = self.measure(source, self.samples[0].max(1), self.seed ^ 1)?;
        let plot = self.plot(&found)?;
        plot.save_png(frame(run, epoch)?)?;
        Ok(scores)
    }

    fn test(&self, source: &Source<'_>, run: &RunFolder) -> Result<Scores> {
        let (scores, found) = self.measure(source, self.samples[1], self.seed ^ 2)?;
        self.plot(&found)?.save_png(run.file("samples.png"))?;
        let real = self.mixture.draw(self.seed, HELD, self.samples[1]);
        self.plot(&real)?.save_png(run.file("real.png"))?;
        Ok(scores)
    }

    /// The newest is kept: with a falling rate it is the best, and the first ones all count 0.
    fn monitored(&self) -> Option<(&'static str, Direction)> {
        None
    }
}
