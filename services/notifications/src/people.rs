//! Who somebody is: accounts knows. Asked when an e-mail is sent; nothing of it is kept here.

use std::collections::HashMap;
use std::time::Duration;

use cs_core::{Caller, UserId};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::common::v1::BatchGetRequest;
use cs_rpc::Failure;
use tonic::Status;

use crate::{Deps, Error};

const DEADLINE: Duration = Duration::from_secs(5);
/// Most that accounts tells at once.
const MOST: usize = 100;

/// What a letter needs.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// As the provider gave it.
    pub(crate) email: Option<String>,
}

/// The people named; those who are not there any more are left out.
pub(crate) async fn named(
    deps: &Deps,
    caller: &Caller,
    mut users: Vec<UserId>,
) -> Result<HashMap<UserId, Person>, Error> {
    users.sort_unstable();
    users.dedup();
    let channel = deps.accounts.clone().ok_or_else(|| {
        Error::Accounts(Failure::from(&Status::unavailable(
            "accounts runs elsewhere: say where with --services accounts=http://HOST:PORT",
        )))
    })?;
    let mut people = HashMap::new();
    for users in users.chunks(MOST) {
        let ids = users.iter().map(ToString::to_string).collect();
        let request = deps
            .outbound
            .to("accounts")
            .request(caller, BatchGetRequest { ids }, DEADLINE)
            .map_err(failed)?;
        let answer = AccountsClient::new(channel.clone()).batch_get_users(request).await.map_err(failed)?;
        for user in answer.into_inner().users {
            if let Ok(id) = user.id.parse() {
                let email = Some(user.email).filter(|email| !email.is_empty());
                people.insert(id, Person { name: user.display_name, email });
            }
        }
    }
    Ok(people)
}

fn failed(status: Status) -> Error {
    Error::Accounts(Failure::from(&status))
}
