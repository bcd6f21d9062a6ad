//! [`Size2`]: a height and a width, or one number for both.

/// Height and width in pixels; `From<usize>` makes a square.
///
/// ```
/// use mapsto_nn::Size2;
/// assert_eq!(Size2::from(3), Size2::from((3, 3)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size2 {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl From<usize> for Size2 {
    fn from(side: usize) -> Self {
        Self::from((side, side))
    }
}

impl From<(usize, usize)> for Size2 {
    fn from((height, width): (usize, usize)) -> Self {
        Self { height, width }
    }
}

impl From<Size2> for (usize, usize) {
    fn from(size: Size2) -> Self {
        (size.height, size.width)
    }
}
