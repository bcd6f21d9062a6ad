//! Figures of the discriminator, and the watch over it.

use std::io::Write;

use mapsto_tensor::{DType, Result, bail};
use mapsto_train::{Callback, Context, Metric, Output, Result as TrainResult};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Share of real and made samples that the discriminator takes for what they are; predictions are
/// scores `(N, 2)` of real and of made samples, real above 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    right: usize,
    all: usize,
}

impl Metric for Told {
    fn name(&self) -> String {
        "told".to_owned()
    }

    fn update(&mut self, output: &Output) -> Result<()> {
        let scores: Vec<Vec<f64>> = output.predictions.to_dtype(DType::F64)?.to_vec2()?;
        for row in &scores {
            let &[real, made] = row.as_slice() else {
                bail!("expected a score of a real and of a made sample, got {row:?}");
            };
            self.right += usize::from(real > 0.0) + usize::from(made <= 0.0);
            self.all += 2;
        }
        Ok(())
    }

    fn value(&self) -> f64 {
        self.right as f64 / self.all as f64
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn state(&self) -> Value {
        json!(self)
    }

    fn load_state(&mut self, state: &Value) -> serde_json::Result<()> {
        *self = Self::deserialize(state)?;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Metric> {
        Box::new(self.clone())
    }
}

/// From this share of right answers on, the discriminator has won: nothing it says helps the
/// generator any more.
const WON: f64 = 0.995;

/// Below this diversity, the generator makes one sample only.
const ALIKE: f64 = 0.2;

/// Says in the log when the game is over: the discriminator tells all, or all samples are alike.
pub(super) struct CollapseWatch {
    log: Box<dyn Write + Send>,
}

impl CollapseWatch {
    pub(super) fn new(log: impl Write + Send + 'static) -> Self {
        Self { log: Box::new(log) }
    }
}

impl std::fmt::Debug for CollapseWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CollapseWatch")
    }
}

impl Callback for CollapseWatch {
    fn name(&self) -> &'static str {
        "collapse_watch"
    }

    fn on_epoch_end(&mut self, context: &mut Context<'_>) -> TrainResult<()> {
        let figure = |name: &str| context.logs.get(name).copied();
        let mut lines = String::new();
        if let Some(told) = figure("train.told").filter(|&told| told >= WON) {
            lines += &format!(
                "  the discriminator wins: it tells {:.1} % of all samples, so the generator \
                 learns nothing more; lower optim.discriminator_lr, or give it model.norm = \
                 \"spectral\", model.smoothing or model.augment\n",
                100.0 * told
            );
        }
        if let Some(diversity) = figure("val.diversity").filter(|&d| d < ALIKE) {
            lines += &format!(
                "  the generator collapses: its samples differ {diversity:.2} times as much as \
                 real ones; lower optim.lr, or try model.norm = \"spectral\", another model.loss \
                 or, for points, a larger model.pack\n"
            );
        }
        let written = self.log.write_all(lines.as_bytes());
        written.map_err(|error| mapsto_train::Error::Io {
            action: "write",
            path: "the log".into(),
            error,
        })
    }
}
