//! [`Bptt`]: one long row of tokens as batches for truncated back-propagation through time.
//!
//! The tokens are cut into `batch_size` streams of equal length, and what is left over at the end
//! is dropped. A batch is a window of `seq_len` steps over all streams at once; the next batch
//! goes on where it ended, so a network may keep its state from one to the next: column `b` of
//! a batch follows column `b` of the batch before. Targets are the inputs one step later. The
//! last window of an epoch may be shorter.
//!
//! **Shape:** inputs and targets `(T, B)` in u32, time first, as recurrent layers step through
//! them.
//!
//! The windows are the same in each epoch, since the order of the text is what is learned.
//! `bptt.epoch(k).skip(n)` makes nothing of what it skips.
//!
//! ```
//! use mapsto_data::Bptt;
//! use mapsto_tensor::Device;
//! let bptt = Bptt::new(&(0..11).collect::<Vec<u32>>(), 2, 3, &Device::Cpu)?;
//! assert_eq!(bptt.len(), 2); // streams 0 1 2 3 4 and 5 6 7 8 9
//! let (x, y) = bptt.epoch(0).next().unwrap()?;
//! assert_eq!(x.to_vec2::<u32>()?, [[0, 5], [1, 6], [2, 7]]);
//! assert_eq!(y.to_vec2::<u32>()?, [[1, 6], [2, 7], [3, 8]]);
//! # Ok::<(), mapsto_data::Error>(())
//! ```
//!
//! **Reference:** Zaremba, Sutskever, Vinyals, "Recurrent neural network regularization", 2014,
//! arXiv:1409.2329.

use std::sync::Arc;

use mapsto_tensor::{Device, Tensor};

use crate::{Error, Result};

/// One long row of tokens as batches for truncated back-propagation through time.
#[derive(Debug, Clone)]
#[doc(alias = "batchify")]
pub struct Bptt {
    /// Step by step, in each step the token of each stream: a window is one piece of it.
    tokens: Arc<[u32]>,
    batch_size: usize,
    seq_len: usize,
    device: Device,
}

impl Bptt {
    /// Cuts `tokens` into `batch_size` streams and these into windows of `seq_len` steps on
    /// `device`; each stream needs two tokens at least.
    ///
    /// # Errors
    ///
    /// Where `batch_size` or `seq_len` is 0, or there are fewer than two tokens for each stream.
    pub fn new(tokens: &[u32], batch_size: usize, seq_len: usize, device: &Device) -> Result<Self> {
        if batch_size == 0 || seq_len == 0 {
            return Err(Error::Config(format!(
                "the batch size is {batch_size} and the sequence length {seq_len}: give 1 or more \
                 for both"
            )));
        }
        let steps = tokens.len() / batch_size;
        if steps < 2 {
            return Err(Error::Config(format!(
                "{} tokens are too few for {batch_size} streams, of which each needs 2: give \
                 more text, or a batch size of {} or less",
                tokens.len(),
                (tokens.len() / 2).max(1)
            )));
        }
        let at = |place: usize| tokens[place % batch_size * steps + place / batch_size];
        Ok(Self {
            tokens: (0..steps * batch_size).map(at).collect(),
            batch_size,
            seq_len,
            device: device.clone(),
        })
    }

    /// Number of batches in an epoch.
    pub fn len(&self) -> usize {
        (self.steps() - 1).div_ceil(self.seq_len)
    }

    /// Whether an epoch has no batch; never so.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of tokens that are predicted in an epoch.
    pub fn targets(&self) -> usize {
        (self.steps() - 1) * self.batch_size
    }

    /// The batches of an epoch, which are the same whatever its number.
    pub fn epoch(&self, _epoch: usize) -> Windows {
        Windows {
            bptt: self.clone(),
            next: 0,
        }
    }

    /// Number of tokens of each stream.
    fn steps(&self) -> usize {
        self.tokens.len() / self.batch_size
    }

    fn window(&self, number: usize) -> Result<(Tensor, Tensor)> {
        let first = number * self.seq_len;
        let len = self.seq_len.min(self.steps() - 1 - first);
        let from = |step: usize| {
            let (start, size) = (step * self.batch_size, len * self.batch_size);
            let shape = (len, self.batch_size);
            Tensor::from_slice(&self.tokens[start..start + size], shape, &self.device)
        };
        Ok((from(first)?, from(first + 1)?))
    }
}

