//! Blocks to lines: cells of a row joined, wrapped lines told from ended ones.

use super::order::Block;
use super::runs::{CELL_GAP, Run, WORD_GAP};
use crate::heading::after_number;
use crate::line::{Line, tidy};

/// A printed line: one or more runs on one baseline.
struct Row {
    text: String,
    x0: f64,
    x1: f64,
    /// Where its last cell begins.
    last_x0: f64,
    y: f64,
    size: f64,
    bold: bool,
    first_word: f64,
}

/// The lines of a page.
pub(super) fn lines(blocks: &[Block], page: u32) -> Vec<Line> {
    let page_strip = body_strip(blocks, blocks.iter().map(|b| b.runs.len()).sum());
    let mut lines = Vec::new();
    let mut above: Option<Row> = None;
    for block in blocks {
        let rows = rows(block);
        let strip = wrap_strip(block, &rows, page_strip);
        for (i, row) in rows.into_iter().enumerate() {
            let down = above.as_ref().map(|a| row.y - a.y);
            let spacing = down.map_or(f64::INFINITY, |d| d / row.size);
            let continues = match (&above, strip) {
                (Some(above), Some(strip)) if i > 0 => wraps(above, &row, strip, spacing),
                _ => false,
            };
            let text = tidy(&row.text);
            if !text.is_empty() {
                let gap = !lines.is_empty() && !(0.0..1.75).contains(&spacing);
                lines.push(Line {
                    text,
                    bold: row.bold,
                    gap,
                    continues,
                    page: Some(page),
                    y: Some(row.y as i32),
                    heading: false,
                });
                above = Some(row);
            }
        }
    }
    lines
}

/// A paragraph that runs over the end of a page goes on at the top of the next.
pub(super) fn join_pages(lines: &mut [Line]) {
    for i in 1..lines.len() {
        let (before, after) = (&lines[i - 1], &lines[i]);
        if before.page == after.page {
            continue;
        }
        let open =
            !before.text.ends_with(['.', ':', ';', '!', '?', '”', '"']) && before.text.chars().count() > 40;
        let goes_on = after.text.starts_with(char::is_lowercase) && after_number(&after.text).is_none();
        lines[i].continues = open && goes_on;
        lines[i].gap = !lines[i].continues;
    }
}

/// The strip of the page its text fills: left and right.
#[derive(Clone, Copy)]
struct Strip {
    left: f64,
    right: f64,
}

/// Where the printed lines of the page begin and end: long lines know it, page numbers and stamps in the margin do not.
fn body_strip(blocks: &[Block], number_of_lines: usize) -> Strip {
    let runs = || blocks.iter().filter(|b| number_of_lines < 8 || b.runs.len() > 1).flat_map(|b| &b.runs);
    let left = runs().map(|r| r.x0).fold(f64::INFINITY, f64::min);
    let furthest = runs().map(|r| r.x1).fold(0.0, f64::max);
    let mut ends: Vec<f64> = runs().filter(|r| r.x1 - r.x0 > 0.4 * (furthest - left)).map(|r| r.x1).collect();
    ends.sort_by(f64::total_cmp);
    let right = ends.get(ends.len().saturating_sub(1 + ends.len() / 10)).copied().unwrap_or(furthest);
    Strip { left, right }
}

/// Where lines of this block wrap: the edge of the page's text, or its own where it is a column of running text; none in a list.
fn wrap_strip(block: &Block, rows: &[Row], page: Strip) -> Option<Strip> {
    let (left, right) = (block.left(), block.right());
    if right - left > 0.6 * (page.right - page.left) {
        return Some(page);
    }
    let full = rows.iter().filter(|r| right - r.x1 < 0.12 * (right - left)).count();
    (rows.len() >= 4 && full * 2 >= rows.len()).then_some(Strip { left, right })
}

fn rows(block: &Block) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut last: Option<&Run> = None;
    for run in &block.runs {
        match (last, rows.last_mut()) {
            (Some(before), Some(row)) if before.same_baseline(run) && run.x0 >= before.x1 - before.size => {
                row.text.push_str(between(before, run));
                row.text.push_str(&run.text);
                row.x1 = run.x1;
                row.last_x0 = run.x0;
                row.bold &= run.bold;
            }
            _ => rows.push(Row {
                text: run.text.clone(),
                x0: run.x0,
                x1: run.x1,
                last_x0: run.x0,
                y: run.y,
                size: run.size,
                bold: run.bold,
                first_word: run.first_word,
            }),
        }
        last = Some(run);
    }
    rows
}

/// What parts two runs on one baseline: nothing where a word was drawn in pieces, a blank between words, a tab between cells.
fn between(before: &Run, run: &Run) -> &'static str {
    let gap = (run.x0 - before.x1) / before.size.max(run.size);
    if gap < WORD_GAP {
        ""
    } else if gap < CELL_GAP {
        " "
    } else {
        "\t"
    }
}

/// Whether `row` only began because the word would not fit on the line above.
fn wraps(above: &Row, row: &Row, strip: Strip, spacing: f64) -> bool {
    let width = strip.right - strip.left;
    let full = above.x1 + 0.25 * row.size + row.first_word > strip.right - 0.01 * width;
    let long = above.x1 - above.x0 > 0.35 * width;
    let close = (0.35..1.75).contains(&spacing);
    let alike = (above.size / row.size - 1.0).abs() < 0.15;
    // A bold heading over plain text ends; a bold label before plain words on one line does not.
    let ends_bold = above.bold && !row.bold;
    let numbered = after_number(&above.text).is_some();
    let indented = row.x0 > above.last_x0 + 3.0 * row.size && !numbered;
    // A row of a table is followed by the next, or by more of its last cell.
    let table = row.text.contains('\t') || (above.text.contains('\t') && row.x0 < above.last_x0 - row.size);
    let starts_item =
        after_number(&row.text).is_some_and(|rest| !rest.is_empty()) || row.text.starts_with(['•', '▪', '○']);
    full && long && close && alike && !ends_bold && !indented && !table && !starts_item
}
