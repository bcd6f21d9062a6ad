//! From settings to an optimizer.

use mapsto_optim::{Adam, AdamW, IntoOptimizer, Optim, Optimizer, Rule, Sgd};
use mapsto_tensor::ParamStore;

use super::settings::OptimSettings;
use crate::error::Result;

/// The optimizer of the parameters in `store`; a schedule runs over `epochs` of `steps` steps.
pub(crate) fn optimizer(
    settings: &OptimSettings,
    store: &ParamStore,
    epochs: usize,
    steps: usize,
) -> Result<Box<dyn Optimizer>> {
    let OptimSettings {
        lr,
        momentum,
        weight_decay,
        ..
    } = *settings;
    match settings.name.as_str() {
        "sgd" => scheduled(
            Sgd {
                lr,
                momentum,
                weight_decay,
                ..Sgd::default()
            },
            settings,
            store,
            (epochs, steps),
        ),
        "adamw" => scheduled(
            AdamW {
                lr,
                weight_decay,
                ..AdamW::default()
            },
            settings,
            store,
            (epochs, steps),
        ),
        _ => scheduled(
            Adam {
                lr,
                weight_decay,
                ..Adam::default()
            },
            settings,
            store,
            (epochs, steps),
        ),
    }
}

fn scheduled(
    rule: impl Rule,
    settings: &OptimSettings,
    store: &ParamStore,
    (epochs, steps): (usize, usize),
) -> Result<Box<dyn Optimizer>> {
    let of_step = settings.clone();
    let factor = move |step: u64| of_step.factor(step, epochs, steps);
    let mut optim = Optim::new(rule, store.trainable())?.schedule(factor);
    if settings.clip_norm > 0.0 {
        optim = optim.clip_grad_norm(settings.clip_norm)?;
    }
    Ok(optim.into_optimizer(store)?)
}
