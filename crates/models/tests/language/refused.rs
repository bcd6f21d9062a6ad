//! What a language model does not take.

use mapsto_models::lstm::language::{LanguageDropout, LanguageModel, LanguageModelConfig};
use mapsto_tensor::{DType, Device, ParamStore, Result};

use super::{model, small, tokens};

#[test]
fn what_does_not_fit_is_an_error() -> Result<()> {
    let (_, model) = model(&small());
    let unknown = (tokens(2, 2, 0) * 4.0)?;
    assert!(
        model.hidden(&unknown, None, false).is_err(),
        "a token beyond the vocabulary"
    );
    let hidden = model.hidden(&tokens(2, 2, 0), None, false)?;
    assert!(model.surprise(&hidden.raw, &unknown).is_err());
    let error = model
        .hidden(&tokens(2, 2, 0), Some(&hidden.states[..1]), false)
        .unwrap_err();
    assert!(error.to_string().contains("2 layers, got 1"), "{error}");
    let many = [&hidden.states[..], &hidden.states[..1]].concat();
    let surplus = model.hidden(&tokens(2, 2, 0), Some(&many), false);
    let error = surplus.unwrap_err().to_string();
    assert!(error.contains("2 layers, got 3"), "{error}");
    let store = ParamStore::new(DType::F64, &Device::Cpu);
    let bad = [
        LanguageModelConfig {
            vocab: 1,
            ..small()
        },
        LanguageModelConfig {
            embedding: 0,
            ..small()
        },
        LanguageModelConfig {
            hidden: 0,
            ..small()
        },
        LanguageModelConfig {
            layers: 0,
            ..small()
        },
        LanguageModelConfig {
            mixture: 0,
            ..small()
        },
    ];
    for config in bad {
        let error = LanguageModel::new(&config, &store.root()).unwrap_err();
        assert!(error.to_string().contains("at least"), "{error}");
    }
    let p = |place: usize, here: usize| if place == here { 1.5 } else { 0.0 };
    for (place, name) in ["words", "input", "hidden", "output", "weight"]
        .iter()
        .enumerate()
    {
        let dropout = LanguageDropout {
            variational: true,
            words: p(place, 0),
            input: p(place, 1),
            hidden: p(place, 2),
            output: p(place, 3),
            weight: p(place, 4),
        };
        let config = LanguageModelConfig { dropout, ..small() };
        let error = LanguageModel::new(&config, &store.root()).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains(&format!("dropout.{name}")) && text.contains("1.5"),
            "{text}"
        );
    }
    Ok(())
}
