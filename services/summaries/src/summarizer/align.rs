//! Which value belongs to which label, where a page's layout has moved them about.

use super::votes::{Label, Token, Value};

/// A label whose value is lost.
const LOST: f32 = 1.2;
/// A value that belongs to no label (a link's caption, a running head).
const STRAY: f32 = 2.0;
/// Each token that stands between a label and its value.
const STEP: f32 = 1.0;
/// Beyond this, distance says no more: all labels may come before all values.
const FARTHEST: f32 = 1.5;
/// A value before its label, all else equal.
const BEFORE: f32 = 0.5;
/// A list of names under a label that mostly has a zero.
const RARE: f32 = 0.6;

/// The assignment of values to labels, each kept in order, that costs least.
pub(crate) fn assign(tokens: &[Token]) -> Vec<(Label, &Value)> {
    let labels: Vec<(usize, Label)> = tokens
        .iter()
        .enumerate()
        .filter_map(|(i, t)| match t {
            Token::Label(l) => Some((i, *l)),
            Token::Value(_) => None,
        })
        .collect();
    let values: Vec<(usize, &Value)> = tokens
        .iter()
        .enumerate()
        .filter_map(|(i, t)| match t {
            Token::Value(v) => Some((i, v)),
            Token::Label(_) => None,
        })
        .collect();
    let (n, m) = (labels.len(), values.len());
    let mut best = vec![vec![f32::INFINITY; m + 1]; n + 1];
    let mut step = vec![vec![Step::Stop; m + 1]; n + 1];
    best[n][m] = 0.0;
    for i in (0..=n).rev() {
        for j in (0..=m).rev() {
            let mut options = Vec::with_capacity(3);
            if i < n && j < m {
                options.push((pair_cost(labels[i], values[j]) + best[i + 1][j + 1], Step::Pair));
            }
            if i < n {
                options.push((LOST + best[i + 1][j], Step::SkipLabel));
            }
            if j < m {
                options.push((STRAY + best[i][j + 1], Step::SkipValue));
            }
            for (cost, how) in options {
                if cost < best[i][j] {
                    (best[i][j], step[i][j]) = (cost, how);
                }
            }
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    loop {
        match step[i][j] {
            Step::Pair => {
                out.push((labels[i].1, values[j].1));
                (i, j) = (i + 1, j + 1);
            }
            Step::SkipLabel => i += 1,
            Step::SkipValue => j += 1,
            Step::Stop => return out,
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Pair,
    SkipLabel,
    SkipValue,
    Stop,
}

fn pair_cost((p, label): (usize, Label), (q, value): (usize, &Value)) -> f32 {
    // What a smudge of the page leaves is no name.
    if matches!(value, Value::Words(text) if text.chars().filter(|c| c.is_alphabetic()).count() < 3) {
        return f32::INFINITY;
    }
    let fits = match (label, value) {
        (Label::Mover | Label::Seconder, Value::Words(_)) => 0.0,
        (Label::Mover | Label::Seconder, Value::List(_, None)) => 0.2,
        (Label::Action | Label::Result, Value::Action(_)) => 0.0,
        (Label::Action | Label::Result, Value::Words(_)) => 1.0,
        (Label::Yeas, Value::List(_, _)) => 0.0,
        (Label::Absent, Value::List(_, _) | Value::Zero) => 0.0,
        (Label::Nays | Label::Abstain | Label::Recused, Value::Zero) => 0.0,
        (Label::Nays | Label::Abstain | Label::Recused, Value::List(_, _)) => RARE,
        (Label::Yeas, Value::Zero) => 1.5,
        // Names without a count: minutes that print one name a line, or a single name.
        (Label::Yeas | Label::Nays | Label::Abstain | Label::Absent | Label::Recused, Value::Words(_)) => 0.8,
        _ => return f32::INFINITY,
    };
    let (steps, before) = if q > p { (q - p - 1, 0.0) } else { (p - q - 1, BEFORE) };
    let distance = (steps as f32 * STEP).min(FARTHEST) + before;
    fits + distance
}
