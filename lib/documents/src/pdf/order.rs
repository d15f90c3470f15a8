//! Runs to blocks in reading order. The order of drawing is the writer's own and mostly right (cells of a row, columns of a page);
//! where it contradicts the paper (a title drawn last, tables drawn before the text around them), the paper wins.

use super::runs::Run;

/// Runs that follow each other down the page.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) runs: Vec<Run>,
}

impl Block {
    pub(super) fn top(&self) -> f64 {
        self.runs.iter().map(Run::top).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn bottom(&self) -> f64 {
        self.runs.iter().map(Run::bottom).fold(f64::NEG_INFINITY, f64::max)
    }

    pub(super) fn left(&self) -> f64 {
        self.runs.iter().map(|r| r.x0).fold(f64::INFINITY, f64::min)
    }

    pub(super) fn right(&self) -> f64 {
        self.runs.iter().map(|r| r.x1).fold(f64::NEG_INFINITY, f64::max)
    }
}

/// More blank paper than this between two lines parts blocks, in heights of the type.
const BLOCK_GAP: f64 = 2.6;

pub(super) fn reading_order(runs: Vec<Run>) -> Vec<Block> {
    let mut placed: Vec<Block> = Vec::new();
    for block in blocks(runs) {
        place(&mut placed, block);
    }
    placed
}

/// Cuts the order of drawing where it goes up the page or leaps down.
fn blocks(runs: Vec<Run>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for run in runs {
        let follows = blocks.last().and_then(|b| b.runs.last()).is_some_and(|last| {
            let size = last.size.max(run.size);
            let down = run.y - last.y;
            let beside = last.same_baseline(&run) && run.x0 > last.x0;
            beside || (down > 0.35 * size && down < BLOCK_GAP * size)
        });
        match blocks.last_mut() {
            Some(block) if follows => block.runs.push(run),
            _ => blocks.push(Block { runs: vec![run] }),
        }
    }
    blocks
}

fn place(placed: &mut Vec<Block>, mut block: Block) {
    // What interleaves with it on the same strip of paper is one block with it, ordered by height.
    while let Some(i) = placed.iter().position(|other| interleave(other, &block)) {
        let other = placed.remove(i);
        block = merge(other, block);
    }
    let at = placed.iter().position(|other| above(&block, other)).unwrap_or(placed.len());
    placed.insert(at, block);
}

fn share_width(a: &Block, b: &Block) -> bool {
    a.left() < b.right() && b.left() < a.right()
}

/// `a` ends before `b` begins, and they stand on the same strip.
fn above(a: &Block, b: &Block) -> bool {
    a.bottom() <= b.top() + 2.0 && share_width(a, b)
}

fn interleave(a: &Block, b: &Block) -> bool {
    let (from, to) = (a.top().max(b.top()), a.bottom().min(b.bottom()));
    if to - from < 1.0 {
        return false;
    }
    let within = |block: &Block| {
        let runs =
            block.runs.iter().filter(|r| r.bottom() > from + 0.5 && r.top() < to - 0.5).cloned().collect();
        Block { runs }
    };
    let (in_a, in_b) = (within(a), within(b));
    if in_a.runs.is_empty() || in_b.runs.is_empty() {
        // One lies in a gap of the other.
        return share_width(a, b);
    }
    share_width(&in_a, &in_b) || row_by_row(&in_a, &in_b)
}

/// Whether two blocks side by side are labels and their values, drawn one column after the other.
fn row_by_row(a: &Block, b: &Block) -> bool {
    let (left, right) = if a.left() < b.left() { (a, b) } else { (b, a) };
    let labels = left.runs.iter().filter(|r| r.text.trim_end().ends_with(':')).count();
    let matched = left.runs.iter().filter(|l| right.runs.iter().any(|r| r.same_baseline(l))).count();
    left.runs.len() >= 2 && labels * 10 >= left.runs.len() * 7 && matched * 10 >= left.runs.len() * 7
}

/// Puts the runs of two blocks in the order of the paper: rows from the top, each from the left.
fn merge(a: Block, b: Block) -> Block {
    let mut runs: Vec<Run> = a.runs.into_iter().chain(b.runs).collect();
    runs.sort_by(|p, q| p.y.total_cmp(&q.y));
    let mut rows: Vec<Vec<Run>> = Vec::new();
    for run in runs {
        match rows.last_mut() {
            Some(row) if row[0].same_baseline(&run) => row.push(run),
            _ => rows.push(vec![run]),
        }
    }
    for row in &mut rows {
        row.sort_by(|p, q| p.x0.total_cmp(&q.x0));
    }
    Block { runs: rows.into_iter().flatten().collect() }
}
