//! The settings that have a name.
//!
//! Without a text of your own (`--data`), each learns the embedded language.
//!
//! | preset | network | training | after |
//! | --- | --- | --- | --- |
//! | `grammar` | LSTM 1x64 | Adam, 6 epochs, cosine | sized for the embedded language |
//! | `ptb-small` | LSTM 2x200 | SGD, 20x20, 13 epochs, rate halved after the 4th | Zaremba et al. 2014 |
//! | `ptb-medium` | LSTM 2x650, dropout 1/2 | SGD, 20x35, 39 epochs, rate / 1.2 after the 6th | Zaremba et al. 2014 |
//! | `ptb-large` | LSTM 2x1500, dropout 0.65 | SGD, 20x35, 55 epochs, rate / 1.15 after the 14th | Zaremba et al. 2014 |
//! | `ptb-tied` | LSTM 400 and 200, tied, variational dropout | SGD, 20x35, 18 epochs, cosine | sized for two cores |
//! | `awd` | LSTM 3x1150 on 400, tied, weights dropped | SGD and its average | Merity et al. 2018, figures of the authors' program |
//! | `char` | LSTM 2x256 on characters | Adam, 20 epochs, cosine | |

use mapsto_data::Unit;

use super::network::LanguageDropout;
use super::settings::{DataSettings, ModelSettings, Settings};
use crate::recipe::{OptimSettings, Schedule, TrainSettings};

/// Names of the presets, the default first.
pub const PRESETS: [&str; 7] = [
    "grammar",
    "ptb-small",
    "ptb-medium",
    "ptb-large",
    "ptb-tied",
    "awd",
    "char",
];

/// The settings called `name`, one of [`PRESETS`].
pub(super) fn preset(name: &str) -> Settings {
    let mut settings = match name {
        "ptb-small" => zaremba(200, 0.0, 0.1, 20, 13),
        "ptb-medium" => zaremba(650, 0.5, 0.05, 35, 39),
        "ptb-large" => zaremba(1500, 0.65, 0.04, 35, 55),
        "ptb-tied" => tied(),
        "awd" => awd(),
        "char" => char(),
        _ => grammar(),
    };
    name.clone_into(&mut settings.model.preset);
    settings
}

fn grammar() -> Settings {
    Settings {
        model: ModelSettings::default(),
        dropout: LanguageDropout::default(),
        data: DataSettings::default(),
        optim: OptimSettings {
            lr: 5e-3,
            schedule: Schedule::Cosine,
            ..OptimSettings::default()
        },
        train: TrainSettings {
            epochs: 6,
            batch_size: 20,
            ..TrainSettings::default()
        },
    }
}

/// Zaremba's: plain SGD, the gradient clipped, the rate divided again each epoch.
fn zaremba(units: usize, dropout: f64, init: f64, seq_len: usize, epochs: usize) -> Settings {
    let (decay_after, decay, clip_norm) = match units {
        200 => (4, 0.5, 5.0),
        650 => (6, 1.0 / 1.2, 5.0),
        _ => (14, 1.0 / 1.15, 10.0),
    };
    Settings {
        model: ModelSettings {
            embedding: units,
            hidden: units,
            layers: 2,
            init,
            ..ModelSettings::default()
        },
        dropout: LanguageDropout {
            input: dropout,
            hidden: dropout,
            output: dropout,
            ..LanguageDropout::default()
        },
        data: DataSettings {
            seq_len,
            ..DataSettings::default()
        },
        optim: OptimSettings {
            name: "sgd".to_owned(),
            // The loss is a mean over steps and streams, Zaremba's a sum over steps.
            lr: seq_len as f64,
            clip_norm: clip_norm / seq_len as f64,
            schedule: Schedule::Step,
            decay_after,
            decay,
            ..OptimSettings::default()
        },
        train: TrainSettings {
            epochs,
            batch_size: 20,
            ..TrainSettings::default()
        },
    }
}

fn tied() -> Settings {
    Settings {
        model: ModelSettings {
            embedding: 200,
            hidden: 400,
            layers: 2,
            tied: true,
            init: 0.1,
            ..ModelSettings::default()
        },
        dropout: LanguageDropout {
            variational: true,
            input: 0.2,
            hidden: 0.3,
            output: 0.3,
            ..LanguageDropout::default()
        },
        data: DataSettings::default(),
        optim: OptimSettings {
            name: "sgd".to_owned(),
            lr: 20.0,
            clip_norm: 0.25,
            schedule: Schedule::Cosine,
            decay_after: 3,
            weight_decay: 1e-6,
            ..OptimSettings::default()
        },
        train: TrainSettings {
            epochs: 18,
            batch_size: 20,
            ..TrainSettings::default()
        },
    }
}

fn awd() -> Settings {
    Settings {
        model: ModelSettings {
            embedding: 400,
            hidden: 1150,
            layers: 3,
            tied: true,
            init_embedding: 0.1,
            alpha: 2.0,
            beta: 1.0,
            average: 5,
            ..ModelSettings::default()
        },
        dropout: LanguageDropout {
            variational: true,
            words: 0.1,
            input: 0.4,
            hidden: 0.25,
            output: 0.4,
            weight: 0.5,
        },
        data: DataSettings {
            seq_len: 70,
            ..DataSettings::default()
        },
        optim: OptimSettings {
            name: "sgd".to_owned(),
            lr: 30.0,
            clip_norm: 0.25,
            weight_decay: 1.2e-6,
            ..OptimSettings::default()
        },
        train: TrainSettings {
            epochs: 500,
            batch_size: 20,
            ..TrainSettings::default()
        },
    }
}

fn char() -> Settings {
    Settings {
        model: ModelSettings {
            embedding: 64,
            hidden: 256,
            layers: 2,
            ..ModelSettings::default()
        },
        dropout: LanguageDropout {
            hidden: 0.2,
            output: 0.2,
            ..LanguageDropout::default()
        },
        data: DataSettings {
            unit: Unit::Char,
            seq_len: 100,
            ..DataSettings::default()
        },
        optim: OptimSettings {
            lr: 2e-3,
            clip_norm: 1.0,
            schedule: Schedule::Cosine,
            ..OptimSettings::default()
        },
        train: TrainSettings {
            epochs: 20,
            batch_size: 32,
            ..TrainSettings::default()
        },
    }
}
