//! `mapsto summary` and `mapsto models`.

use std::path::Path;

use anyhow::Result;
use mapsto_models::cnn::CnnPipeline;
use mapsto_models::gan::GanPipeline;
use mapsto_models::lstm::language::Writer;
use mapsto_models::lstm::sentiment::SentimentPipeline;
use mapsto_models::seq2seq::Translator;
use mapsto_models::{Recipe, ZOO, kind_of};
use mapsto_nn::Summary;
use mapsto_tensor::Device;
use serde_json::json;

use crate::args::{ModelsArgs, ModelsCommand, SettingArgs, SummaryArgs};
use crate::evaluate::checkpoint;
use crate::exit::Usage;
use crate::recipes::{self, by_recipe};
use crate::{config, print, print_json};

pub(crate) fn summary(args: &SummaryArgs, json: bool) -> Result<()> {
    let path = Path::new(&args.what);
    let is_recipe = ZOO.iter().any(|entry| entry.name == args.what);
    let table = if !is_recipe && path.exists() {
        if args.settings != SettingArgs::default() {
            let text = "a trained model has the settings of its run: give none, or a recipe";
            return Err(Usage(text.to_owned()).into());
        }
        of_checkpoint(&checkpoint(path)?)?
    } else {
        by_recipe!(&args.what, R => of_recipe::<R>(&args.settings))?
    };
    if json {
        print_json(&table)
    } else {
        print(&format!("{table}\n"))
    }
}

fn of_recipe<R: Recipe>(args: &SettingArgs) -> Result<Summary> {
    Ok(R::new(config::resolve(args)?)?.summary()?)
}

fn of_checkpoint(path: &Path) -> Result<Summary> {
    Ok(match kind_of(path)?.as_str() {
        "gan" => {
            let pipeline = GanPipeline::load(path, &Device::Cpu)?;
            pipeline.generator().summary(&pipeline.store)?
        }
        "lm" => {
            let writer = Writer::load(path, &Device::Cpu)?;
            writer.model().summary(&writer.store)?
        }
        "sentiment" => {
            let pipeline = SentimentPipeline::load(path, &Device::Cpu)?;
            pipeline.model().summary(&pipeline.store)?
        }
        "translate" => {
            let translator = Translator::load(path, &Device::Cpu)?;
            translator.model().summary(&translator.store)?
        }
        // Its loader says what the other kinds are.
        _ => {
            let pipeline = CnnPipeline::load(path, &Device::Cpu)?;
            let dims = pipeline.description.config.input_dims();
            mapsto_nn::summary(pipeline.model(), &pipeline.store, &dims)?
        }
    })
}

pub(crate) fn models(args: &ModelsArgs, json: bool) -> Result<()> {
    let shown = match &args.command {
        Some(ModelsCommand::Show { name }) => {
            recipes::check(name)?;
            ZOO.iter()
                .filter(|entry| entry.name == name)
                .collect::<Vec<_>>()
        }
        Some(ModelsCommand::List) | None => ZOO.iter().collect(),
    };
    if json {
        let entry = |e: &&mapsto_models::Entry| json!({"name": e.name, "task": e.task, "presets": e.presets, "data": e.data});
        return print_json(&json!({"models": shown.iter().map(entry).collect::<Vec<_>>()}));
    }
    let mut text = String::new();
    for entry in shown {
        text += &format!("{}: {}\n", entry.name, entry.task);
        text += &format!(
            "  presets: {}\n  data: {}\n",
            entry.presets.join(", "),
            entry.data
        );
        text += &format!("  try: mapsto train {0}; mapsto summary {0}\n", entry.name);
    }
    print(&text)
}
