//! The same minutes published twice (PDF and DOCX) are one record.

use std::collections::BTreeSet;

use super::ProposedClaim;
use super::numbers;

/// Two records whose shorter one shares this much of its matters are the same record.
const SAME: f32 = 0.5;

/// Which of the records to keep: of copies, the one that says most; parts of a meeting all stay. Indices in order.
pub(crate) fn keep(records: &[Vec<ProposedClaim>]) -> Vec<usize> {
    let keys: Vec<BTreeSet<String>> =
        records.iter().map(|claims| claims.iter().filter_map(key).collect()).collect();
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by(|&a, &b| richness(&records[b]).cmp(&richness(&records[a])).then(a.cmp(&b)));
    let mut kept: Vec<usize> = Vec::new();
    for i in order {
        let copy = kept.iter().any(|&k| {
            let least = keys[i].len().min(keys[k].len());
            least > 0 && keys[i].intersection(&keys[k]).count() as f32 / least as f32 >= SAME
        });
        let empty_beside_others = records[i].is_empty() && !kept.is_empty();
        if !copy && !empty_beside_others {
            kept.push(i);
        }
    }
    kept.sort_unstable();
    kept
}

fn key(claim: &ProposedClaim) -> Option<String> {
    let detail = claim.decision.as_ref()?;
    detail.file_number.as_deref().map(numbers::key).or_else(|| {
        detail
            .title
            .as_ref()
            .map(|t| super::tokens::words(t).into_iter().take(8).collect::<Vec<_>>().join(" "))
    })
}

/// Decisions, and of equals the record with more complete votes.
fn richness(claims: &[ProposedClaim]) -> (usize, usize) {
    let decisions = claims.iter().filter(|c| c.decision.is_some()).count();
    let details: usize = claims
        .iter()
        .filter_map(|c| c.decision.as_ref())
        .map(|d| {
            let votes = d.votes.as_ref().map_or(0, |v| {
                [v.counts.yeas, v.counts.nays, v.counts.abstain, v.counts.absent, v.counts.recused]
                    .iter()
                    .flatten()
                    .count()
            });
            usize::from(d.mover.is_some()) + usize::from(d.seconder.is_some()) + votes
        })
        .sum();
    // Complete votes tell a clean reading from a scrambled one even where it found a decision less.
    (decisions * 4 + details, decisions)
}
