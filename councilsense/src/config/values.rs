//! What options are given: engines, buses, addresses, secrets.

use clap::ValueEnum;

/// What searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SearchEngine {
    /// The engine inside this program.
    Embedded,
    /// An OpenSearch with k-NN.
    Opensearch,
}

impl SearchEngine {
    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Opensearch => "opensearch",
        }
    }
}

/// What carries facts between services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BusKind {
    /// The embedded one: tables of the database.
    Postgres,
    /// SNS → SQS.
    Sns,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people on a terminal, else JSON.
    Auto,
    /// One object a line.
    Json,
    /// For people.
    Human,
}

/// A text that is never shown.
#[derive(Clone)]
pub struct Redacted(String);

impl Redacted {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Redacted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl std::fmt::Debug for Redacted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("redacted")
    }
}

/// A role and where it is.
#[derive(Clone, Debug)]
pub struct ServiceAddress {
    /// accounts, meetings, summaries, notifications, search or bff.
    pub role: String,
    /// `http://host:port`.
    pub address: String,
}

impl std::str::FromStr for ServiceAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((role, address)) if cs_rpc::SERVICES.contains(&role) || role == cs_rpc::BFF => {
                Ok(Self { role: role.to_owned(), address: address.to_owned() })
            }
            _ => Err(format!(
                "write ROLE=http://HOST:PORT, where ROLE is one of {}, {}",
                cs_rpc::SERVICES.join(", "),
                cs_rpc::BFF
            )),
        }
    }
}