/// The batches of one epoch, in order; made by [`Bptt::epoch`].
#[derive(Debug, Clone)]
pub struct Windows {
    bptt: Bptt,
    next: usize,
}

impl Iterator for Windows {
    type Item = Result<(Tensor, Tensor)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.nth(0)
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        let number = self.next.saturating_add(n);
        if number >= self.bptt.len() {
            self.next = self.bptt.len();
            return None;
        }
        self.next = number + 1;
        Some(self.bptt.window(number))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.bptt.len() - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Windows {}

#[cfg(test)]
mod tests {
    use super::*;

    fn bptt(tokens: u32, batch_size: usize, seq_len: usize) -> Result<Bptt> {
        let tokens: Vec<u32> = (100..100 + tokens).collect();
        Bptt::new(&tokens, batch_size, seq_len, &Device::Cpu)
    }

    fn values((x, y): (Tensor, Tensor)) -> [Vec<Vec<u32>>; 2] {
        [x, y].map(|t| t.to_vec2::<u32>().unwrap())
    }

    /// What each stream sees, in the order in which it sees it.
    fn streams(bptt: &Bptt, side: usize) -> Vec<Vec<u32>> {
        let mut streams = vec![Vec::new(); bptt.batch_size];
        for batch in bptt.epoch(0) {
            for row in &values(batch.unwrap())[side] {
                for (stream, &token) in streams.iter_mut().zip(row) {
                    stream.push(token);
                }
            }
        }
        streams
    }

    #[test]
    fn streams_go_on_from_window_to_window() {
        // 47 tokens in 3 streams: 15 each, 2 dropped, 14 predictions in windows of 4, 4, 4, 2.
        let bptt = bptt(47, 3, 4).unwrap();
        let expected = |from: u32| -> Vec<Vec<u32>> {
            let starts = [from, from + 15, from + 30];
            starts.iter().map(|&s| (s..s + 14).collect()).collect()
        };
        assert_eq!(streams(&bptt, 0), expected(100));
        assert_eq!(streams(&bptt, 1), expected(101));
        let sizes = bptt.epoch(0).map(|batch| batch.unwrap().0.dims2().unwrap());
        assert_eq!(sizes.collect::<Vec<_>>(), [(4, 3), (4, 3), (4, 3), (2, 3)]);
        assert_eq!((bptt.len(), bptt.targets()), (4, 42));
    }

    #[test]
    fn a_full_last_window_is_the_last() {
        let bptt = bptt(18, 2, 4).unwrap();
        assert_eq!((bptt.len(), bptt.targets()), (2, 16));
        assert_eq!(bptt.epoch(3).count(), 2);
    }

    #[test]
    fn skipping_gives_the_rest() {
        let bptt = bptt(101, 2, 7).unwrap();
        let all: Vec<_> = bptt.epoch(1).map(|b| values(b.unwrap())).collect();
        assert_eq!(all.len(), 7);
        for n in 0..=8 {
            let rest = bptt.epoch(1).skip(n).map(|b| values(b.unwrap()));
            assert_eq!(rest.collect::<Vec<_>>(), all[n.min(7)..]);
        }
        let mut windows = bptt.epoch(0);
        assert_eq!(windows.len(), 7);
        assert_eq!(values(windows.nth(4).unwrap().unwrap()), all[4]);
        assert_eq!(windows.len(), 2);
        assert!(windows.nth(usize::MAX).is_none() && windows.next().is_none());
    }

    #[test]
    fn too_little_text_is_refused_with_what_would_do() {
        assert_eq!(bptt(10, 5, 35).unwrap().len(), 1);
        let text = bptt(9, 5, 35).unwrap_err().to_string();
        assert!(
            text.contains("9 tokens are too few for 5 streams"),
            "{text}"
        );
        assert!(text.contains("a batch size of 4 or less"), "{text}");
        assert!(bptt(9, 4, 35).is_ok());
        assert!(bptt(9, 0, 1).is_err() && bptt(9, 1, 0).is_err() && bptt(1, 1, 1).is_err());
    }
}
