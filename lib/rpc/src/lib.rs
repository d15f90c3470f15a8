//! How roles call each other: channels, the signed caller token on every call, deadlines, errors, the server stack.
//!
//! It knows no service. Start with [`Outbound`] for the calling side and [`serve`] for the other.

mod channel;
mod failure;
mod health;
mod outbound;
mod server;
mod signed;
mod tasks;
mod token;

pub use channel::{Channel, ChannelError, InMemory, connect};
pub use failure::{
    Failure, FieldViolation, chain, code, deadline_exceeded, is_retryable, is_unavailable, report, status,
};
pub use health::{HealthReporter, health, set_health, watch_health};
pub use outbound::Outbound;
pub use server::{GRACE, Guard, caller, incoming, reflection, serve};
pub use tasks::Tasks;
pub use token::{KeyError, SigningKey, TokenError, Verifier};

/// The services that a caller token can be made for.
pub const SERVICES: [&str; 5] = ["accounts", "meetings", "summaries", "notifications", "search"];

/// The audience of the BFF's internal listener. None of [`SERVICES`]: the token that goes along with a person's request, and
/// that every service on its way holds, opens nothing there.
pub const BFF: &str = "bff";
