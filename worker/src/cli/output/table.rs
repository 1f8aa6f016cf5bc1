//! Tables for people: plain columns, wrapped to fit a terminal, for a pipe a line a row.

use super::text::clean;
use crate::cli::exit::Exit;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Width, presets};
use std::io::{IsTerminal as _, Write as _};

/// To which side a column's cells go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a header.
pub(crate) struct Table {
    inner: comfy_table::Table,
    aligns: Vec<Align>,
}

/// How wide stdout is, if it is a terminal.
pub(crate) fn terminal_width() -> Option<u16> {
    // A terminal that doesn't know its size (a serial line, a recorder) says 0 or nothing.
    let known = terminal_size::terminal_size().map(|(width, _)| width.0).filter(|width| *width > 0);
    std::io::stdout().is_terminal().then(|| known.unwrap_or(USUAL))
}

/// As wide as terminals have always been.
const USUAL: u16 = 80;

/// What comfy-table adds to a cell.
const PADDING: u16 = 2;

/// The narrowest terminal that a table is made to fit.
const NARROWEST: u16 = 40;

impl Table {
    /// A table for stdout.
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        Self::of_width(columns, terminal_width())
    }

    fn of_width(columns: &[(&str, Align)], width: Option<u16>) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(presets::NOTHING);
        match width {
            Some(width) => inner.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.max(NARROWEST)),
            None => inner.set_content_arrangement(ContentArrangement::Disabled),
        };
        let aligns = columns.iter().map(|(_, align)| *align).collect();
        let mut table = Table { inner, aligns };
        let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        if header.iter().any(|name| !name.is_empty()) {
            let widths: Vec<u16> = header.iter().map(|name| name.chars().count() as u16 + PADDING).collect();
            table.inner.set_header(table.cells(header));
            let least = |width| ColumnConstraint::LowerBoundary(Width::Fixed(width));
            table.inner.set_constraints(widths.into_iter().map(least));
        }
        table
    }

    fn cells(&self, cells: Vec<String>) -> Vec<Cell> {
        let cell = |(text, align): (String, &Align)| {
            Cell::new(clean(&text)).set_alignment(match align {
                Align::Left => CellAlignment::Left,
                Align::Right => CellAlignment::Right,
            })
        };
        cells.into_iter().zip(&self.aligns).map(cell).collect()
    }

    /// Adds a row; what a terminal would obey is made visible.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        let cells = self.cells(cells);
        self.inner.add_row(cells);
    }

    /// Prints it.
    pub(crate) fn print(self) -> Result<(), Exit> {
        let mut out = std::io::stdout().lock();
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        Ok(out.flush()?)
    }

    fn lines(&self) -> Vec<String> {
        // Without a border the first column needs no margin, the last one no padding.
        let plain = |line: String| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned();
        self.inner.lines().map(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: Option<u16>) -> Vec<String> {
        let mut table = Table::of_width(&[("QUEUE", Align::Left), ("READY", Align::Right)], width);
        table.row(vec!["mail ".repeat(30), "1".into()]);
        table.row(vec!["evil\u{1b}[31m".into(), "12".into()]);
        table.lines()
    }

    #[test]
    fn a_terminal_gets_a_table_that_fits() {
        let lines = sample(Some(60));
        assert!(lines.iter().all(|line| line.chars().count() <= 60), "{lines:#?}");
    }

    #[test]
    fn a_pipe_gets_a_line_for_each_row() {
        let lines = sample(None);
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("QUEUE"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_instead() {
        assert!(sample(None).iter().all(|line| !line.contains('\u{1b}')));
    }
}
