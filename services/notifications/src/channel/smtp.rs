//! A mail server, spoken to step by step: so it is known whether the recipient, the letter or we were refused, and a
//! dialogue that was broken off is never gone on with.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use lettre::{AsyncSmtpTransport, Message, Tokio1Executor};
use percent_encoding::percent_decode_str;
use url::Url;

/// For everything before the end of the letter. Nothing is taken before that, so that giving up sends no copies.
const STEP: Duration = Duration::from_secs(60);
/// For the answer to the end of the letter (RFC 5321, 4.5.3.2.6): the server has it, and may take it after minutes.
const TAKEN: Duration = Duration::from_secs(10 * 60);
/// For a goodbye, and for the question whether an idle connection still stands.
const SHORT: Duration = Duration::from_secs(5);
/// Connections kept for the next letters.
const KEPT: usize = 10;
/// How long; servers end idle connections after some minutes.
const IDLE: Duration = Duration::from_secs(60);

/// Why a letter was not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// This recipient or this letter never will be.
    Letter(String),
    /// Anything else, ourselves among it: a wrong password, a relay that does not know us, a server that is away.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Greeting, encryption, password, sender.
    Ours,
    Recipient,
    Letter,
}

enum Encryption {
    None,
    /// By STARTTLS, where it is offered.
    Offered(TlsParameters),
    /// By STARTTLS, always.
    Required(TlsParameters),
    /// From the first byte.
    Whole(TlsParameters),
}

pub(super) struct Server {
    host: String,
    port: u16,
    encryption: Encryption,
    hello: ClientId,
    credentials: Option<Credentials>,
    idle: Mutex<Vec<(Instant, AsyncSmtpConnection)>>,
}

impl Server {
    /// At `smtp[s]://[USER:PASSWORD@]HOST[:PORT][/OUR-NAME][?tls=required|opportunistic]`, as lettre reads it.
    pub(super) fn at(address: &str) -> Result<Self, Error> {
        // Says what is wrong with an address; what follows reads one that is right.
        AsyncSmtpTransport::<Tokio1Executor>::from_url(address)?;
        let url = Url::parse(address).unwrap_or_else(|_| unreachable!("lettre has read it"));
        let host = url.host_str().unwrap_or_default().to_owned();
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let parameters = || TlsParameters::new(host.clone());
        let (port, encryption) = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) => (465, Encryption::Whole(parameters()?)),
            (_, None) => (25, Encryption::None),
            (_, Some("opportunistic")) => (587, Encryption::Offered(parameters()?)),
            (_, Some(_)) => (587, Encryption::Required(parameters()?)),
        };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let name = url.path().trim_matches('/');
        Ok(Self {
            port: url.port().unwrap_or(port),
            encryption,
            hello: if name.is_empty() { ClientId::default() } else { ClientId::Domain(name.to_owned()) },
            credentials: url
                .password()
                .map(|password| Credentials::new(decoded(url.username()), decoded(password))),
            host,
            idle: Mutex::default(),
        })
    }

    /// Sends a letter. Dropped in between, its connection is closed and never used again.
    pub(super) async fn send(&self, letter: &Message) -> Result<(), Refusal> {
        let mut connection = match self.kept().await {
            Some(connection) => connection,
            None => in_time(STEP, self.connect()).await.map_err(|error| error.refusal(Step::Ours))?,
        };
        let sent = dialogue(&mut connection, letter).await;
        match sent {
            Ok(()) => self.keep(connection),
            Err((_, Failure::Time(_))) => {}
            Err(_) => {
                let _ = tokio::time::timeout(SHORT, connection.abort()).await;
            }
        }
        sent.map_err(|(step, error)| error.refusal(step))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let at = (self.host.as_str(), self.port);
        let whole = match &self.encryption {
            Encryption::Whole(parameters) => Some(parameters.clone()),
            _ => None,
        };
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(at, Some(STEP), &self.hello, whole, None).await?;
        match &self.encryption {
            Encryption::Offered(parameters) if connection.can_starttls() => {
                connection.starttls(parameters.clone(), &self.hello).await?;
            }
            // It fails where it is not offered.
            Encryption::Required(parameters) => connection.starttls(parameters.clone(), &self.hello).await?,
            _ => {}
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await?;
        }
        Ok(connection)
    }

    /// A connection that ended its last letter well and still stands.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let (since, mut connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let stands = tokio::time::timeout(SHORT, connection.test_connected());
            if since.elapsed() < IDLE && stands.await.unwrap_or(false) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push((Instant::now(), connection));
        }
    }
}

