//! Columns that are aligned and lines that fit, however wide their letters are.

use console::{Alignment, measure_text_width, pad_str};

/// Between two columns.
const GAP: &str = "   ";

/// Lines of `rows`, each cell as wide as the widest of its column; columns begin at the left, but those of `right`.
pub(crate) fn aligned(rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| measure_text_width(cell)).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            let side = if right.contains(&column) { Alignment::Right } else { Alignment::Left };
            pad_str(cell, *width, side, None)
        });
        cells.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// `text` in lines no wider than `room`, broken between words; a word that is wider has a line of its own.
pub(super) fn lines_of(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let fits = |line: &String| measure_text_width(line) + 1 + measure_text_width(word) <= room;
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if fits(line) => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(lines_of("to be or  not", 5), ["to be", "or", "not"]);
        assert_eq!(lines_of("가을 밤 unbreakable", 7), ["가을 밤", "unbreakable"]);
        assert_eq!(lines_of("as it is", usize::MAX), ["as it is"]);
        assert_eq!(lines_of("", 5), [""]);
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows =
            [["가을", "1", "x"], ["ab", "\u{1b}[31m100\u{1b}[0m", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows, &[1]), ["가을     1   x", "ab     \u{1b}[31m100\u{1b}[0m"]);
    }
}
