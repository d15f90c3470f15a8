//! The operators' desk of dead letters, as this service serves it.

use std::sync::Arc;

use cs_events::{DeadLetterPart, DeadLetters, Ledger, PostgresBus};
use cs_proto::ops::v1 as pb;
use cs_proto::ops::v1::dead_letters_server::DeadLetters as _;
use tonic::Request;

use crate::support::World;

pub(crate) struct Desk(DeadLetters);

impl Desk {
    pub(crate) async fn of(world: &World) -> Self {
        let bus_db = world.bus().await;
        let bus = Arc::new(PostgresBus::new(bus_db.clone(), world.clock.clone()));
        let part = DeadLetterPart { db: Some(world.deps.db.clone()), queue: String::new() };
        let ledger = Ledger::new(bus_db, world.ids.clone());
        Self(DeadLetters::new(vec![part], bus, ledger, world.clock.clone()))
    }

    /// What an operator of the world's tenant sees of a type.
    pub(crate) async fn list(&self, world: &World, kind: &str) -> Vec<pb::DeadLetter> {
        let request = pb::ListDeadLettersRequest { r#type: kind.to_owned(), ..Default::default() };
        self.0.list_dead_letters(asked(world, request)).await.unwrap().into_inner().dead_letters
    }

    pub(crate) async fn discard(&self, world: &World, letter: &pb::DeadLetter, reason: &str) {
        let request = pb::DiscardDeadLetterRequest { id: letter.id.clone(), reason: reason.to_owned() };
        self.0.discard_dead_letter(asked(world, request)).await.unwrap();
    }

    /// Replays all of them; gives their ids.
    pub(crate) async fn replay(&self, world: &World) -> Vec<String> {
        let request = pb::ReplayDeadLettersRequest { all: true, ..Default::default() };
        self.0.replay_dead_letters(asked(world, request)).await.unwrap().into_inner().ids
    }
}

fn asked<T>(world: &World, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(world.service());
    request
}
