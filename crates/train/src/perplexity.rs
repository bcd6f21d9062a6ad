//! [`Perplexity`]: `exp` of the mean loss, for a loss that is a mean surprise in nats.

use mapsto_tensor::{DType, Device, Result, bail};
use serde::Deserialize;
use serde::de::Error;
use serde_json::{Value, json};

use crate::float;
use crate::metric::Metric;
use crate::objective::Output;

/// `exp` of the mean over all targets of their surprise `-log p`.
///
/// Predictions are the surprises in nats, one a target: the loss itself may hold more, such as
/// regularisation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Perplexity {
    nats: f64,
    targets: usize,
}

impl Metric for Perplexity {
    fn name(&self) -> String {
        "perplexity".to_owned()
    }

    fn update(&mut self, output: &Output) -> Result<()> {
        let surprises = output
            .predictions
            .detach()
            .to_device(&Device::Cpu)?
            .to_dtype(DType::F64)?;
        let surprises = surprises.to_vec1::<f64>()?;
        if surprises.len() != output.samples() {
            bail!(
                "perplexity: {} surprises for {} targets",
                surprises.len(),
                output.samples()
            );
        }
        self.nats += surprises.iter().sum::<f64>();
        self.targets += surprises.len();
        Ok(())
    }

    fn value(&self) -> f64 {
        (self.nats / self.targets as f64).exp()
    }

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn state(&self) -> Value {
        json!({"nats": float::to_json(self.nats), "targets": self.targets})
    }

    fn load_state(&mut self, state: &Value) -> serde_json::Result<()> {
        self.targets = usize::deserialize(&state["targets"])?;
        self.nats = float::from_json(&state["nats"])
            .ok_or_else(|| serde_json::Error::custom("nats are no number"))?;
        Ok(())
    }

    fn clone_box(&self) -> Box<dyn Metric> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use mapsto_tensor::{Device, Tensor};

    use super::*;

    fn output(surprises: &[f32]) -> Output {
        let predictions = Tensor::new(surprises, &Device::Cpu).unwrap();
        Output {
            loss: (predictions.mean_all().unwrap() + 7.0).unwrap(),
            targets: predictions.clone(),
            predictions,
        }
    }

    #[test]
    fn batches_count_by_their_targets_and_the_state_goes_on() {
        let mut perplexity = Perplexity::default();
        assert!(perplexity.value().is_nan());
        perplexity.update(&output(&[1.0, 2.0, 3.0])).unwrap();
        let mut other = Perplexity::default();
        other.load_state(&perplexity.state()).unwrap();
        other.update(&output(&[6.0])).unwrap();
        assert!((other.value() - 3f64.exp()).abs() < 1e-9);
        other.reset();
        assert!(other.value().is_nan());
        for surprise in [f32::INFINITY, f32::NAN] {
            let mut bad = Perplexity::default();
            bad.update(&output(&[surprise])).unwrap();
            let state = serde_json::from_str(&bad.state().to_string()).unwrap();
            other.load_state(&state).unwrap();
            assert_eq!(other.value().to_bits(), bad.value().to_bits());
        }
    }

    #[test]
    fn one_surprise_a_target() {
        let mut bad = output(&[1.0, 2.0]);
        bad.targets = bad.targets.narrow(0, 0, 1).unwrap();
        assert!(Perplexity::default().update(&bad).is_err());
    }
}
