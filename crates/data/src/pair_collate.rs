//! [`PairCollate`]: makes tensors of pairs of sequences of token numbers, to translate one into
//! the other.
//!
//! **Shape:** `N` pairs to sources `(N, S)` and targets `(N, T)` in u32, `S` the longest source,
//! `T` the longest target with the token for the begin in front and that for the end behind. A
//! decoder reads `target[.., ..T - 1]` and is to say `target[.., 1..]`.
//!
//! Pairs of about the same length meet in a batch if they are sorted by the length of the target
//! and then by that of the source, which one number does:
//!
//! ```
//! use mapsto_data::{BucketSampler, DataLoader, PairCollate, Samples, Tokenizer};
//! let pairs = vec![(vec![7, 8, 9], vec![5]), (vec![4], vec![6, 7]), (vec![7], vec![9])];
//! let longest = pairs.iter().map(|(source, _)| source.len()).max().unwrap_or(0);
//! let length = |(source, target): &(Vec<u32>, Vec<u32>)| {
//!     target.len() * (longest + 1) + source.len()
//! };
//! let sampler = BucketSampler::new(pairs.iter().map(length).collect(), 2, 42)?;
//! let collate = PairCollate::new(Tokenizer::PAD, Tokenizer::BOS, Tokenizer::EOS);
//! let loader = DataLoader::new(Samples(pairs), collate).sampler(sampler).batch_size(2)?;
//! let batch = loader.epoch(0).next().unwrap()?;
//! assert_eq!(batch.source.to_vec2::<u32>()?, [[7, 0, 0], [7, 8, 9]]);
//! assert_eq!(batch.source_lengths, [1, 3]);
//! assert_eq!(batch.target.to_vec2::<u32>()?, [[2, 9, 3], [2, 5, 3]]);
//! assert_eq!(batch.target_lengths, [3, 3]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```

use mapsto_tensor::{Device, Tensor};

use crate::{Collate, Error, PadCollate, Padded, Result};

/// Fills up pairs of sequences with a padding token, the targets between begin and end.
#[derive(Debug, Clone)]
pub struct PairCollate {
    pad: PadCollate,
    bos: u32,
    eos: u32,
}

/// Pairs of sequences, each side of one length, and how long they were.
#[derive(Debug, Clone)]
pub struct PaddedPair {
    /// Token numbers of the sources `(N, S)` in u32.
    pub source: Tensor,
    /// Length of each source without its padding.
    pub source_lengths: Vec<usize>,
    /// Token numbers of the targets `(N, T)` in u32, with begin and end.
    pub target: Tensor,
    /// Length of each target with begin and end and without its padding.
    pub target_lengths: Vec<usize>,
}

impl PairCollate {
    /// Fills up with the token number `pad` and puts targets between `bos` and `eos`, on the CPU.
    pub fn new(pad: u32, bos: u32, eos: u32) -> Self {
        let pad = PadCollate::new(pad);
        Self { pad, bos, eos }
    }

    /// Puts the batches on `device`.
    pub fn device(mut self, device: &Device) -> Self {
        self.pad = self.pad.device(device);
        self
    }
}

impl Collate<(Vec<u32>, Vec<u32>)> for PairCollate {
    type Batch = PaddedPair;

    fn collate(&self, items: Vec<(Vec<u32>, Vec<u32>)>) -> Result<PaddedPair> {
        for (number, (source, target)) in items.iter().enumerate() {
            let side = match (source.is_empty(), target.is_empty()) {
                (true, _) => "source",
                (_, true) => "target",
                _ => continue,
            };
            return Err(Error::Config(format!(
                "the {side} of pair {number} of the batch is empty: leave out texts without a \
                 token"
            )));
        }
        let (sources, mut targets): (Vec<Vec<u32>>, Vec<Vec<u32>>) = items.into_iter().unzip();
        for target in &mut targets {
            target.insert(0, self.bos);
            target.push(self.eos);
        }
        let source: Padded = self.pad.collate(sources)?;
        let target: Padded = self.pad.collate(targets)?;
        Ok(PaddedPair {
            source: source.ids,
            source_lengths: source.lengths,
            target: target.ids,
            target_lengths: target.lengths,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_stand_between_begin_and_end() {
        let collate = PairCollate::new(9, 1, 2);
        let items = vec![(vec![5, 6], vec![7]), (vec![8], vec![5, 6, 7])];
        let batch = collate.collate(items).unwrap();
        assert_eq!(batch.source.to_vec2::<u32>().unwrap(), [[5, 6], [8, 9]]);
        let target = batch.target.to_vec2::<u32>().unwrap();
        assert_eq!(target, [[1, 7, 2, 9, 9], [1, 5, 6, 7, 2]]);
        assert_eq!(batch.source_lengths, [2, 1]);
        assert_eq!(batch.target_lengths, [3, 5]);
    }

    #[test]
    fn an_empty_side_is_named() {
        let collate = PairCollate::new(0, 1, 2);
        for (empty, side) in [
            ((vec![], vec![1]), "source of pair 1"),
            ((vec![1], vec![]), "target of pair 1"),
        ] {
            let error = collate
                .collate(vec![(vec![1], vec![1]), empty])
                .unwrap_err();
            assert!(error.to_string().contains(side), "{error}");
        }
    }
}
