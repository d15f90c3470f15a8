//! A service's stream ends with the caller's token, and when the service does. It is taken up again at its cursor.

use std::time::Duration;

use futures::Stream;
use futures::stream::{self, StreamExt};
use tonic::{Code, Status, Streaming};

use crate::graphql::error::Fault;

/// Between attempts, while a service is away.
const PAUSE: Duration = Duration::from_secs(1);

enum State<M> {
    Closed,
    Open(Box<Streaming<M>>),
    Ended,
}

/// Events of the streams that `open` gives for a cursor; `event` takes one apart. A message without an event only
/// moves the cursor.
pub(crate) fn resuming<M, E, O, A, P>(open: O, event: P) -> impl Stream<Item = Result<E, Fault>>
where
    O: Fn(String) -> A,
    A: Future<Output = Result<Streaming<M>, Status>>,
    P: Fn(M) -> (Option<E>, String),
{
    stream::unfold(
        (State::Closed, String::new(), open, event),
        |(mut state, mut cursor, open, event)| async {
            loop {
                state = match state {
                    State::Ended => return None,
                    State::Closed => match open(cursor.clone()).await {
                        Ok(stream) => State::Open(Box::new(stream)),
                        Err(status) if cs_rpc::is_unavailable(&status) => {
                            tokio::time::sleep(PAUSE).await;
                            State::Closed
                        }
                        Err(status) => {
                            return Some((Err(Fault::from(status)), (State::Ended, cursor, open, event)));
                        }
                    },
                    State::Open(mut stream) => match stream.next().await {
                        Some(Ok(message)) => {
                            let (happened, next) = event(message);
                            if !next.is_empty() {
                                cursor = next;
                            }
                            match happened {
                                Some(happened) => {
                                    return Some((Ok(happened), (State::Open(stream), cursor, open, event)));
                                }
                                None => State::Open(stream),
                            }
                        }
                        // The token ran out: a new request brings a new one.
                        None => State::Closed,
                        Some(Err(status)) if status.code() == Code::Unauthenticated => State::Closed,
                        Some(Err(status)) if cs_rpc::is_unavailable(&status) => {
                            tokio::time::sleep(PAUSE).await;
                            State::Closed
                        }
                        Some(Err(status)) => {
                            return Some((Err(Fault::from(status)), (State::Ended, cursor, open, event)));
                        }
                    },
                };
            }
        },
    )
}
