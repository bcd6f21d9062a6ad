//! Handwritten-like digits drawn from stroke outlines: training pictures without a download.
//!
//! A digit is written as a pen would write it. One of several outlines of the digit is chosen,
//! its control points are shaken, a smooth curve is laid through them, and the curve is bent,
//! slanted and turned. The rest is the convention of the MNIST collection: ink 255 on paper 0,
//! the ink's box fitted into 20 x 20 with its aspect kept, its centre of mass in the middle of
//! 28 x 28. A small convolutional network trained on these pictures alone reads about 95 of
//! 100 real MNIST digits.
//!
//! The **pen** is a disc whose radius r changes a little along the stroke. A pixel at distance
//! d from the curve receives
//!
//! ```text
//! ink(d) = clamp((r - d) / softness + 1/2, 0, 1),
//! ```
//!
//! the part of the pixel that a straight edge at distance r would cover, for softness one
//! pixel; several pieces of curve give the largest of their inks, so crossings are not darker.
//!
//! The **elastic distortion** moves the point (x, y) of the unit square by
//!
//! ```text
//! u(x, y) = sum over i, j of  c_ij b(g x - i) b(g y - j),     c_ij ~ bell(0, sigma),
//! ```
//!
//! with the cubic B-spline b, which is close to a Gaussian, and g cells a side: much like the
//! white noise convolved with a Gaussian of Simard and others, at sixteen terms a point. Moving
//! the curve in place of the pixels keeps the pen's edges sharp.
//!
//! All arithmetic is sums, products, quotients and square roots, which every processor rounds
//! alike, so a digit is the same on all machines.
//!
//! **Reference:** Simard, Steinkraus, Platt, "Best practices for convolutional neural networks
//! applied to visual document analysis", 2003.

mod glyphs;

use glyphs::write;
use mapsto_tensor::rng::{Generator, Stream};
use rand::Rng;

/// Side of a picture in pixels.
pub const SIDE: usize = 28;

/// Mean and spread of the side of the box that the ink is fitted into, in pixels.
const INK_SIDE: (f32, f32) = (19.7, 0.7);
/// Place and spread of the centre of mass; MNIST has it in the middle of pixel number 14.
const CENTRE: (f32, f32) = (14.5, 0.7);
/// Paper between ink and edge, in pixels; enough to leave the outermost pixels blank.
const MARGIN: f32 = 1.2;

/// Cells a side of the elastic distortion.
const CELLS: usize = 3;
/// Range of the spread of the distortion's coefficients: some writers are neat, some are not.
const BEND: (f32, f32) = (0.055, 0.195);
/// Coefficients a side: a cubic spline reaches one cell before and two after its own.
const KNOTS: usize = CELLS + 3;

/// Spread of the turn, and mean and spread of the slant: tangents of angles.
const TURN: f32 = 0.1;
const SLANT: (f32, f32) = (0.13, 0.22);
/// Range of width against height.
const WIDTH: (f32, f32) = (0.6, 1.4);

/// The pen's radius in pixels: mean, spread and least.
const RADIUS: (f32, f32, f32) = (1.2, 0.34, 0.6);
/// Range of the pen's softness in pixels.
const SOFTNESS: (f32, f32) = (0.8, 1.3);
/// Range of the darkest ink; beyond 255 the soft edge darkens too.
const DARKEST: (f32, f32) = (240.0, 280.0);

/// A place of the pen: position, and radius relative to the digit's mean radius.
#[derive(Clone, Copy)]
struct Dot {
    x: f32,
    y: f32,
    r: f32,
}

/// Draws digit number `index` of the endless sequence that belongs to `seed`: pixels row by
/// row (0 = paper, 255 = ink) and the label 0..=9.
///
/// A pure function of its arguments; the label is uniformly random, so any run of indices is
/// shuffled and about balanced.
///
/// ```
/// use mapsto_data::digits::{SIDE, draw};
/// let (pixels, label) = draw(1, 0);
/// assert_eq!(pixels.len(), SIDE * SIDE);
/// assert!(label <= 9);
/// assert_eq!(draw(1, 0), (pixels, label));
/// ```
pub fn draw(seed: u64, index: u64) -> (Vec<u8>, u8) {
    let mut dice = Dice(Generator::keyed(seed, &[index]));
    let label = dice.below(10) as u8;
    let mut strokes = write(usize::from(label), &mut dice);
    distort(&mut strokes, &mut dice);
    pose(&mut strokes, &mut dice);
    fit(&mut strokes, &mut dice);
    (ink(&strokes, &mut dice), label)
}

