//! Pictures to learn, and how good those that a generator makes are.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mapsto_data::{
    Collate, DataLoader, Error as DataError, ImageCollate, ImageSet, PictureFolder,
    PictureFolderConfig, Sampler, SetInfo, Split, Subset, SubsetRandomSampler, contact_sheet,
    describe, digits, open, random_split,
};
use mapsto_tensor::{Device, Tensor};
use mapsto_train::{Direction, Logs, RunFolder, Scores, frechet_distance};
use serde_json::{Value, json};

use super::config::{Condition, Shape};
use super::judge::Judge;
use super::material::{Batches, Material, frame};
use super::measure::{diversity, quick, thorough};
use super::pipeline::{Source, in_turn, pictures};
use super::settings::Settings;
use crate::error::{Error, Result};

/// Rows of a sheet, and its columns where there are no classes.
const SHEET: (usize, usize) = (8, 8);

/// How much larger than life pictures are shown.
const ENLARGED: usize = 2;

/// Real pictures that are compared at most.
const REAL: usize = 10_000;

/// Pictures of a set.
#[derive(Debug)]
pub(super) struct Pictures {
    name: String,
    info: Value,
    train: Arc<ImageSet>,
    test: Vec<usize>,
    held: Arc<ImageSet>,
    collate: ImageCollate,
    loader: DataLoader<Subset<ImageSet>, ImageCollate>,
    settings: Settings,
    device: Device,
    /// Where the judge is kept, and what it says of the real pictures.
    judged: OnceLock<Judged>,
}

/// A judge, and the real pictures by its features.
#[derive(Debug)]
struct Judged {
    judge: Judge,
    real: Tensor,
    floor: f64,
}

impl Pictures {
    pub(super) fn new(settings: &Settings, device: &Device) -> Result<Self> {
        let Read {
            train,
            held,
            learned,
            test,
            name,
            info,
        } = read(settings)?;
        let collate = train.collate().normalize(0.5, 0.5)?.device(device);
        let loader = DataLoader::new(Subset::new(Arc::clone(&train), learned)?, collate.clone())
            .batch_size(settings.train.batch_size)?
            .shuffle(true)
            .drop_last(true)
            .seed(settings.train.seed)
            .workers(settings.data.workers);
        if loader.is_empty() {
            return Err(Error::Config(format!(
                "{name} has {} pictures to learn from, fewer than one batch of \
                 train.batch_size = {}",
                loader.dataset().indices().len(),
                settings.train.batch_size
            )));
        }
        Ok(Self {
            name,
            info,
            train,
            test,
            held,
            collate,
            loader,
            settings: settings.clone(),
            device: device.clone(),
            judged: OnceLock::new(),
        })
    }

    pub(super) fn shape(&self) -> Shape {
        Shape::Pictures {
            channels: self.train.channels(),
            height: self.train.height(),
            width: self.train.width(),
        }
    }

    pub(super) fn class_names(&self) -> &[String] {
        self.train.class_names()
    }

    /// Trains the judge, or finds it at `path`, and has it look at the real pictures. Without
    /// classes there is none.
    pub(super) fn prepare(&self, path: &Path) -> Result<()> {
        if self.class_names().len() < 2 || self.judged.get().is_some() {
            return Ok(());
        }
        let epochs = self.settings.measure.judge_epochs;
        let by = (epochs, self.settings.train.seed);
        let learned = self.loader.dataset().indices().to_vec();
        let learned = Subset::new(Arc::clone(&self.train), learned)?;
        let judge = Judge::of(learned, &self.collate, by, &self.device, path)?;
        let look = |set: &ImageSet, all: &[usize]| {
            let some = drawn(all, REAL, by.1);
            Ok::<_, Error>(judge.look(&self.tensor(set, some)?)?.features)
        };
        let real = look(&self.held, &self.test)?;
        let learned = look(&self.train, self.loader.dataset().indices())?;
        let floor = frechet_distance(&learned, &real)?.max(f64::MIN_POSITIVE);
        let judged = Judged { judge, real, floor };
        // Another thread cannot have been quicker: the recipe has only one.
        let _ = self.judged.set(judged);
        Ok(())
    }

    fn tensor(&self, set: &ImageSet, indices: impl Iterator<Item = usize>) -> Result<Tensor> {
        let item = |i: usize| Ok((set.pixels(i)?.to_vec(), set.labels()[i]));
        let items = indices.map(item).collect::<mapsto_data::Result<_>>()?;
        Ok(self.collate.collate(items)?.0)
    }

    /// What is measured of `n` pictures.
    fn measure(&self, source: &Source<'_>, n: usize, seed: u64, whole: bool) -> Result<Scores> {
        let classes = in_turn(n, source.config.classes);
        let made = source.make(&source.noise(n, seed)?, &classes)?;
        let real = drawn(&self.test, n.min(1000), self.settings.train.seed);
        let real = self.tensor(&self.held, real)?;
        let mut values = Logs::from([("diversity".to_owned(), diversity(&made, &real)?)]);
        if let Some(Judged { judge, real, floor }) = self.judged.get() {
            let asked = source.config.condition != Condition::None;
            let asked = asked.then_some(classes.as_slice());
            let measure = if whole { thorough } else { quick };
            values.extend(measure(&judge.look(&made)?, real, *floor, asked)?);
        }
        Ok(Scores {
            values,
            details: Default::default(),
            samples: n,
        })
    }

    /// A sheet of made pictures; where classes can be asked for, a column each.
    fn sheet(&self, source: &Source<'_>, seed: u64, path: PathBuf) -> Result<()> {
        let columns = match source.config.condition {
            Condition::None => SHEET.1,
            _ => source.config.classes,
        };
        let n = SHEET.0 * columns;
        let classes = in_turn(n, source.config.classes);
        let made = source.make(&source.noise(n, seed)?, &classes)?;
        self.save(&made, columns, path)
    }

