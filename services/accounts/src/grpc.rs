//! Messages to use cases and back; no rules. Who may not do a thing is told so before the message is looked at: what is wrong
//! with it is for those who may.
//!
//! Idempotency keys are the edge's: these verbs set a state, so that a repeat changes nothing.

use cs_core::{Caller, Role};
use cs_db::TenantTx;
use cs_policy::{Action, allow};
use cs_proto::accounts::v1::accounts_server::Accounts;
use cs_proto::accounts::v1::{
    BatchGetUsersResponse, DeleteAccountRequest, DeleteAccountResponse, EnsureTenantRequest,
    EnsureTenantResponse, ExportAccountRequest, ExportAccountResponse, GetViewerRequest, GetViewerResponse,
    GrantRoleRequest, GrantRoleResponse, LinkIdentityRequest, LinkIdentityResponse, ListIdentitiesRequest,
    ListIdentitiesResponse, ListTenantsRequest, ListTenantsResponse, LookUpIdentityRequest,
    LookUpIdentityResponse, ResolveIdentityRequest, ResolveIdentityResponse, ResolveTenantRequest,
    ResolveTenantResponse, RevokeRoleRequest, RevokeRoleResponse, SetHomeCityRequest, SetHomeCityResponse,
    UnlinkIdentityRequest, UnlinkIdentityResponse, UpdateProfileRequest, UpdateProfileResponse,
    resolve_tenant_request,
};
use cs_proto::common::v1::BatchGetRequest;
use tonic::{Request, Response, Status};

use crate::roles::Grantee;
use crate::tenants::By;
use crate::{Deps, Error, deletion, export, home_city, identity, profile, roles, tenants, users};

/// `accounts.v1.Accounts`.
#[derive(Clone)]
pub struct AccountsService {
    deps: Deps,
}

impl AccountsService {
    /// Over `deps`.
    pub fn new(deps: Deps) -> Self {
        Self { deps }
    }

    async fn begin(&self, caller: &Caller) -> Result<TenantTx, Error> {
        Ok(self.deps.db.tenant(caller).await?)
    }
}

fn id<T: std::str::FromStr>(field: &str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::invalid(field, "must be a ULID"))
}

fn grantee(user_id: &str, issuer: String, subject: String) -> Result<Grantee, Error> {
    if user_id.is_empty() {
        Ok(Grantee::Identity { issuer, subject })
    } else {
        Ok(Grantee::User(id("user_id", user_id)?))
    }
}

fn parse_role(word: &str) -> Result<Role, Error> {
    word.parse().map_err(|e: cs_core::UnknownRole| Error::invalid("role", e.to_string()))
}

async fn commit(tx: TenantTx) -> Result<(), Error> {
    Ok(tx.commit().await?)
}

