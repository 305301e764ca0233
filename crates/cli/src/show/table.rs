//! Columns that line up, whatever script the words are in.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    ink::{Ink, Tone},
    words::line,
};

/// Between two columns.
const GAP: &str = "  ";

/// A table with a head.
pub(crate) struct Table<const COLUMNS: usize> {
    head: [&'static str; COLUMNS],
    rows: Vec<[Cell; COLUMNS]>,
}

/// One cell: a line of text in a tone.
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// Plain text, made safe to print.
    pub(crate) fn plain(text: &str) -> Self {
        Self::toned(Tone::Plain, text)
    }

    /// The same in a tone.
    pub(crate) fn toned(tone: Tone, text: &str) -> Self {
        Self { text: line(text), tone }
    }

    /// Cut to that many columns of the terminal.
    pub(crate) fn cut(mut self, width_max: usize) -> Self {
        if self.text.width() > width_max {
            let mut width = 1;
            let keep = self.text.char_indices().find(|(_, next)| {
                width += next.width().unwrap_or(0);
                width > width_max
            });
            self.text.truncate(keep.map_or(self.text.len(), |(at, _)| at));
            self.text.push('…');
        }
        self
    }
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// An empty table.
    pub(crate) fn new(head: [&'static str; COLUMNS]) -> Self {
        Self { head, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, row: [Cell; COLUMNS]) {
        self.rows.push(row);
    }

    /// All of it, a line a row.
    pub(crate) fn lay_out(&self, ink: Ink) -> String {
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let cells = self.rows.iter().map(|row| row[column].text.width());
            cells.chain([self.head[column].width()]).max().unwrap_or(0)
        });
        let head = self.head.map(|text| Cell::toned(Tone::Faint, text));
        let mut text = String::new();
        for row in std::iter::once(&head).chain(&self.rows) {
            // Nothing is padded at the end of a line.
            let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or(0);
            for (column, (cell, width)) in row.iter().zip(widths).enumerate().take(last + 1) {
                text.push_str(&ink.paint(cell.tone, &cell.text));
                if column < last {
                    text.push_str(&" ".repeat(width - cell.text.width()));
                    text.push_str(GAP);
                }
            }
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_whatever_the_script() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::plain("日本"), Cell::plain("x")]);
        table.row([Cell::plain("abcde"), Cell::plain("")]);
        assert_eq!(table.lay_out(Ink::Plain), "A      B\n日本   x\nabcde\n");
    }

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(Cell::plain("abcdef").cut(4).text, "abc…");
        assert_eq!(Cell::plain("abcd").cut(4).text, "abcd");
        assert_eq!(Cell::plain("日本語").cut(4).text, "日…");
    }

    #[test]
    fn a_cell_stays_on_its_line() {
        assert_eq!(Cell::plain("a\nb\x1b[2Jc").text, "a b\u{fffd}[2Jc");
    }
}
