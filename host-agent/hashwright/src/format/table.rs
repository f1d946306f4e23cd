//! Aligned columns of text for the terminal, with columns that give way on narrow screens.

/// One column of a [`Table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    title: &'static str,
    right: bool,
    rank: u8,
    least: usize,
}

impl Column {
    /// A column of words, aligned left.
    pub const fn left(title: &'static str) -> Self {
        Self {
            title,
            right: false,
            rank: 0,
            least: 0,
        }
    }

    /// A column of numbers, aligned right.
    pub const fn right(title: &'static str) -> Self {
        Self {
            title,
            right: true,
            rank: 0,
            least: 0,
        }
    }

    /// How soon the column gives way where there is no room: highest first, 0 never.
    #[must_use]
    pub const fn gives_way(mut self, rank: u8) -> Self {
        self.rank = rank;
        self
    }

    /// The least width of the column, characters, so that changing cells do not move the others.
    #[must_use]
    pub const fn at_least(mut self, width: usize) -> Self {
        self.least = width;
        self
    }
}

/// Rows of cells under titled columns.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self {
            columns: columns.into(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells that are missing are empty, cells that are too many are not shown.
    pub fn push(&mut self, cells: impl Into<Vec<String>>) {
        self.rows.push(cells.into());
    }

    /// The title line and a line per row, none longer than `width` characters if that is given.
    ///
    /// Columns give way in the order of their rank; what then is still too long is cut.
    pub fn lines(&self, width: Option<usize>) -> Vec<String> {
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        let room = width.unwrap_or(usize::MAX);
        while self.width(&shown) > room {
            let droppable = shown.iter().filter(|c| self.columns[**c].rank > 0);
            let Some(&worst) = droppable.max_by_key(|c| self.columns[**c].rank) else {
                break;
            };
            shown.retain(|column| *column != worst);
        }
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|column| column.title.to_owned())
            .collect();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &shown).chars().take(room).collect())
            .collect()
    }

    fn line(&self, cells: &[String], shown: &[usize]) -> String {
        let mut line = String::new();
        for &column in shown {
            let cell = cells.get(column).map_or("", String::as_str);
            let gap = " ".repeat(
                self.column_width(column)
                    .saturating_sub(cell.chars().count()),
            );
            let (before, after) = if self.columns[column].right {
                (gap.as_str(), "")
            } else {
                ("", gap.as_str())
            };
            if !line.is_empty() {
                line.push_str("  ");
            }
            line.extend([before, cell, after]);
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn width(&self, shown: &[usize]) -> usize {
        let cells: usize = shown.iter().map(|column| self.column_width(*column)).sum();
        cells + 2 * shown.len().saturating_sub(1)
    }

    fn column_width(&self, column: usize) -> usize {
        let Column { title, least, .. } = self.columns[column];
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widest = cells
            .map(String::as_str)
            .chain([title])
            .map(|cell| cell.chars().count());
        widest.max().unwrap_or(0).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new([
            Column::left("name"),
            Column::right("chips").gives_way(1),
            Column::left("note").gives_way(2),
        ]);
        table.push(["gamma".to_owned(), "1".to_owned(), "± fine".to_owned()]);
        table.push(["s19".to_owned(), "114".to_owned()]);
        table
    }

    #[test]
    fn columns_line_up_by_characters() {
        let expected = ["name   chips  note", "gamma      1  ± fine", "s19      114"];
        assert_eq!(sample().lines(None), expected);
    }

    #[test]
    fn a_column_keeps_its_least_width() {
        let mut table = Table::new([Column::right("rate").at_least(8), Column::left("uart")]);
        table.push(["0".to_owned(), "sim".to_owned()]);
        assert_eq!(table.lines(None), ["    rate  uart", "       0  sim"]);
    }

    #[test]
    fn columns_give_way_by_rank_and_the_rest_is_cut() {
        assert_eq!(
            sample().lines(Some(15)),
            ["name   chips", "gamma      1", "s19      114"]
        );
        assert_eq!(sample().lines(Some(5)), ["name", "gamma", "s19"]);
        assert_eq!(sample().lines(Some(3)), ["nam", "gam", "s19"]);
        assert_eq!(sample().lines(Some(0)), ["", "", ""]);
    }
}
