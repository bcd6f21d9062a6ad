//! Settings from their layers: defaults, file, environment, `-o`, flags; later ones win.

use std::path::Path;

use anyhow::{Context, Result};
use mapsto_models::{Settings, TrainSettings};
use toml::{Table, Value};

use crate::args::{Command, SettingArgs, TrainArgs};
use crate::exit::Usage;
use crate::recipes::by_recipe;
use crate::suggest::hint;
use crate::train::newest_unfinished;

const ENVIRONMENT: &str = "MAPSTO_";

/// The settings that `args` ask for, on top of those of their preset.
pub(crate) fn resolve<S: Settings>(args: &SettingArgs) -> Result<S> {
    resolve_onto(args, &S::preset(&preset::<S>(args)?)?)
}

/// The preset that the layers name, the last of them first.
fn preset<S: Settings>(args: &SettingArgs) -> Result<String> {
    const KEY: &str = "model.preset";
    if let Some(name) = &args.preset {
        return Ok(name.clone());
    }
    let overrides = args.overrides.iter().rev();
    let named = overrides.filter_map(|text| text.split_once('='));
    if let Some((_, name)) = named.into_iter().find(|(key, _)| *key == KEY) {
        return Ok(name.trim_matches('"').to_owned());
    }
    if let Ok(name) = std::env::var("MAPSTO_MODEL_PRESET") {
        return Ok(name);
    }
    let stored = match &args.config {
        Some(path) => flatten(&read(path)?),
        None => vec![],
    };
    let named = stored.into_iter().find(|(key, _)| key == KEY);
    Ok(match named {
        Some((_, Value::String(name))) => name,
        _ => S::PRESETS[0].to_owned(),
    })
}

/// The settings that `args` ask for, on top of `base`.
pub(crate) fn resolve_onto<S: Settings>(args: &SettingArgs, base: &S) -> Result<S> {
    let mut table = Table::try_from(base)?;
    let keys = keys(&table);
    if let Some(path) = &args.config {
        for (key, value) in flatten(&read(path)?) {
            set(&mut table, &keys, &key, value).with_context(|| format!("{}", path.display()))?;
        }
    }
    for (name, text) in environment() {
        let key = name[ENVIRONMENT.len()..]
            .to_lowercase()
            .replacen('_', ".", 1);
        set_written(&mut table, &keys, &key, &text)
            .with_context(|| format!("environment {name}"))?;
    }
    for text in &args.overrides {
        let Some((key, value)) = text.split_once('=') else {
            return Err(Usage(format!("-o {text}: expected KEY=VALUE")).into());
        };
        set_written(&mut table, &keys, key, value).with_context(|| format!("-o {text}"))?;
    }
    const TARGET: &str = "data.target";
    if args.data.is_some() && keys.iter().any(|key| key == TARGET) {
        // Another source does not go with the file of translations that stood there.
        set(&mut table, &keys, TARGET, Value::String(String::new()))?;
    }
    for (key, value) in flags(args) {
        set(&mut table, &keys, key, value)?;
    }
    let settings: S = table
        .try_into()
        .map_err(|error| Usage(format!("settings: {error}")))?;
    settings.validate()?;
    Ok(settings)
}

/// Reads the settings that a run stored.
pub(crate) fn of_run<S: Settings>(run: &Path) -> Result<S> {
    let path = run.join("config.toml");
    let settings: S = read(&path)?
        .try_into()
        .map_err(|error| Usage(format!("{}: {error}", path.display())))?;
    Ok(settings)
}

/// The settings as TOML.
pub(crate) fn to_text(settings: &impl Settings) -> Result<String> {
    Ok(toml::to_string(settings)?)
}

/// The same settings with this one changed, if they have it.
pub(crate) fn with<S: Settings>(settings: &S, key: &str, text: &str) -> Result<S> {
    let mut table = Table::try_from(settings)?;
    if let Some(slot) = slot(&mut table, key) {
        *slot = Value::String(text.to_owned());
    }
    Ok(table.try_into()?)
}

/// The keys in which two settings differ.
pub(crate) fn difference<S: Settings>(a: &S, b: &S) -> Result<Vec<String>> {
    let (a, b) = (flatten(&Table::try_from(a)?), flatten(&Table::try_from(b)?));
    Ok(a.into_iter()
        .zip(b)
        .filter(|(a, b)| a != b)
        .map(|(a, _)| a.0)
        .collect())
}

/// Whether the learning rate, or the share of a translator's own words, changes towards the last
/// epoch, so that another number of epochs would have trained otherwise from the start.
pub(crate) fn depends_on_epochs(settings: &impl Settings) -> Result<bool> {
    let flat = flatten(&Table::try_from(settings)?);
    let setting = |name: &str| {
        let found = flat.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    };
    let schedule = setting("optim.schedule").and_then(Value::as_str);
    let forcing = setting("model.teacher_forcing").and_then(Value::as_float);
    Ok(matches!(schedule, Some("linear" | "cosine")) || forcing.is_some_and(|last| last < 1.0))
}

/// The number of threads that a command asks for, before anything else runs.
pub(crate) fn threads(command: &Command) -> Result<usize> {
    let Command::Train(args) = command else {
        return Ok(0);
    };
    by_recipe!(&args.recipe, R => threads_of::<<R as mapsto_models::Recipe>::Settings>(args))
}

