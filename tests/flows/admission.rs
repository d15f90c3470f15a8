//! Who may not do a thing is told so, whatever is wrong with what they sent: rules are for those who may.

use councilsense::wiring::{Role, system_clock};
use cs_core::{Caller, Ids, Subject, Trace};
use cs_proto::accounts::v1 as accounts;
use cs_proto::accounts::v1::accounts_client::AccountsClient;
use cs_proto::common::v1::{BatchGetRequest, PageRequest};
use cs_proto::meetings::v1 as meetings;
use cs_proto::meetings::v1::meetings_client::MeetingsClient;
use cs_proto::notifications::v1 as notifications;
use cs_proto::notifications::v1::notifications_client::NotificationsClient;
use cs_proto::ops::v1 as ops;
use cs_proto::ops::v1::records_client::RecordsClient;
use cs_proto::ops::v1::runs_client::RunsClient;
use cs_proto::ops::v1::sources_client::SourcesClient;
use cs_proto::search::v1 as search;
use cs_proto::search::v1::search_client::SearchClient;
use cs_proto::summaries::v1 as summaries;
use cs_proto::summaries::v1::summaries_client::SummariesClient;
use tonic::Code;

use crate::harness::{Harness, Mode, anonymous, operator};

type Answers = Vec<(&'static str, Code)>;

macro_rules! answers {
    ($h:expr, $who:expr, $($client:ident of $role:ident, $method:ident($message:expr));+ $(;)?) => {
        vec![$((stringify!($method), {
            let request = $h.request($who, $message);
            $client::new($h.channel(Role::$role)).$method(request).await.map_or_else(|s| s.code(), |_| Code::Ok)
        })),+]
    };
}

fn x() -> String {
    "x".to_owned()
}

/// What is a person's own.
async fn own(h: &Harness, who: &Caller) -> Answers {
    let bad_page = Some(PageRequest { after: x(), ..Default::default() });
    answers!(h, who,
        AccountsClient of Accounts, batch_get_users(BatchGetRequest { ids: vec![x()] });
        AccountsClient of Accounts, update_profile(accounts::UpdateProfileRequest { locale: Some("?".to_owned()), ..Default::default() });
        AccountsClient of Accounts, set_home_city(accounts::SetHomeCityRequest { city_id: x(), ..Default::default() });
        AccountsClient of Accounts, unlink_identity(accounts::UnlinkIdentityRequest { identity_id: x() });
        NotificationsClient of Notifications, update_preferences(notifications::UpdatePreferencesRequest { digest: Some(x()), ..Default::default() });
        NotificationsClient of Notifications, follow(notifications::FollowRequest { kind: x(), ..Default::default() });
        NotificationsClient of Notifications, unfollow(notifications::UnfollowRequest { id: x() });
        NotificationsClient of Notifications, save_search(notifications::SaveSearchRequest::default());
        NotificationsClient of Notifications, delete_saved_search(notifications::DeleteSavedSearchRequest { id: x() });
        NotificationsClient of Notifications, register_push_subscription(notifications::RegisterPushSubscriptionRequest { endpoint: x(), ..Default::default() });
        NotificationsClient of Notifications, remove_push_subscription(notifications::RemovePushSubscriptionRequest { id: x() });
        NotificationsClient of Notifications, add_webhook(notifications::AddWebhookRequest { url: x(), ..Default::default() });
        NotificationsClient of Notifications, remove_webhook(notifications::RemoveWebhookRequest { id: x() });
        SummariesClient of Summaries, flag_claim(summaries::FlagClaimRequest { claim_id: x(), ..Default::default() });
        NotificationsClient of Notifications, list_notifications(notifications::ListNotificationsRequest { page: bad_page, ..Default::default() });
        NotificationsClient of Notifications, mark_read(notifications::MarkReadRequest::default());
        NotificationsClient of Notifications, watch_inbox(notifications::WatchInboxRequest { after: x() });
    )
}

/// What takes a role.
async fn with_a_role(h: &Harness, who: &Caller) -> Answers {
    answers!(h, who,
        AccountsClient of Accounts, grant_role(accounts::GrantRoleRequest { user_id: x(), role: x(), ..Default::default() });
        AccountsClient of Accounts, revoke_role(accounts::RevokeRoleRequest { user_id: x(), role: x(), ..Default::default() });
        AccountsClient of Accounts, ensure_tenant(accounts::EnsureTenantRequest { slug: "X".to_owned(), ..Default::default() });
        MeetingsClient of Meetings, add_city(meetings::AddCityRequest { slug: "X".to_owned(), ..Default::default() });
        RunsClient of Meetings, list_runs(ops::ListRunsRequest { meeting_id: x(), ..Default::default() });
        RunsClient of Meetings, batch_get_runs(BatchGetRequest { ids: vec![x()] });
        RunsClient of Meetings, watch_run(ops::WatchRunRequest { id: x(), ..Default::default() });
        SummariesClient of Summaries, approve_summary(summaries::ApproveSummaryRequest { meeting_id: x(), ..Default::default() });
        SummariesClient of Summaries, retract_claim(summaries::RetractClaimRequest { claim_id: x(), ..Default::default() });
        SummariesClient of Summaries, list_review_queue(summaries::ListReviewQueueRequest { page: Some(PageRequest { after: x(), ..Default::default() }), view: None });
        SummariesClient of Summaries, list_reviews(summaries::ListReviewsRequest { first: 1_000 });
        RunsClient of Meetings, rerun_meeting(ops::RerunMeetingRequest { meeting_id: x(), ..Default::default() });
        SourcesClient of Meetings, list_sources(ops::ListSourcesRequest { city_id: x() });
        RecordsClient of Meetings, withdraw_meeting(ops::WithdrawMeetingRequest { meeting_id: x(), ..Default::default() });
        RecordsClient of Meetings, set_artifact_visibility(ops::SetArtifactVisibilityRequest { artifact_id: x(), ..Default::default() });
    )
}

/// What only our own roles do.
async fn for_services(h: &Harness, who: &Caller) -> Answers {
    answers!(h, who,
        AccountsClient of Accounts, resolve_identity(accounts::ResolveIdentityRequest::default());
        AccountsClient of Accounts, look_up_identity(accounts::LookUpIdentityRequest::default());
        AccountsClient of Accounts, link_identity(accounts::LinkIdentityRequest { user_id: x(), ..Default::default() });
        AccountsClient of Accounts, resolve_tenant(accounts::ResolveTenantRequest::default());
        SearchClient of Search, match_saved_searches(search::MatchSavedSearchesRequest { meeting_id: x(), ..Default::default() });
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_learns_nothing_of_the_rules() {
    let h = Harness::start("admission", Mode::Together).await;
    let tenant = h.tenant().await;
    let (nobody, terminal) = (anonymous(tenant), operator(tenant));
    let service = Caller::service("bff", tenant, Trace::start());
    let resident = Caller {
        subject: Subject::User(Ids::new(system_clock()).next()),
        roles: [cs_core::Role::Resident].into(),
        ..service.clone()
    };
    let all = |answers: Answers, due: Code, who: &str| {
        for (method, code) in answers {
            assert_eq!(code, due, "{method} by {who}");
        }
    };
    all(own(&h, &nobody).await, Code::Unauthenticated, "nobody");
    all(with_a_role(&h, &nobody).await, Code::Unauthenticated, "nobody");
    all(with_a_role(&h, &resident).await, Code::PermissionDenied, "a resident");
    for who in [&nobody, &resident, &terminal] {
        all(for_services(&h, who).await, Code::PermissionDenied, "somebody who is no service");
    }
    // Whoever may is told what is wrong: these messages do break rules.
    all(own(&h, &resident).await, Code::InvalidArgument, "a resident");
    all(with_a_role(&h, &terminal).await, Code::InvalidArgument, "an operator at a terminal");
    all(for_services(&h, &service).await, Code::InvalidArgument, "a service");
}
