//! Tenants: who runs a space of its own here, and under which host names.
//!
//! They concern everybody, so they are the business of whoever runs the installation, at a terminal. An owner who
//! signed in changes their own tenant, and sees no other.

use cs_core::{Caller, Ids, Role, Subject, TenantId};
use cs_db::TenantTx;
use cs_policy::{Action, allow};

use crate::{Error, Tenant, store};

const MOST_SLUG: usize = 63;
const MOST_NAME: usize = 200;
const MOST_HOSTS: usize = 100;

/// Whether an operator with the installation's key asks, and not a person who signed in.
pub(crate) fn at_terminal(caller: &Caller) -> bool {
    matches!(caller.subject, Subject::Operator(_)) && caller.has(Role::Operator)
}

/// Makes a tenant, or adds to one: a name that is not empty replaces, host names are added.
pub async fn ensure(
    tx: &mut TenantTx,
    caller: &Caller,
    ids: &Ids,
    slug: &str,
    name: &str,
    hosts: &[String],
) -> Result<Tenant, Error> {
    if !at_terminal(caller) {
        allow(caller, Action::Administer)?;
        if !caller.is_service() && TenantId::of_slug(slug) != caller.tenant {
            return Err(Error::TerminalOnly);
        }
    }
    let slug_ok = slug.len() <= MOST_SLUG
        && slug.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
    if !slug_ok {
        return Err(Error::invalid(
            "slug",
            format!(
                "must have 1 to {MOST_SLUG} lower-case letters and digits, in parts joined by single hyphens"
            ),
        ));
    }
    let name = name.trim();
    if name.chars().count() > MOST_NAME || name.chars().any(char::is_control) {
        return Err(Error::invalid("name", format!("at most {MOST_NAME} characters, no control characters")));
    }
    if hosts.len() > MOST_HOSTS {
        return Err(Error::invalid("hosts", format!("at most {MOST_HOSTS} at once")));
    }
    let hosts: Vec<String> = hosts.iter().map(|host| canonical(host)).collect::<Result<_, _>>()?;
    let tenant = store::ensure_tenant(tx, slug, name, ids.now()).await?;
    for host in hosts {
        if store::ensure_host(tx, &host, tenant.id).await? != tenant.id {
            return Err(Error::HostTaken(host));
        }
    }
    Ok(tenant)
}

/// The tenants that the caller may know of.
pub async fn list(tx: &mut TenantTx, caller: &Caller) -> Result<Vec<Tenant>, Error> {
    allow(caller, Action::Operate)?;
    let everybody = at_terminal(caller) || caller.is_service();
    Ok(store::tenants(tx, (!everybody).then_some(caller.tenant)).await?)
}

/// How a tenant is named from outside.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Its slug.
    Slug(&'a str),
    /// A host name, without a port.
    Host(&'a str),
}

/// The tenant of a slug or host name.
pub async fn resolve(tx: &mut TenantTx, caller: &Caller, by: By<'_>) -> Result<Tenant, Error> {
    allow(caller, Action::Serve)?;
    let found = match by {
        By::Slug(slug) => store::tenants(tx, Some(TenantId::of_slug(slug))).await?.pop(),
        // What is no host name leads nowhere.
        By::Host(host) => match canonical(host) {
            Ok(host) => store::tenant_of_host(tx, &host).await?,
            Err(_) => None,
        },
    };
    found.ok_or(Error::NotFound("tenant"))
}

/// A host name as browsers send it: lower case, no final dot, internationalised names in their ASCII form.
fn canonical(host: &str) -> Result<String, Error> {
    let plain = host.strip_suffix('.').unwrap_or(host);
    match url::Host::parse(plain) {
        Ok(known) => Ok(known.to_string()),
        Err(_) => Err(Error::invalid(
            "hosts",
            format!("{host:?} is not a host name: write it without scheme, port and path"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_kept_as_browsers_send_them() {
        assert_eq!(canonical("News.Example.ORG.").unwrap(), "news.example.org");
        assert_eq!(canonical("rathaus.münchen.de").unwrap(), "rathaus.xn--mnchen-3ya.de");
        for wrong in ["", "https://example.org", "example.org:8080", "a b", "example.org/x"] {
            assert!(canonical(wrong).is_err(), "{wrong}");
        }
    }
}
