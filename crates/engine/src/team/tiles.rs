//! A matrix cut into rectangles that several threads write at the same time.

use std::marker::PhantomData;

use super::Crew;

/// A matrix that is to be written, and how it is cut.
#[derive(Debug)]
pub(crate) struct Grid<'a> {
    /// `[rows, stride]`.
    pub values: &'a mut [f32],
    /// Length of a row in memory.
    pub stride: usize,
    /// Length of a row that is written; at most `stride`.
    pub columns: usize,
    /// Rows and columns of a rectangle; those at the end may be smaller.
    pub tile: [usize; 2],
}

/// A rectangle of a matrix.
#[derive(Debug)]
pub(crate) struct Tile<'a> {
    first: *mut f32,
    stride: usize,
    /// Its first row in the matrix.
    pub row: usize,
    pub rows: usize,
    /// Its first column in the matrix.
    pub column: usize,
    pub columns: usize,
    matrix: PhantomData<&'a mut f32>,
}

impl Tile<'_> {
    /// The columns of a row, which counts from the rectangle's first.
    #[inline(always)]
    pub(crate) fn row(&mut self, row: usize) -> &mut [f32] {
        assert!(row < self.rows);
        // SAFETY: the rectangle lies in a matrix that is borrowed as long as it, and no other thread has this rectangle
        // or one that overlaps it (see `Crew::tiles`). Within it, `&mut self` keeps slices apart.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.stride), self.columns) }
    }
}

/// A pointer that may go to other threads.
struct Anywhere<T>(*mut T);

// SAFETY: it is used in `Crew::tiles` alone, which says where each thread may write. A `T` may change threads.
unsafe impl<T: Send> Sync for Anywhere<T> {}

impl<T> Anywhere<T> {
    /// The pointer; closures would otherwise hold the field alone, which may not go anywhere.
    fn get(&self) -> *mut T {
        self.0
    }
}

impl Crew {
    /// Cuts a matrix into rectangles, row of rectangles by row, and does each on whatever thread is free. Each is done
    /// together with its own entry of `parts`.
    ///
    /// # Panics
    /// If `parts` are fewer than the rectangles, the matrix has not whole rows, or the work does.
    pub(crate) fn tiles<T: Send>(&mut self, grid: Grid<'_>, parts: &mut [T], work: impl Fn(Tile<'_>, &mut T) + Sync) {
        let Grid { values, stride, columns, tile: [tall, wide] } = grid;
        let rows = values.len() / stride;
        let across = columns.div_ceil(wide);
        let items = rows.div_ceil(tall) * across;
        assert!(columns <= stride && rows * stride == values.len() && items <= parts.len());
        let (first, parts) = (Anywhere(values.as_mut_ptr()), Anywhere(parts.as_mut_ptr()));
        self.each(items, |item| {
            let (row, column) = (item / across * tall, item % across * wide);
            // SAFETY: `row < rows` and `column < columns <= stride`, so this is within `values`, and so are the rows and
            // columns that the rectangle is cut to. Each item is done once, by one thread, and rectangles of different
            // items have no value in common. `values` is borrowed until all are done.
            let first = unsafe { first.get().add(row * stride + column) };
            let (rows, columns) = (tall.min(rows - row), wide.min(columns - column));
            let tile = Tile { first, stride, row, rows, column, columns, matrix: PhantomData };
            // SAFETY: `item < items <= parts.len()`, and each item is done once, by one thread.
            let part = unsafe { &mut *parts.get().add(item) };
            work(tile, part);
        });
    }
}
