//! The service against a real Postgres, as its own roles. `DATABASE_URL` names the server; its user may create roles.

mod home_city;
mod people;
mod support;
mod tenants;