async fn dialogue(connection: &mut AsyncSmtpConnection, letter: &Message) -> Result<(), (Step, Failure)> {
    let (envelope, bytes) = (letter.envelope(), letter.formatted());
    let mut parameters = Vec::new();
    if !bytes.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    if envelope.from().into_iter().chain(envelope.to()).any(|address| !address.to_string().is_ascii()) {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            let error = "the mail server takes no addresses with letters beyond ASCII".to_owned();
            return Err((Step::Recipient, Failure::Never(error)));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let from = Mail::new(envelope.from().cloned(), parameters);
    step(Step::Ours, STEP, connection.command(from)).await?;
    for to in envelope.to() {
        step(Step::Recipient, STEP, connection.command(Rcpt::new(to.clone(), Vec::new()))).await?;
    }
    step(Step::Ours, STEP, connection.command(Data)).await?;
    step(Step::Letter, TAKEN, connection.message(&bytes)).await
}

async fn step(
    step: Step,
    time: Duration,
    command: impl Future<Output = Result<Response, Error>>,
) -> Result<(), (Step, Failure)> {
    in_time(time, command).await.map(|_| ()).map_err(|failure| (step, failure))
}

/// What became of a step.
#[derive(Debug)]
enum Failure {
    Server(Error),
    Time(Duration),
    Never(String),
}

async fn in_time<T>(time: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match tokio::time::timeout(time, work).await {
        Ok(done) => done.map_err(Failure::Server),
        Err(_) => Err(Failure::Time(time)),
    }
}

impl Failure {
    fn refusal(self, step: Step) -> Refusal {
        match self {
            Self::Never(why) => Refusal::Letter(why),
            Self::Time(time) => {
                Refusal::Other(format!("the mail server did not answer within {} s", time.as_secs()))
            }
            Self::Server(error) => {
                let said = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                let code = error.status().map(u16::from).unwrap_or_default();
                let ours = step == Step::Ours || !error.is_permanent() || of_ours(step, code, &said);
                let text = error.to_string();
                if ours { Refusal::Other(text) } else { Refusal::Letter(text) }
            }
        }
    }
}

/// Whether an answer to recipient or letter is about us all the same: servers put off what they have against a client or
/// sender until the recipient is named. RFC 3463: X.1.7 and X.1.8 the sender's address, X.7.x what is allowed; of a
/// letter X.7.1 is its content.
fn of_ours(step: Step, code: u16, said: &str) -> bool {
    // Wants a password, does not like it, or the order of commands.
    if matches!(code, 421 | 500..=504 | 521 | 530 | 534 | 535 | 538) {
        return true;
    }
    let enhanced = said.split_whitespace().next().unwrap_or_default();
    let mut parts = enhanced.split('.').map(str::parse::<u16>);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(_)), Some(Ok(1)), Some(Ok(7 | 8))) => true,
        (Some(Ok(_)), Some(Ok(7)), Some(Ok(detail))) => step == Step::Recipient || detail != 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_us_is_told_from_what_is_said_of_a_letter() {
        for (step, code, said, ours) in [
            (Step::Recipient, 550, "no such mailbox", false),
            (Step::Recipient, 550, "5.1.1 User unknown", false),
            (Step::Recipient, 552, "5.2.2 Mailbox full", false),
            (Step::Recipient, 554, "5.7.1 Relay access denied", true),
            (Step::Recipient, 530, "5.7.0 Authentication required", true),
            (Step::Recipient, 550, "5.1.8 Sender address rejected: domain not found", true),
            (Step::Letter, 550, "5.7.1 This looks like spam", false),
            (Step::Letter, 554, "5.7.26 Unauthenticated sender", true),
            (Step::Letter, 552, "5.3.4 Message too big", false),
            (Step::Letter, 521, "goodbye", true),
        ] {
            assert_eq!(of_ours(step, code, said), ours, "{code} {said}");
        }
    }

    #[test]
    fn an_address_says_where_and_how() {
        let server = Server::at("smtps://news%40council.example:p%2Bw@mail.example").unwrap();
        assert_eq!((server.host.as_str(), server.port), ("mail.example", 465));
        let wanted = Credentials::new("news@council.example".to_owned(), "p+w".to_owned());
        assert!(server.credentials == Some(wanted) && matches!(server.encryption, Encryption::Whole(_)));
        let server = Server::at("smtp://127.0.0.1:2525").unwrap();
        assert!(server.port == 2525 && server.credentials.is_none());
        assert!(matches!(Server::at("smtp://h?tls=required").unwrap().encryption, Encryption::Required(_)));
        assert!(Server::at("http://mail.example").is_err());
    }
}
