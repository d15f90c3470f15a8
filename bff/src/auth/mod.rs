//! Who asks: signing in, the session, and the requests that only our own page may make.

pub(crate) mod cookies;
pub(crate) mod csrf;
mod leaving;
pub(crate) mod memory;
pub(crate) mod oidc;
mod return_to;
pub(crate) mod session;
mod status;
mod visitor;

pub(crate) use leaving::leave;
pub(crate) use return_to::local_path;
pub(crate) use status::session_status;
pub(crate) use visitor::Visitor;
