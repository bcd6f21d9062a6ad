//! How good a generator's pictures are, by the opinion of a classifier of real ones.

use mapsto_tensor::Tensor;
use mapsto_train::{Logs, frechet_distance, precision_recall};

use super::judge::Opinion;
use crate::error::Result;

/// Above this probability of its class, a picture is one that the classifier is sure of.
const CONFIDENT: f64 = 0.9;

/// The neighbour to which the balls of precision and recall reach.
const NEIGHBOUR: usize = 3;

/// What can be said of made pictures, quickly.
///
/// - `frechet`: the Fréchet distance to the real pictures, by the classifier's features, and
///   `frechet_floors`, that over the distance of two real sets;
/// - `confident`: the share that the classifier is sure of; `entropy`: its mean doubt, in nats;
/// - `least_class`, `most_class`: shares of the rarest and of the most frequent class;
/// - `agreement`, where classes were asked for: the share of pictures that show theirs.
pub(super) fn quick(
    made: &Opinion,
    real: &Tensor,
    floor: f64,
    asked: Option<&[u32]>,
) -> Result<Logs> {
    let frechet = frechet_distance(&made.features, real)?;
    let probabilities: Vec<Vec<f32>> = made.probabilities.to_vec2()?;
    let count = probabilities.len() as f64;
    let classes = probabilities.first().map_or(0, Vec::len);
    let mut of_class = vec![0usize; classes];
    let (mut confident, mut entropy, mut agreed) = (0usize, 0.0, 0usize);
    for (index, row) in probabilities.iter().enumerate() {
        // Of equal ones the first, as in all figures of classes.
        let shown = row.iter().enumerate().rev();
        let shown = shown.max_by(|a, b| a.1.total_cmp(b.1));
        let (shown, most) = shown.map_or((0, 0.0), |(class, &p)| (class, f64::from(p)));
        of_class[shown] += 1;
        confident += usize::from(most > CONFIDENT);
        let doubt = |&p: &f32| {
            if p > 0.0 {
                -f64::from(p) * f64::from(p).ln()
            } else {
                0.0
            }
        };
        entropy += row.iter().map(doubt).sum::<f64>();
        let class = asked.and_then(|asked| asked.get(index));
        agreed += usize::from(class.is_some_and(|&class| class as usize == shown));
    }
    let shares = of_class.iter().map(|&n| n as f64 / count);
    let mut logs = Logs::from([
        ("frechet".to_owned(), frechet),
        ("frechet_floors".to_owned(), frechet / floor),
        ("confident".to_owned(), confident as f64 / count),
        ("entropy".to_owned(), entropy / count),
        ("least_class".to_owned(), shares.clone().fold(1.0, f64::min)),
        ("most_class".to_owned(), shares.fold(0.0, f64::max)),
    ]);
    if asked.is_some() {
        logs.insert("agreement".to_owned(), agreed as f64 / count);
    }
    Ok(logs)
}

/// The same with `precision` and `recall`, which compare every pair.
pub(super) fn thorough(
    made: &Opinion,
    real: &Tensor,
    floor: f64,
    asked: Option<&[u32]>,
) -> Result<Logs> {
    let mut logs = quick(made, real, floor, asked)?;
    let found = precision_recall(real, &made.features, NEIGHBOUR)?;
    logs.insert("frechet_floor".to_owned(), floor);
    logs.insert("precision".to_owned(), found.precision);
    logs.insert("recall".to_owned(), found.recall);
    Ok(logs)
}

/// How much samples differ from each other, against how much real ones do: the root of the
/// quotient of their summed variances. Near 0 the generator makes one sample only.
pub(super) fn diversity(made: &Tensor, real: &Tensor) -> Result<f64> {
    let spread = |samples: &Tensor| {
        let flat = samples.flatten_from(1)?;
        let apart = flat.broadcast_sub(&flat.mean_keepdim(0)?)?;
        apart
            .sqr()?
            .sum(1)?
            .mean_all()?
            .to_dtype(mapsto_tensor::DType::F64)?
            .to_scalar::<f64>()
    };
    Ok((spread(made)? / spread(real)?.max(f64::MIN_POSITIVE)).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mapsto_tensor::{DType, Device};

    #[test]
    fn figures_are_those_of_the_probabilities() {
        let probabilities = [
            [0.95f32, 0.05, 0.0],
            [0.5, 0.5, 0.0],
            [0.02, 0.98, 0.0],
            [0.0, 1.0, 0.0],
        ];
        let made = Opinion {
            features: Tensor::new(&[[0f32], [1.0], [2.0], [3.0]], &Device::Cpu).unwrap(),
            probabilities: Tensor::new(&probabilities, &Device::Cpu).unwrap(),
        };
        let real = (&made.features + 2.0).unwrap();
        let logs = quick(&made, &real, 0.5, Some(&[0, 0, 1, 2])).unwrap();
        let near = |name: &str, value: f64| {
            assert!((logs[name] - value).abs() < 1e-6, "{name}: {}", logs[name]);
        };
        near("frechet", 4.0);
        near("frechet_floors", 8.0);
        near("confident", 0.75);
        near("least_class", 0.0);
        near("most_class", 0.5);
        near("agreement", 0.75);
        let h = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
        near("entropy", (h(0.95) + h(0.5) + h(0.98)) / 4.0);
        assert!(
            !quick(&made, &real, 0.5, None)
                .unwrap()
                .contains_key("agreement")
        );
    }

    #[test]
    fn one_sample_only_has_no_diversity() {
        let real = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let one = Tensor::ones((5, 2), DType::F32, &Device::Cpu).unwrap();
        assert_eq!(diversity(&one, &real).unwrap(), 0.0);
        assert!((diversity(&(&real * 0.5).unwrap(), &real).unwrap() - 0.5).abs() < 1e-6);
    }
}
