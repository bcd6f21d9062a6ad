//! A block of a product: what [`super::blocks`] is made of.
//!
//! The sums of a tile of rows stay in registers while a panel is read from one end to the other. The
//! left factor lies in tiles, column by column, and each of its numbers is read two before it is
//! multiplied. Meanwhile the memory that the next blocks take is fetched into the cache of this core.

use std::array::from_fn;

use pulp::{Arch, Simd, WithSimd};

use crate::micro_kernel::{Lanes, lanes, tallest};

/// What products in blocks need of a float type; only `f32` and `f64` have it.
pub trait Blocked: Sized + Copy + 'static {
    /// Adds the product of `left` and `panel` to the sums.
    fn times_block(block: Block<'_, Self>);
}

/// The product of a part of a left factor with a part of a panel.
#[derive(Debug)]
pub struct Block<'a, T> {
    /// Row by row, as wide as the panel.
    pub sums: &'a mut [T],
    /// Whether the sums begin here, from 0.
    pub fresh: bool,
    /// In tiles: as many rows as there are of sums.
    pub left: &'a [T],
    /// Row by row, in whole registers.
    pub panel: &'a [T],
    /// How many rows the panel has.
    pub depth: usize,
    /// Where the sums go if they end here.
    pub end: Option<End<T>>,
    /// What is fetched meanwhile.
    pub ahead: [Ahead; 2],
}

/// Rows that sums are written to, or added to, when they are complete.
#[derive(Debug, Clone, Copy)]
pub struct End<T> {
    first: *mut T,
    stride: usize,
    cols: usize,
    add: bool,
}

impl<T> End<T> {
    /// Rows of `cols` elements that begin `stride` after each other.
    ///
    /// # Safety
    /// Until the last use, `first` must be valid for writes of as many such rows as the block has,
    /// which nobody else looks at; and for reads if `add`.
    #[allow(unsafe_code)]
    pub(super) unsafe fn new(first: *mut T, stride: usize, cols: usize, add: bool) -> Self {
        Self {
            first,
            stride,
            cols,
            add,
        }
    }

    /// Writes a row, or adds it; as much of it as there are columns. The memory may hold nothing yet,
    /// so no reference to it is made.
    ///
    /// # Safety
    /// `index` must be one of the block's rows.
    #[allow(unsafe_code)]
    #[inline(always)]
    unsafe fn put<S: Simd, const N: usize>(self, simd: S, index: usize, mut values: [T::V; N])
    where
        T: Lanes<S>,
    {
        let whole = N * lanes::<T, S>();
        // SAFETY: the promise of whoever made this, and the caller's: the row is inside.
        let to = unsafe { self.first.add(index * self.stride) };
        if self.cols == whole {
            let to = to.cast::<[T::V; N]>();
            if self.add {
                let one = T::splat(simd, T::one());
                // SAFETY: as many elements as the row has, which may be read; registers are of any bits.
                let before = unsafe { to.read_unaligned() };
                for (value, before) in values.iter_mut().zip(before) {
                    *value = T::mul_add(simd, before, one, *value);
                }
            }
            // SAFETY: as many elements as the row has.
            return unsafe { to.write_unaligned(values) };
        }
        let mut row = [T::default(); 64];
        T::of_mut(&mut row[..whole]).copy_from_slice(&values);
        for (col, &value) in row[..self.cols].iter().enumerate() {
            // SAFETY: a column of the row, which may be read if it is added to.
            unsafe {
                let to = to.add(col);
                to.write(if self.add { to.read() + value } else { value });
            }
        }
    }

    /// The lines of so many rows from `index` on, for a look ahead; they may lie beyond the last.
    fn fetch(self, index: usize, rows: usize) {
        let lines = (self.cols * size_of::<T>()).div_ceil(LINE) + 1;
        for row in index..index + rows {
            let first = self.first.wrapping_add(row * self.stride).cast::<u8>();
            (0..lines).for_each(|line| fetch(first.wrapping_add(line * LINE)));
        }
    }
}

/// Bytes of a line of the cache.
const LINE: usize = 64;

/// Lines of memory that will be needed soon.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    first: *const u8,
    /// Bytes from a row to the next.
    stride: usize,
    rows: usize,
    /// Of each row.
    lines: usize,
}

impl Ahead {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        first: std::ptr::null(),
        stride: 0,
        rows: 0,
        lines: 0,
    };

    /// So many rows of `cols` elements that begin `stride` after each other.
    pub(super) fn new<T>(data: &[T], stride: usize, rows: usize, cols: usize) -> Self {
        Self {
            first: data.as_ptr().cast(),
            stride: stride * size_of::<T>(),
            rows,
            lines: (cols * size_of::<T>()).div_ceil(LINE) + 1,
        }
    }
}

/// Asks for a line; any address will do.
#[inline(always)]
fn fetch(line: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a hint reads nothing, and every x86-64 has it.
    #[allow(unsafe_code)]
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T1>(line.cast());
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = line;
}

/// Walks over the lines of one [`Ahead`] and then another, one a call: asked for together, they would
/// stand in the way of what is needed at once.
struct Fetches {
    now: Ahead,
    line: usize,
    then: Ahead,
}

