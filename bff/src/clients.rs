//! The services behind: a client each, signed requests, deadlines, and one repetition of a read that met nobody.

use std::future::Future;
use std::time::{Duration, Instant};

use cs_core::{Caller, TenantId, Trace};
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::accounts::v1::{
    LinkIdentityRequest, LookUpIdentityRequest, ResolveIdentityRequest, ResolveTenantRequest, User,
    resolve_tenant_request,
};
use cs_proto::errors::v1::Reason;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::ops::v1::dead_letters_client::DeadLettersClient;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::sources_client::SourcesClient;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use cs_rpc::{Channel, Outbound};
use tonic::{Code, Request, Response, Status};

/// A page of summaries with all their evidence, or all that is kept about a person, is larger than tonic's default of 4 MB.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
/// What sign-in gives accounts.
const SIGN_IN_DEADLINE: Duration = Duration::from_secs(5);

/// A channel to each service.
#[derive(Clone)]
pub struct Channels {
    /// People, identities, tenants.
    pub accounts: Channel,
    /// Cities, meetings, artifacts, runs.
    pub meetings: Channel,
    /// Summaries, claims, evidence.
    pub summaries: Channel,
    /// Follows, preferences, the inbox.
    pub notifications: Channel,
    /// The index.
    pub search: Channel,
}

impl Channels {
    /// Each with the name of its service.
    pub(crate) fn named(&self) -> [(&'static str, Channel); 5] {
        [
            ("accounts", self.accounts.clone()),
            ("meetings", self.meetings.clone()),
            ("summaries", self.summaries.clone()),
            ("notifications", self.notifications.clone()),
            ("search", self.search.clone()),
        ]
    }
}

/// One client and what signs its requests.
pub(crate) struct Remote<C> {
    service: &'static str,
    client: C,
    outbound: Outbound,
}

impl<C: Clone> Remote<C> {
    /// A call that changes nothing: repeated once where nobody answered.
    pub(crate) async fn read<M, R, F, A>(
        &self,
        caller: &Caller,
        until: Instant,
        message: M,
        call: F,
    ) -> Result<R, Status>
    where
        M: Clone,
        F: Fn(C, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        match self.once(caller, until, message.clone(), &call).await {
            Err(status) if cs_rpc::is_unavailable(&status) && until > Instant::now() => {
                self.once(caller, until, message, &call).await
            }
            result => result,
        }
    }

    /// A call that changes something: never repeated here.
    pub(crate) async fn write<M, R, F, A>(
        &self,
        caller: &Caller,
        until: Instant,
        message: M,
        call: F,
    ) -> Result<R, Status>
    where
        F: Fn(C, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        self.once(caller, until, message, &call).await
    }

    /// A stream that stays open.
    pub(crate) async fn watch<M, R, F, A>(&self, caller: &Caller, message: M, call: F) -> Result<R, Status>
    where
        F: Fn(C, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let request = self.outbound.stream(caller, message)?;
        call(self.client.clone(), request).await.map(Response::into_inner)
    }

    async fn once<M, R, F, A>(
        &self,
        caller: &Caller,
        until: Instant,
        message: M,
        call: &F,
    ) -> Result<R, Status>
    where
        F: Fn(C, Request<M>) -> A,
        A: Future<Output = Result<Response<R>, Status>>,
    {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(cs_rpc::deadline_exceeded());
        }
        let request = self.outbound.request(caller, message, left)?;
        let started = Instant::now();
        // The service is told the deadline; this is for one that does not keep it.
        let result = tokio::time::timeout(left, call(self.client.clone(), request))
            .await
            .unwrap_or_else(|_| Err(cs_rpc::deadline_exceeded()));
        let outcome = if result.is_ok() { "ok" } else { "failed" };
        metrics::histogram!("bff_rpc_seconds", "service" => self.service, "outcome" => outcome)
            .record(started.elapsed().as_secs_f64());
        result.map(Response::into_inner)
    }
}