    fn save(&self, samples: &Tensor, columns: usize, path: PathBuf) -> Result<()> {
        let sheet = contact_sheet(&pictures(samples)?, columns)?;
        Ok(sheet.enlarge(ENLARGED)?.save_png(path)?)
    }
}

/// Up to `count` of `all`, at random: sets come in all kinds of orders, and their writers, or
/// their classes, may return at a fixed distance.
fn drawn(all: &[usize], count: usize, seed: u64) -> impl Iterator<Item = usize> {
    let order = SubsetRandomSampler::new(all.to_vec(), seed).indices(0);
    order.into_iter().take(count)
}

impl Material for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn info(&self) -> Value {
        self.info.clone()
    }

    fn steps(&self) -> usize {
        self.loader.len()
    }

    fn batches(&self, epoch: usize) -> Batches<'_> {
        Box::new(self.loader.epoch(epoch))
    }

    fn score(&self, source: &Source<'_>, run: &RunFolder, epoch: usize) -> Result<Scores> {
        let seed = self.settings.train.seed;
        self.sheet(source, seed, frame(run, epoch)?)?;
        let n = self.settings.measure.epoch_samples.max(1);
        self.measure(source, n, seed ^ 1, false)
    }

    fn test(&self, source: &Source<'_>, run: &RunFolder) -> Result<Scores> {
        let seed = self.settings.train.seed;
        self.sheet(source, seed, run.file("samples.png"))?;
        let ways = source.ways(SHEET.0, SHEET.1, seed)?;
        self.save(&ways, SHEET.1, run.file("interpolation.png"))?;
        let real = self.test.iter().copied().take(SHEET.0 * SHEET.1);
        let real = self.tensor(&self.held, real)?;
        self.save(&real, SHEET.1, run.file("real.png"))?;
        self.measure(source, self.settings.measure.samples, seed ^ 2, true)
    }

    fn monitored(&self) -> Option<(&'static str, Direction)> {
        let judged = self.judged.get().is_some();
        judged.then_some(("val.frechet", Direction::Lower))
    }
}

/// What was found at a source.
struct Read {
    train: Arc<ImageSet>,
    held: Arc<ImageSet>,
    /// Those of `train` to learn from, and those of `held` to measure by.
    learned: Vec<usize>,
    test: Vec<usize>,
    name: String,
    info: Value,
}

fn read(settings: &Settings) -> Result<Read> {
    let (data, seed) = (&settings.data, settings.train.seed);
    let two = |train: ImageSet, held: ImageSet, info: SetInfo| Read {
        learned: (0..train.labels().len()).collect(),
        test: (0..held.labels().len()).collect(),
        train: Arc::new(train),
        held: Arc::new(held),
        name: info.name.clone(),
        info: json!(info),
    };
    if data.source == "digits" {
        let train = digits(Split::Train, data.train_samples, seed)?;
        let held = digits(Split::Test, data.test_samples, seed)?;
        let info = SetInfo::digits(data.train_samples, data.test_samples, seed);
        return Ok(two(train, held, info));
    }
    let source = Path::new(&data.source);
    match describe(source) {
        Ok(info) => Ok(two(
            open(source, Split::Train)?,
            open(source, Split::Test)?,
            info,
        )),
        // No set in MNIST's form: perhaps one of picture files.
        Err(DataError::NotFound { .. }) if source.is_dir() => folder(settings, source),
        Err(error) => Err(error.into()),
    }
}

fn folder(settings: &Settings, source: &Path) -> Result<Read> {
    let data = &settings.data;
    let config = PictureFolderConfig {
        channels: data.channels,
        height: data.size,
        width: data.size,
        strict: data.strict,
    };
    let PictureFolder { set, skipped } = PictureFolder::read(source, &config)?;
    let set = Arc::new(set);
    let count = set.labels().len();
    let held = ((count as f64 * data.test_fraction).round() as usize).max(1);
    let lengths = [count.saturating_sub(held), held.min(count)];
    let parts = random_split(Arc::clone(&set), &lengths, settings.train.seed)?;
    let indices: Vec<Vec<usize>> = parts.iter().map(|part| part.indices().to_vec()).collect();
    let [learned, test] = <[Vec<usize>; 2]>::try_from(indices)
        .map_err(|_| Error::Config("the split gave no two parts".to_owned()))?;
    let name = source
        .file_name()
        .unwrap_or(source.as_os_str())
        .to_string_lossy()
        .into_owned();
    let skipped: Vec<Value> = skipped
        .iter()
        .map(|(path, reason)| json!({"file": path, "reason": reason}))
        .collect();
    let info = json!({
        "name": name, "pictures": count, "height": data.size, "width": data.size,
        "channels": data.channels, "class_names": set.class_names(), "skipped": skipped,
        "sha256": set.sha256(),
    });
    Ok(Read {
        train: Arc::clone(&set),
        held: set,
        learned,
        test,
        name,
        info,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_follows_no_order_of_the_set() {
        let all: Vec<usize> = (0..6_000).collect();
        let some: Vec<usize> = drawn(&all, 1_000, 1).collect();
        // 1000 draws, of which a sixth of each remainder, give or take four deviations.
        for remainder in 0..6 {
            let share = some.iter().filter(|&&i| i % 6 == remainder).count();
            assert!((124..=210).contains(&share), "{remainder}: {share}");
        }
        let mut distinct = some.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 1_000);
        assert!(some.into_iter().eq(drawn(&all, 1_000, 1)));
        assert_eq!(drawn(&all[..3], 10, 1).count(), 3);
    }
}