impl Fetches {
    #[inline(always)]
    fn next(&mut self) {
        let now = &mut self.now;
        if now.rows == 0 {
            return;
        }
        fetch(now.first.wrapping_add(self.line * LINE));
        self.line += 1;
        if self.line == now.lines {
            self.line = 0;
            now.rows -= 1;
            now.first = now.first.wrapping_add(now.stride);
            if now.rows == 0 {
                *now = std::mem::replace(&mut self.then, Ahead::NONE);
            }
        }
    }
}

impl<T> Block<'_, T> {
    #[inline(always)]
    fn run<S: Simd>(self, simd: S)
    where
        T: Lanes<S>,
    {
        let registers = self.panel.len() / self.depth / lanes::<T, S>();
        match registers {
            3 if tallest::<S>().1 == 3 => self.of_registers::<S, 3>(simd),
            2 => self.of_registers::<S, 2>(simd),
            _ => self.of_registers::<S, 1>(simd),
        }
    }

    #[inline(always)]
    fn of_registers<S: Simd, const N: usize>(self, simd: S)
    where
        T: Lanes<S>,
    {
        let tall = tallest::<S>().0;
        let panel = T::of(self.panel).as_chunks::<N>().0;
        let sums = T::of_mut(self.sums).as_chunks_mut::<N>().0;
        let [now, then] = self.ahead;
        let mut fetches = Fetches { now, line: 0, then };
        for (index, sums) in sums.chunks_mut(tall).enumerate() {
            let row = index * tall;
            if let Some(end) = self.end {
                end.fetch(row + tall, tall);
            }
            let tile = Tile {
                left: &self.left[row * self.depth..][..sums.len() * self.depth],
                panel,
                fresh: self.fresh,
                end: self.end,
                row,
            };
            match sums.len() {
                1 => tile.run::<S, 1>(simd, sums, &mut fetches),
                2 => tile.run::<S, 2>(simd, sums, &mut fetches),
                3 => tile.run::<S, 3>(simd, sums, &mut fetches),
                4 => tile.run::<S, 4>(simd, sums, &mut fetches),
                5 => tile.run::<S, 5>(simd, sums, &mut fetches),
                7 if tall > 6 => tile.run::<S, 7>(simd, sums, &mut fetches),
                8 if tall > 6 => tile.run::<S, 8>(simd, sums, &mut fetches),
                _ => tile.run::<S, 6>(simd, sums, &mut fetches),
            }
        }
    }
}

/// The rows of a block that are multiplied together.
struct Tile<'a, T, V, const N: usize> {
    left: &'a [T],
    panel: &'a [[V; N]],
    fresh: bool,
    end: Option<End<T>>,
    /// The first of them.
    row: usize,
}

impl<T, V: Copy, const N: usize> Tile<'_, T, V, N> {
    #[inline(always)]
    fn run<S: Simd, const R: usize>(self, simd: S, sums: &mut [[V; N]], fetches: &mut Fetches)
    where
        T: Lanes<S, V = V>,
    {
        let zero = [T::splat(simd, T::default()); N];
        let before = from_fn(|r| if self.fresh { zero } else { sums[r] });
        let after = self.added::<S, R>(simd, before, fetches);
        let Some(end) = self.end else {
            return sums.copy_from_slice(&after);
        };
        for (r, values) in after.into_iter().enumerate() {
            // SAFETY: the block has this row.
            #[allow(unsafe_code)]
            unsafe {
                end.put::<S, N>(simd, self.row + r, values);
            }
        }
    }

    /// The sums of `R` rows, four columns of the left factor at a time.
    #[inline(always)]
    #[allow(
        clippy::needless_range_loop,
        reason = "with iterators the sums do not stay in registers"
    )]
    fn added<S: Simd, const R: usize>(
        &self,
        simd: S,
        mut sums: [[V; N]; R],
        fetches: &mut Fetches,
    ) -> [[V; N]; R]
    where
        T: Lanes<S, V = V>,
    {
        let (fours, rest) = self.panel.as_chunks::<4>();
        let lefts = self.left.chunks_exact(4 * R);
        let last = &self.left[fours.len() * 4 * R..];
        for (four, left) in fours.iter().zip(lefts) {
            fetches.next();
            let mut next = [left[0], left[1]].map(
                #[inline(always)]
                |left| T::splat(simd, left),
            );
            for k in 0..4 {
                for r in 0..R {
                    let place = k * R + r;
                    for j in 0..N {
                        sums[r][j] = T::mul_add(simd, next[place % 2], four[k][j], sums[r][j]);
                    }
                    if place + 2 < 4 * R {
                        next[place % 2] = T::splat(simd, left[place + 2]);
                    }
                }
            }
        }
        for (row, left) in rest.iter().zip(last.as_chunks::<R>().0) {
            for r in 0..R {
                let left = T::splat(simd, left[r]);
                for j in 0..N {
                    sums[r][j] = T::mul_add(simd, left, row[j], sums[r][j]);
                }
            }
        }
        sums
    }
}

macro_rules! blocked {
    ($T:ty) => {
        impl WithSimd for Block<'_, $T> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                self.run(simd);
            }
        }

        impl Blocked for $T {
            fn times_block(block: Block<'_, Self>) {
                Arch::new().dispatch(block);
            }
        }
    };
}

blocked!(f32);
blocked!(f64);

#[cfg(test)]
mod tests;