/// Moves every place by the elastic distortion u(x, y) of the file's head.
fn distort(strokes: &mut [Vec<Dot>], dice: &mut Dice) {
    let bend = dice.between(BEND);
    let mut field = [[(0.0, 0.0); KNOTS]; KNOTS];
    for knot in field.iter_mut().flatten() {
        *knot = (dice.bell(bend), dice.bell(bend));
    }
    for dot in strokes.iter_mut().flatten() {
        let (column, across) = spline(dot.x);
        let (row, down) = spline(dot.y);
        for (knots, v) in field.iter().skip(row).zip(down) {
            for (knot, h) in knots.iter().skip(column).zip(across) {
                dot.x += v * h * knot.0;
                dot.y += v * h * knot.1;
            }
        }
    }
}

/// The first of the four knots that reach `x`, and the cubic B-spline weights of the four.
fn spline(x: f32) -> (usize, [f32; 4]) {
    let scaled = (x * CELLS as f32).clamp(0.0, CELLS as f32);
    let cell = (scaled as usize).min(CELLS - 1);
    let t = scaled - cell as f32;
    let s = 1.0 - t;
    let inner = |t: f32| (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0;
    (cell, [s * s * s / 6.0, inner(t), inner(s), t * t * t / 6.0])
}

/// Widens, slants and turns the digit about the middle of the writing box.
fn pose(strokes: &mut [Vec<Dot>], dice: &mut Dice) {
    let width = dice.between(WIDTH);
    let slant = SLANT.0 + dice.bell(SLANT.1);
    let turn = dice.bell(TURN);
    let (cos, sin) = (1.0 / length(1.0, turn), turn / length(1.0, turn));
    for dot in strokes.iter_mut().flatten() {
        let y = dot.y - 0.5;
        let x = width * (dot.x - 0.5) - slant * y;
        dot.x = cos * x - sin * y;
        dot.y = sin * x + cos * y;
    }
}

/// Brings the digit to pixels: the ink's box to its size, the centre of mass to the middle.
fn fit(strokes: &mut [Vec<Dot>], dice: &mut Dice) {
    let (mean, spread, least) = RADIUS;
    let radius = (mean + dice.bell(spread)).max(least);
    let (left, right) = bounds(strokes, |dot| dot.x);
    let (top, bottom) = bounds(strokes, |dot| dot.y);
    let longest = (right - left).max(bottom - top).max(f32::MIN_POSITIVE);
    let free = MARGIN + radius * bounds(strokes, |dot| dot.r).1;
    let side = INK_SIDE.0 + dice.bell(INK_SIDE.1);
    let scale = (side - 2.0 * radius) / longest;

    let (mut mass, mut x, mut y) = (f32::MIN_POSITIVE, 0.0, 0.0);
    for (a, b) in strokes.iter().flat_map(|stroke| pairs(stroke)) {
        let ink = length(b.x - a.x, b.y - a.y) * (a.r + b.r);
        mass += ink;
        x += ink * 0.5 * (a.x + b.x);
        y += ink * 0.5 * (a.y + b.y);
    }
    let place = |centre: f32, low: f32, high: f32, off: f32| {
        let (least, most) = (free - scale * low, SIDE as f32 - free - scale * high);
        (CENTRE.0 + off - scale * centre).min(most).max(least)
    };
    let across = place(x / mass, left, right, dice.bell(CENTRE.1));
    let down = place(y / mass, top, bottom, dice.bell(CENTRE.1));
    for dot in strokes.iter_mut().flatten() {
        dot.x = scale * dot.x + across;
        dot.y = scale * dot.y + down;
        dot.r *= radius;
    }
}

/// The least and the greatest of a coordinate.
fn bounds(strokes: &[Vec<Dot>], of: impl Fn(&Dot) -> f32) -> (f32, f32) {
    let values = strokes.iter().flatten().map(of);
    values.fold((f32::MAX, f32::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

/// `hypot` is rounded differently from system to system.
fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

fn pairs(stroke: &[Dot]) -> impl Iterator<Item = (Dot, Dot)> {
    stroke.iter().copied().zip(stroke.iter().skip(1).copied())
}

/// Draws the curves with the pen of the file's head.
fn ink(strokes: &[Vec<Dot>], dice: &mut Dice) -> Vec<u8> {
    let softness = dice.between(SOFTNESS);
    let darkest = dice.between(DARKEST);
    let mut coverage = [0.0_f32; SIDE * SIDE];
    for (a, b) in strokes.iter().flat_map(|stroke| pairs(stroke)) {
        press(&mut coverage, a, b, softness);
    }
    let grey = |part: &f32| (part * darkest + 0.5) as u8;
    coverage.iter().map(grey).collect()
}

/// Draws one straight piece of a curve.
fn press(coverage: &mut [f32], a: Dot, b: Dot, softness: f32) {
    let reach = a.r.max(b.r) + softness;
    let span = |p: f32, q: f32| {
        let first = (p.min(q) - reach).max(0.0) as usize;
        (first, ((p.max(q) + reach).max(0.0) as usize + 1).min(SIDE))
    };
    let ((left, right), (top, bottom)) = (span(a.x, b.x), span(a.y, b.y));
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let per_length = 1.0 / (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
    let rows = coverage.chunks_exact_mut(SIDE).enumerate().take(bottom);
    for (row, line) in rows.skip(top) {
        let y = row as f32 + 0.5 - a.y;
        for (column, pixel) in line.iter_mut().enumerate().take(right).skip(left) {
            let x = column as f32 + 0.5 - a.x;
            let t = ((x * dx + y * dy) * per_length).clamp(0.0, 1.0);
            let distance = length(x - t * dx, y - t * dy);
            let radius = a.r + t * (b.r - a.r);
            let part = ((radius - distance) / softness + 0.5).clamp(0.0, 1.0);
            *pixel = pixel.max(part);
        }
    }
}

/// The chance of one digit.
struct Dice(Stream);

impl Dice {
    fn below(&mut self, end: u32) -> u32 {
        // A range of no numbers would panic.
        self.0.random_range(0..end.max(1))
    }

    fn between(&mut self, (low, high): (f32, f32)) -> f32 {
        low + (high - low) * self.0.random::<f32>()
    }

    /// Four uniform numbers added up: nearly normal, without far outliers and without `exp`.
    fn bell(&mut self, deviation: f32) -> f32 {
        let sum: f32 = (0..4).map(|_| self.0.random::<f32>()).sum();
        (sum - 2.0) * 3.0_f32.sqrt() * deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digit_depends_on_seed_and_index_alone() {
        assert_eq!(draw(3, 5), draw(3, 5));
        assert_ne!(draw(3, 5).0, draw(3, 6).0);
        assert_ne!(draw(3, 5).0, draw(4, 5).0);
    }

    #[test]
    fn labels_are_about_balanced() {
        let mut counts = [0_i32; 10];
        (0..5000).for_each(|index| counts[usize::from(draw(1, index).1)] += 1);
        let even = counts.iter().all(|count| (count - 500).abs() < 100);
        assert!(even, "{counts:?}");
    }

    #[test]
    fn ink_is_complete_and_centred() {
        for index in 0..2000 {
            let (pixels, _) = draw(2, index);
            let (mut mass, mut x, mut y) = (0.0, 0.0, 0.0);
            for (at, &pixel) in pixels.iter().enumerate() {
                let (row, column, ink) = (at / SIDE, at % SIDE, f32::from(pixel));
                let edge = [0, SIDE - 1].iter().any(|at| [row, column].contains(at));
                assert!(!edge || pixel == 0, "digit {index} touches the edge");
                mass += ink;
                x += ink * (column as f32 + 0.5);
                y += ink * (row as f32 + 0.5);
            }
            assert!(mass > 20.0 * 255.0, "digit {index} is nearly blank");
            let off = (x / mass - CENTRE.0).abs().max((y / mass - CENTRE.0).abs());
            assert!(off < 4.0, "digit {index} is {off} off the middle");
        }
    }

    #[test]
    fn the_sequence_never_changes() {
        // Published accuracies rest on these pixels.
        let hash = (0..100).fold(0xcbf2_9ce4_8422_2325_u64, |hash, index| {
            let (pixels, label) = draw(7, index);
            pixels.iter().chain([&label]).fold(hash, |hash, &byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            })
        });
        assert_eq!(hash, 3_611_727_131_703_309_227);
    }
}