fn threads_of<S: Settings>(args: &TrainArgs) -> Result<usize> {
    let TrainArgs {
        settings, resume, ..
    } = args;
    let stored = match resume {
        // Errors about the run are reported by the command itself.
        Some(Some(run)) => of_run(run).ok(),
        Some(None) => newest_unfinished(args).and_then(|run| of_run(&run)).ok(),
        None => None,
    };
    let settings: S = match stored {
        Some(stored) => resolve_onto(settings, &stored)?,
        None => resolve(settings)?,
    };
    let TrainSettings { threads, .. } = *settings.train();
    Ok(threads)
}

fn read(path: &Path) -> Result<Table> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Usage(format!("cannot read {}: {error}", path.display())))?;
    let table = text.parse::<Table>();
    Ok(table.map_err(|error| Usage(format!("{}: {error}", path.display())))?)
}

/// Variables of the form `MAPSTO_SECTION_KEY`.
fn environment() -> Vec<(String, String)> {
    let is_setting = |name: &str| {
        let sections = [
            "MODEL_", "DATA_", "OPTIM_", "TRAIN_", "DROPOUT_", "MEASURE_", "FILTER_", "SEARCH_",
        ];
        let rest = name.strip_prefix(ENVIRONMENT);
        rest.is_some_and(|rest| sections.iter().any(|section| rest.starts_with(section)))
    };
    let all = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
    let mut variables: Vec<_> = all.filter(|(name, _)| is_setting(name)).collect();
    variables.sort();
    variables
}

/// A value as TOML reads it, or else as a text.
fn parse(text: &str) -> Value {
    let table = format!("value = {text}").parse::<Table>();
    let value = table.ok().and_then(|mut table| table.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn keys(table: &Table) -> Vec<String> {
    flatten(table).into_iter().map(|(key, _)| key).collect()
}

fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut flat = vec![];
    for (section, value) in table {
        match value {
            Value::Table(inner) => {
                let inner = flatten(inner).into_iter();
                flat.extend(inner.map(|(key, value)| (format!("{section}.{key}"), value)));
            }
            other => flat.push((section.clone(), other.clone())),
        }
    }
    flat
}

fn slot<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Value> {
    let (section, name) = key.split_once('.')?;
    table.get_mut(section)?.as_table_mut()?.get_mut(name)
}

/// Sets what somebody wrote; a text setting takes it as it stands, such as a folder called 2024 or a
/// column called 1.10.
fn set_written(table: &mut Table, keys: &[String], key: &str, text: &str) -> Result<()> {
    let mut value = parse(text);
    if !value.is_str() && slot(table, key).is_some_and(|slot| slot.is_str()) {
        value = Value::String(text.to_owned());
    }
    set(table, keys, key, value)
}

fn set(table: &mut Table, keys: &[String], key: &str, value: Value) -> Result<()> {
    let Some(slot) = slot(table, key) else {
        let hint = hint(key, keys.iter().map(String::as_str));
        return Err(Usage(format!("unknown setting \"{key}\": {hint}")).into());
    };
    *slot = match (&*slot, value) {
        // `lr = 1` means 1.0.
        (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
        // A text setting takes any value as written, such as a folder called 2024.
        (Value::String(_), value) if !value.is_str() => Value::String(value.to_string()),
        (_, value) => value,
    };
    Ok(())
}

fn flags(args: &SettingArgs) -> Vec<(&'static str, Value)> {
    let text = |value: &Option<String>| value.clone().map(Value::String);
    let number = |value: Option<f64>| value.map(Value::Float);
    // Beyond i64 there is no TOML integer; a text is refused with the number in the message.
    let count = |value: Option<u64>| {
        value.map(|value| match i64::try_from(value) {
            Ok(whole) => Value::Integer(whole),
            Err(_) => Value::String(value.to_string()),
        })
    };
    let size = |value: Option<usize>| count(value.map(|value| value as u64));
    let all = [
        ("model.preset", text(&args.preset)),
        ("data.source", text(&args.data)),
        ("data.source", text(&args.texts.src)),
        ("data.target", text(&args.texts.tgt)),
        ("data.source_language", text(&args.texts.source_language)),
        ("data.target_language", text(&args.texts.target_language)),
        ("data.val_fraction", number(args.val_fraction)),
        ("data.workers", size(args.workers)),
        ("data.unit", text(&args.unit)),
        ("data.encoding", text(&args.texts.encoding)),
        ("data.text_column", text(&args.texts.text_column)),
        ("data.label_column", text(&args.texts.label_column)),
        ("data.seq_len", size(args.seq_len)),
        ("optim.name", text(&args.optimizer)),
        ("optim.lr", number(args.lr)),
        ("optim.momentum", number(args.momentum)),
        ("optim.weight_decay", number(args.weight_decay)),
        ("optim.clip_norm", number(args.clip_norm)),
        ("train.epochs", size(args.epochs)),
        ("train.batch_size", size(args.batch_size)),
        ("train.seed", count(args.seed)),
        ("train.patience", size(args.patience)),
        ("train.save_every", count(args.save_every)),
        ("train.limit_batches", size(args.limit_batches)),
        ("train.device", text(&args.device)),
        ("train.threads", size(args.threads)),
    ];
    all.into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
}