#[tonic::async_trait]
impl Accounts for AccountsService {
    async fn resolve_identity(
        &self,
        request: Request<ResolveIdentityRequest>,
    ) -> Result<Response<ResolveIdentityResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let ResolveIdentityRequest { issuer, subject, display_name, email, roles } = request.into_inner();
        let claims = identity::Claims { issuer, subject, display_name, email, roles };
        let mut tx = self.begin(&caller).await?;
        let (user, created) = identity::resolve(&mut tx, &caller, &self.deps.ids, &claims).await?;
        commit(tx).await?;
        Ok(Response::new(ResolveIdentityResponse { user: Some(user.into()), created }))
    }

    async fn look_up_identity(
        &self,
        request: Request<LookUpIdentityRequest>,
    ) -> Result<Response<LookUpIdentityResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let LookUpIdentityRequest { issuer, subject } = request.into_inner();
        let mut tx = self.begin(&caller).await?;
        let user = identity::look_up(&mut tx, &caller, (&issuer, &subject)).await?;
        Ok(Response::new(LookUpIdentityResponse { user: Some(user.into()) }))
    }

    async fn get_viewer(
        &self,
        request: Request<GetViewerRequest>,
    ) -> Result<Response<GetViewerResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let user = users::viewer(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(GetViewerResponse { user: Some(user.into()) }))
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        users::sees_whole(&caller)?;
        let ids = request.get_ref().ids.iter().map(|text| id("ids", text)).collect::<Result<Vec<_>, _>>()?;
        let users = users::batch(&mut self.begin(&caller).await?, &caller, &ids).await?;
        Ok(Response::new(BatchGetUsersResponse { users: users.into_iter().map(Into::into).collect() }))
    }

    async fn update_profile(
        &self,
        request: Request<UpdateProfileRequest>,
    ) -> Result<Response<UpdateProfileResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let UpdateProfileRequest { display_name, locale, time_zone, idempotency_key: _ } =
            request.into_inner();
        let change = profile::Change { display_name, locale, time_zone };
        let mut tx = self.begin(&caller).await?;
        let user = profile::update(&mut tx, &caller, &self.deps.ids, change).await?;
        commit(tx).await?;
        Ok(Response::new(UpdateProfileResponse { user: Some(user.into()) }))
    }

    async fn set_home_city(
        &self,
        request: Request<SetHomeCityRequest>,
    ) -> Result<Response<SetHomeCityResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        users::own(&caller)?;
        let city = match request.get_ref().city_id.as_str() {
            "" => None,
            text => Some(id("city_id", text)?),
        };
        if let Some(city) = city {
            home_city::check(&self.deps, &caller, city).await?;
        }
        let mut tx = self.begin(&caller).await?;
        let user = home_city::set(&mut tx, &caller, &self.deps.ids, city).await?;
        commit(tx).await?;
        Ok(Response::new(SetHomeCityResponse { user: Some(user.into()) }))
    }

    async fn list_identities(
        &self,
        request: Request<ListIdentitiesRequest>,
    ) -> Result<Response<ListIdentitiesResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let found = identity::list(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(ListIdentitiesResponse { identities: found.into_iter().map(Into::into).collect() }))
    }

    async fn link_identity(
        &self,
        request: Request<LinkIdentityRequest>,
    ) -> Result<Response<LinkIdentityResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        allow(&caller, Action::Serve).map_err(Error::from)?;
        let LinkIdentityRequest { user_id, issuer, subject, roles } = request.into_inner();
        let (user, pair) = (id("user_id", &user_id)?, (issuer.as_str(), subject.as_str()));
        let mut tx = self.begin(&caller).await?;
        let user = identity::link(&mut tx, &caller, &self.deps.ids, user, pair, &roles).await?;
        commit(tx).await?;
        Ok(Response::new(LinkIdentityResponse { user: Some(user.into()) }))
    }

    async fn unlink_identity(
        &self,
        request: Request<UnlinkIdentityRequest>,
    ) -> Result<Response<UnlinkIdentityResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        users::own(&caller)?;
        let identity = id("identity_id", &request.get_ref().identity_id)?;
        let mut tx = self.begin(&caller).await?;
        let gone = identity::unlink(&mut tx, &caller, identity).await?;
        commit(tx).await?;
        Ok(Response::new(UnlinkIdentityResponse { identity: Some(gone.into()) }))
    }

    async fn delete_account(
        &self,
        request: Request<DeleteAccountRequest>,
    ) -> Result<Response<DeleteAccountResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let confirmation = &request.get_ref().confirmation;
        let mut tx = self.begin(&caller).await?;
        let gone = deletion::delete(&mut tx, &caller, &self.deps.ids, confirmation).await?;
        commit(tx).await?;
        Ok(Response::new(DeleteAccountResponse { user_id: gone.to_string() }))
    }

    async fn export_account(
        &self,
        request: Request<ExportAccountRequest>,
    ) -> Result<Response<ExportAccountResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let kept = export::account(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(ExportAccountResponse { json: kept.to_string() }))
    }

    async fn ensure_tenant(
        &self,
        request: Request<EnsureTenantRequest>,
    ) -> Result<Response<EnsureTenantResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let EnsureTenantRequest { slug, name, hosts } = request.into_inner();
        let mut tx = self.begin(&caller).await?;
        let tenant = tenants::ensure(&mut tx, &caller, &self.deps.ids, &slug, &name, &hosts).await?;
        commit(tx).await?;
        Ok(Response::new(EnsureTenantResponse { tenant: Some(tenant.into()) }))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        let found = tenants::list(&mut self.begin(&caller).await?, &caller).await?;
        Ok(Response::new(ListTenantsResponse { tenants: found.into_iter().map(Into::into).collect() }))
    }

    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        allow(&caller, Action::Serve).map_err(Error::from)?;
        let by = match request.get_ref().by.as_ref() {
            Some(resolve_tenant_request::By::Slug(slug)) => By::Slug(slug),
            Some(resolve_tenant_request::By::Host(host)) => By::Host(host),
            None => return Err(Error::invalid("by", "name a slug or a host").into()),
        };
        let tenant = tenants::resolve(&mut self.begin(&caller).await?, &caller, by).await?;
        Ok(Response::new(ResolveTenantResponse { tenant: Some(tenant.into()) }))
    }

    async fn grant_role(
        &self,
        request: Request<GrantRoleRequest>,
    ) -> Result<Response<GrantRoleResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        roles::may_grant(&caller)?;
        let GrantRoleRequest { user_id, issuer, subject, role } = request.into_inner();
        let (grantee, role) = (grantee(&user_id, issuer, subject)?, parse_role(&role)?);
        let mut tx = self.begin(&caller).await?;
        let user = roles::grant(&mut tx, &caller, &self.deps.ids, &grantee, role).await?;
        commit(tx).await?;
        Ok(Response::new(GrantRoleResponse { user: Some(user.into()) }))
    }

    async fn revoke_role(
        &self,
        request: Request<RevokeRoleRequest>,
    ) -> Result<Response<RevokeRoleResponse>, Status> {
        let caller = cs_rpc::caller(&request)?;
        roles::may_grant(&caller)?;
        let RevokeRoleRequest { user_id, issuer, subject, role } = request.into_inner();
        let (grantee, role) = (grantee(&user_id, issuer, subject)?, parse_role(&role)?);
        let mut tx = self.begin(&caller).await?;
        let user = roles::revoke(&mut tx, &caller, &grantee, role).await?;
        commit(tx).await?;
        Ok(Response::new(RevokeRoleResponse { user: Some(user.into()) }))
    }
}
