//! What options are given: engines, buses, addresses, secrets.

use clap::ValueEnum;
use clap::builder::{TypedValueParser, ValueParserFactory};
use clap::error::ErrorKind;
use url::Url;

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

/// An address that may hold a name and a password, which are never shown.
#[derive(Clone)]
pub struct SecretUrl(Url);

impl SecretUrl {
    /// The address, with what is secret in it.
    pub fn expose(&self) -> &Url {
        &self.0
    }
}

impl std::fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or("redacted"))
    }
}

impl ValueParserFactory for SecretUrl {
    type Parser = SecretUrlParser;

    fn value_parser() -> Self::Parser {
        SecretUrlParser
    }
}

/// Reads a [`SecretUrl`]. The usual parsers repeat a value that they refuse.
#[derive(Clone)]
pub struct SecretUrlParser;

impl TypedValueParser for SecretUrlParser {
    type Value = SecretUrl;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<SecretUrl, clap::Error> {
        value.to_string_lossy().parse().map(SecretUrl).map_err(|error| {
            let option = arg.map(ToString::to_string).unwrap_or_default();
            command.clone().error(
                ErrorKind::ValueValidation,
                format!("{option} is no address ({error}); write SCHEME://NAME:PASSWORD@HOST:PORT, with what is special in a password as %XX"),
            )
        })
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