/// Every client.
pub(crate) struct Clients {
    pub(crate) accounts: Remote<AccountsClient<Channel>>,
    pub(crate) meetings: Remote<MeetingsClient<Channel>>,
    pub(crate) runs: Remote<RunsClient<Channel>>,
    pub(crate) sources: Remote<SourcesClient<Channel>>,
    pub(crate) summaries: Remote<SummariesClient<Channel>>,
    pub(crate) notifications: Remote<NotificationsClient<Channel>>,
    pub(crate) search: Remote<SearchClient<Channel>>,
    dead_letters: Vec<(&'static str, Remote<DeadLettersClient<Channel>>)>,
}

impl Clients {
    pub(crate) fn new(channels: &Channels, outbound: &Outbound) -> Self {
        // Tokens name one service as their audience, so that none can be used at another.
        fn remote<C>(service: &'static str, client: C, outbound: &Outbound) -> Remote<C> {
            Remote { service, client, outbound: outbound.to(service) }
        }
        let meetings = || channels.meetings.clone();
        Self {
            accounts: remote("accounts", AccountsClient::new(channels.accounts.clone()), outbound),
            meetings: remote(
                "meetings",
                MeetingsClient::new(meetings()).max_decoding_message_size(LARGEST_ANSWER),
                outbound,
            ),
            runs: remote("meetings", RunsClient::new(meetings()), outbound),
            sources: remote("meetings", SourcesClient::new(meetings()), outbound),
            summaries: remote(
                "summaries",
                SummariesClient::new(channels.summaries.clone()).max_decoding_message_size(LARGEST_ANSWER),
                outbound,
            ),
            notifications: remote(
                "notifications",
                NotificationsClient::new(channels.notifications.clone())
                    .max_decoding_message_size(LARGEST_ANSWER),
                outbound,
            ),
            search: remote(
                "search",
                SearchClient::new(channels.search.clone()).max_decoding_message_size(LARGEST_ANSWER),
                outbound,
            ),
            dead_letters: channels
                .named()
                .into_iter()
                .map(|(name, channel)| (name, remote(name, DeadLettersClient::new(channel), outbound)))
                .collect(),
        }
    }

    /// Services that may hold dead letters.
    pub(crate) fn dead_letters(
        &self,
    ) -> impl Iterator<Item = (&'static str, &Remote<DeadLettersClient<Channel>>)> {
        self.dead_letters.iter().map(|(name, remote)| (*name, remote))
    }

    /// Finds or makes the person behind a verified identity.
    pub(crate) async fn resolve_identity(
        &self,
        tenant: TenantId,
        trace: Trace,
        request: ResolveIdentityRequest,
    ) -> Result<User, Status> {
        let caller = Caller::service("bff", tenant, trace);
        let until = Instant::now() + SIGN_IN_DEADLINE;
        self.accounts
            .write(&caller, until, request, |mut client, request| async move {
                client.resolve_identity(request).await
            })
            .await?
            .user
            .ok_or_else(|| cs_rpc::status(Reason::Internal, "accounts named nobody", &[]))
    }

    /// The person behind an identity and what sessions of it may do now; `None` where it leads to nobody.
    pub(crate) async fn look_up_identity(
        &self,
        tenant: TenantId,
        trace: Trace,
        request: LookUpIdentityRequest,
    ) -> Result<Option<User>, Status> {
        let caller = Caller::service("bff", tenant, trace);
        let until = Instant::now() + SIGN_IN_DEADLINE;
        let found = self
            .accounts
            .read(&caller, until, request, |mut client, request| async move {
                client.look_up_identity(request).await
            })
            .await;
        match found {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
            Ok(answer) => answer
                .user
                .map(Some)
                .ok_or_else(|| cs_rpc::status(Reason::Internal, "accounts named nobody", &[])),
        }
    }

    /// Links a verified identity to a person who proved to be there; the person with it.
    pub(crate) async fn link_identity(
        &self,
        tenant: TenantId,
        trace: Trace,
        request: LinkIdentityRequest,
    ) -> Result<User, Status> {
        let caller = Caller::service("bff", tenant, trace);
        let until = Instant::now() + SIGN_IN_DEADLINE;
        self.accounts
            .write(&caller, until, request, |mut client, request| async move {
                client.link_identity(request).await
            })
            .await?
            .user
            .ok_or_else(|| cs_rpc::status(Reason::Internal, "accounts named nobody", &[]))
    }

    /// The tenant of a slug or host name; `None` where there is no such tenant.
    pub(crate) async fn resolve_tenant(
        &self,
        trace: Trace,
        by: resolve_tenant_request::By,
    ) -> Result<Option<TenantId>, Status> {
        // Which tenant is what is being asked, so the call is made in none.
        let caller = Caller::service("bff", TenantId::from(uuid::Uuid::nil()), trace);
        let until = Instant::now() + SIGN_IN_DEADLINE;
        let request = ResolveTenantRequest { by: Some(by) };
        let found = self
            .accounts
            .read(&caller, until, request, |mut client, request| async move {
                client.resolve_tenant(request).await
            })
            .await;
        match found {
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
            Ok(answer) => answer
                .tenant
                .map(|tenant| tenant.id.parse())
                .transpose()
                .map_err(|_| cs_rpc::status(Reason::Internal, "accounts named a malformed tenant", &[])),
        }
    }
}
