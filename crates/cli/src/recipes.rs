//! From the name of a recipe to its type.

use anyhow::Result;
use mapsto_models::ZOO;

use crate::exit::Usage;
use crate::suggest::hint;

/// Calls `$body`, a `Result`, with `$recipe` standing for the type of the recipe called `$name`.
macro_rules! by_recipe {
    ($name:expr, $recipe:ident => $body:expr) => {{
        let name: &str = $name;
        match name {
            "cnn" => {
                type $recipe = mapsto_models::cnn::Recipe;
                $body
            }
            "gan" => {
                type $recipe = mapsto_models::gan::Recipe;
                $body
            }
            "lm" => {
                type $recipe = mapsto_models::lstm::language::Recipe;
                $body
            }
            "sentiment" => {
                type $recipe = mapsto_models::lstm::sentiment::Recipe;
                $body
            }
            "translate" => {
                type $recipe = mapsto_models::seq2seq::Recipe;
                $body
            }
            _ => Err($crate::recipes::unknown(name)),
        }
    }};
}

pub(crate) use by_recipe;

/// There is no recipe of this name.
pub(crate) fn unknown(name: &str) -> anyhow::Error {
    let hint = hint(name, ZOO.iter().map(|entry| entry.name));
    Usage(format!(
        "no recipe called \"{name}\": {hint}; see `mapsto models`"
    ))
    .into()
}

/// Fails unless there is a recipe of this name.
pub(crate) fn check(name: &str) -> Result<()> {
    if ZOO.iter().any(|entry| entry.name == name) {
        return Ok(());
    }
    Err(unknown(name))
}
