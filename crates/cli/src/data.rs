//! `mapsto data`.

use std::path::Path;

use anyhow::{Result, anyhow};
use mapsto_data::{ImageSet, SetInfo, Split, contact_sheet, describe, digits, open};
use mapsto_models::{Entry, ZOO};
use serde_json::json;

use crate::args::{DataArgs, DataCommand};
use crate::{print, print_json};

/// What a folder of pictures in MNIST's form holds.
const PICTURES: &str = "IDX files, plain or gzip: train-images*idx3-ubyte*, train-labels*idx1-ubyte*, \
                        t10k-* or test-*; class names in classes.txt; MNIST and Fashion-MNIST are \
                        recognised";

/// Embedded digits that `check` and `show` draw at most.
const DIGITS: usize = 10_000;

pub(crate) fn run(args: &DataArgs, json: bool) -> Result<()> {
    match &args.command {
        DataCommand::List => list(json),
        DataCommand::Check { source } => check(source, json),
        DataCommand::Show {
            source,
            n,
            split,
            out,
            seed,
        } => {
            let split = if split == "train" {
                Split::Train
            } else {
                Split::Test
            };
            show(source, *n, split, out, *seed, json)
        }
    }
}

fn list(json: bool) -> Result<()> {
    if json {
        let entry = |entry: &Entry| json!({"recipe": entry.name, "data": entry.data});
        let recipes: Vec<_> = ZOO.iter().map(entry).collect();
        return print_json(&json!({"recipes": recipes, "pictures": PICTURES}));
    }
    let recipes = ZOO
        .iter()
        .map(|entry| format!("{}: {}\n", entry.name, entry.data));
    print(&format!("{}{PICTURES}\n", recipes.collect::<String>()))
}

fn set(source: &str, split: Split, digits_at_most: usize, seed: u64) -> Result<ImageSet> {
    Ok(if source == "digits" {
        digits(split, digits_at_most, seed)?
    } else {
        open(Path::new(source), split)?
    })
}

fn check(source: &str, json: bool) -> Result<()> {
    let (train, test) = (
        set(source, Split::Train, DIGITS, 42)?,
        set(source, Split::Test, DIGITS, 42)?,
    );
    let info = if source == "digits" {
        SetInfo::digits(DIGITS, DIGITS, 42)
    } else {
        describe(source)?
    };
    let (train, test) = (train.class_counts(), test.class_counts());
    if json {
        return print_json(&json!({"set": info, "train_counts": train, "test_counts": test}));
    }
    let mut text = format!(
        "{}: {} training and {} test pictures of {}x{}\n",
        info.name, info.train, info.test, info.height, info.width
    );
    for file in &info.files {
        text += &format!(
            "  {}  {} bytes  sha256 {}\n",
            file.name, file.bytes, file.sha256
        );
    }
    for ((name, train), test) in info.class_names.iter().zip(train).zip(test) {
        text += &format!("  {name}: {train} train, {test} test\n");
    }
    print(&text)
}

fn show(source: &str, n: usize, split: Split, out: &Path, seed: u64, json: bool) -> Result<()> {
    let set = set(source, split, n, seed)?;
    let count = n.min(set.labels().len());
    let pictures = (0..count)
        .map(|i| set.picture(i))
        .collect::<Result<Vec<_>, _>>()?;
    let columns = (count as f64).sqrt().ceil() as usize;
    // A file that cannot be written is no damaged data, which have an exit code of their own.
    let saved = contact_sheet(&pictures, columns.max(1))?.save_png(out);
    saved.map_err(|error| anyhow!("{error}"))?;
    if json {
        return print_json(
            &json!({"file": out, "pictures": count, "labels": set.labels()[..count]}),
        );
    }
    print(&format!("{} pictures in {}\n", count, out.display()))
}
