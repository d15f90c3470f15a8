//! The order of a search, kept for its next pages.
//!
//! A fused score is relative to the other candidates: one passage more or less moves all of them, and a page that was
//! ranked anew would repeat hits and lose others. A cursor therefore names the list that it was cut from. A list that
//! has gone (it was kept by another process, or for too long) is made again, and the place in the cursor decides.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::shown::{Cursor, Place, Respelt};
use super::{Explanation, SearchRequest, SearchResponse, VisibleTags};
use crate::query::terms::Terms;

/// As many lists are kept, the ones used last: some ten megabytes when all are as long as they get.
const LISTS: usize = 64;
/// So long after it was last used a list goes.
const LIFE: Duration = Duration::from_secs(300);

/// A hit in its place, before its passage is fetched.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) place: Place,
    /// Further candidates of its meeting, where hits are grouped.
    pub(crate) more: u32,
    /// Without the matched terms: those are told from the passage.
    pub(crate) why: Explanation,
    /// Where the engine found it; it may have moved since.
    pub(crate) row: u32,
}

/// A search's order, and what its first page said beside the hits.
#[derive(Debug)]
pub(crate) struct List {
    /// What its cursors name it; `None` where one page holds all of it.
    pub(crate) name: Option<u64>,
    tenant: Uuid,
    visible: VisibleTags,
    asked: u64,
    pub(crate) order: Vec<Listed>,
    pub(crate) terms: Terms,
    pub(crate) respelt: Vec<Respelt>,
    /// Without hits.
    pub(crate) answer: SearchResponse,
}

impl List {
    /// The list of a search; `continues` where a page leaves some of it.
    pub(crate) fn new(
        request: &SearchRequest,
        order: Vec<Listed>,
        terms: Terms,
        respelt: Vec<Respelt>,
        answer: SearchResponse,
        continues: bool,
    ) -> Self {
        Self {
            name: continues.then(|| Uuid::new_v4().as_u64_pair().1),
            tenant: request.tenant,
            visible: request.visible,
            asked: asked(request),
            order,
            terms,
            respelt,
            answer,
        }
    }
}

/// What makes two requests the same search, its reader and the page aside.
fn asked(request: &SearchRequest) -> u64 {
    let query = &request.query;
    let mut hasher = DefaultHasher::new();
    (&query.words, &query.phrases, &query.excluded, &query.numbers, query.strict).hash(&mut hasher);
    format!("{:?}", request.filters).hash(&mut hasher);
    (request.mode, request.group_by_meeting).hash(&mut hasher);
    hasher.finish()
}

/// The lists of an engine.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<VecDeque<(Instant, Arc<List>)>>);

impl Pages {
    /// The list that a cursor was cut from and where it goes on, for whoever asks the same, may read the same and is of
    /// the same tenant.
    pub(crate) fn find(
        &self,
        cursor: Cursor,
        request: &SearchRequest,
        now: Instant,
    ) -> Option<(Arc<List>, usize)> {
        let name = cursor.list?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(used, _)| now.saturating_duration_since(*used) < LIFE);
        let at = kept.iter().position(|(_, list)| list.name == Some(name))?;
        let list = Arc::clone(&kept[at].1);
        let same =
            list.tenant == request.tenant && list.visible == request.visible && list.asked == asked(request);
        let start = list.order.iter().position(|listed| listed.place.id == cursor.place.id)? + 1;
        if !same {
            return None;
        }
        kept.remove(at);
        kept.push_back((now, Arc::clone(&list)));
        Some((list, start))
    }

    /// Keeps a list that has a name.
    pub(crate) fn keep(&self, list: &Arc<List>, now: Instant) {
        if list.name.is_none() {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((now, Arc::clone(list)));
        while kept.len() > LISTS {
            kept.pop_front();
        }
    }

    /// Forgets a tenant's.
    pub(crate) fn forget(&self, tenant: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, list)| list.tenant != tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Filters, Mode, Visibility};
    use crate::query::parse;

    fn request(tenant: u128, query: &str) -> SearchRequest {
        SearchRequest {
            tenant: Uuid::from_u128(tenant),
            visible: VisibleTags::of([Visibility::Public]),
            query: parse(query),
            vector: None,
            mode: Mode::Hybrid,
            filters: Filters::default(),
            first: 10,
            after: None,
            group_by_meeting: false,
        }
    }

    fn list(request: &SearchRequest) -> Arc<List> {
        let listed = |id| Listed {
            place: Place { named: false, score: 1.0, id },
            more: 0,
            why: Explanation::default(),
            row: 0,
        };
        let order = (0..5).map(listed).collect();
        let answer = SearchResponse::default();
        Arc::new(List::new(request, order, Terms::default(), Vec::new(), answer, true))
    }

    #[test]
    fn a_list_is_for_the_same_search_of_the_same_reader_for_a_while() {
        let (pages, now) = (Pages::default(), Instant::now());
        let asked = request(1, "zoning");
        let kept = list(&asked);
        pages.keep(&kept, now);
        let cursor = Cursor { place: kept.order[2].place, list: kept.name };
        assert_eq!(pages.find(cursor, &asked, now).unwrap().1, 3);
        for other in [
            request(2, "zoning"),
            request(1, "zoning -park"),
            SearchRequest { visible: VisibleTags::of(Visibility::ALL), ..asked.clone() },
            SearchRequest { mode: Mode::Keyword, ..asked.clone() },
            SearchRequest {
                filters: Filters { cities: vec![Uuid::nil()], ..Filters::default() },
                ..asked.clone()
            },
        ] {
            assert!(pages.find(cursor, &other, now).is_none(), "{other:?}");
        }
        assert!(pages.find(Cursor { list: None, ..cursor }, &asked, now).is_none());
        let later = now + LIFE - Duration::from_secs(1);
        assert!(pages.find(cursor, &asked, later).is_some(), "used, it stays");
        assert!(pages.find(cursor, &asked, later + LIFE).is_none());
    }

    #[test]
    fn the_ones_used_last_stay() {
        let (pages, now) = (Pages::default(), Instant::now());
        let asked = request(1, "zoning");
        let first = list(&asked);
        pages.keep(&first, now);
        for _ in 0..LISTS {
            pages.keep(&list(&asked), now);
        }
        let cursor = Cursor { place: first.order[0].place, list: first.name };
        assert!(pages.find(cursor, &asked, now).is_none());
        pages.forget(asked.tenant);
        assert!(pages.0.lock().unwrap().is_empty());
    }
}
