//! Lines of cells with aligned columns; a Markdown table as it stands.

/// A table under construction.
#[derive(Debug, Default)]
pub(super) struct Grid {
    lines: Vec<Vec<String>>,
}

impl Grid {
    pub(super) fn new(head: Vec<String>) -> Self {
        Self { lines: vec![head] }
    }

    pub(super) fn line(&mut self, cells: Vec<String>) {
        self.lines.push(cells);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.len() < 2
    }

    /// The table: first column to the left, the others to the right.
    pub(super) fn text(&self) -> String {
        let columns = self.lines.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.lines.iter().filter_map(|line| line.get(column));
                cells
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0)
                    .max(3)
            })
            .collect();
        let mut text = String::new();
        for (number, line) in self.lines.iter().enumerate() {
            push_line(&mut text, line, &widths);
            if number == 0 {
                push_rule(&mut text, &widths);
            }
        }
        text
    }
}

fn push_line(text: &mut String, line: &[String], widths: &[usize]) {
    for (column, width) in widths.iter().enumerate() {
        let cell = line.get(column).map_or("", String::as_str);
        let padding = " ".repeat(width - cell.chars().count());
        match column {
            0 => text.extend(["| ", cell, &padding, " "]),
            _ => text.extend(["| ", &padding, cell, " "]),
        }
    }
    text.push_str("|\n");
}

fn push_rule(text: &mut String, widths: &[usize]) {
    for (column, width) in widths.iter().enumerate() {
        let dashes = "-".repeat(width + 1);
        match column {
            0 => text.extend(["|", &dashes, "-"]),
            _ => text.extend(["|", &dashes, ":"]),
        }
    }
    text.push_str("|\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut grid = Grid::new(vec!["a".into(), "figure".into()]);
        grid.line(vec!["longer".into(), "1".into()]);
        assert_eq!(
            grid.text(),
            "| a      | figure |\n|--------|-------:|\n| longer |      1 |\n"
        );
    }
}
