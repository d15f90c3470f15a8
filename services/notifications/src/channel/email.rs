//! E-mail by SMTP: text and HTML side by side, stopped by one click (RFC 2369, RFC 8058).

use async_trait::async_trait;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use url::Url;

use super::smtp::{Refusal, Server};
use super::{Address, Channel, ChannelError, Message, text};
use crate::preferences::EMAIL;

/// The mail server cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// Not an address of a mail server.
    #[error(
        "--smtp-url: {0}. Write smtps://USER:PASSWORD@HOST, or smtp://HOST:25 for a relay on this machine"
    )]
    Url(#[source] lettre::transport::smtp::Error),
    /// Not a mailbox.
    #[error("--mail-from: {0}. Write NAME <name@host>, or name@host")]
    From(#[source] lettre::address::AddressError),
}

/// Sends by one mail server.
pub struct Email {
    server: Server,
    from: Mailbox,
    public: Url,
}

impl Email {
    /// By the server at `smtp`, from the mailbox `from`; links lead to `public`.
    pub fn new(smtp: &str, from: &str, public: &Url) -> Result<Self, EmailError> {
        let server = Server::at(smtp).map_err(EmailError::Url)?;
        Ok(Self { server, from: from.parse().map_err(EmailError::From)?, public: public.clone() })
    }

    fn compose(&self, message: &Message, to: Mailbox) -> Result<lettre::Message, lettre::error::Error> {
        let header =
            |name: &'static str, value: String| HeaderValue::new(HeaderName::new_from_ascii_str(name), value);
        // The same in every try, so that a mail system that drops repeats drops ours.
        let id = format!("<{}@{}>", message.dedupe_key, self.from.email.domain());
        lettre::Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(text::subject(message))
            .date(message.created_at.into())
            .message_id(Some(id))
            .raw_header(header("List-Unsubscribe", format!("<{}>", message.stop.link)))
            .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()))
            .raw_header(header("Auto-Submitted", "auto-generated".to_owned()))
            .raw_header(header("Precedence", "list".to_owned()))
            .multipart(
                MultiPart::alternative()
                    .singlepart(part(ContentType::TEXT_PLAIN, text::plain(&self.public, message)))
                    .singlepart(part(ContentType::TEXT_HTML, text::html(&self.public, message))),
            )
    }
}

fn part(kind: ContentType, body: String) -> SinglePart {
    SinglePart::builder().header(kind).body(body)
}

#[async_trait]
impl Channel for Email {
    fn name(&self) -> &'static str {
        EMAIL
    }

    async fn send(&self, message: &Message) -> Result<(), ChannelError> {
        let Address::Mailbox { name, address } = &message.address else {
            return Err(ChannelError::Permanent("this is no mailbox".to_owned()));
        };
        let permanent = |what: &str| ChannelError::Permanent(what.to_owned());
        let address = address.parse().map_err(|_| permanent("the e-mail address cannot be written to"))?;
        let name = Some(name.clone()).filter(|name| !name.is_empty());
        let mail = self
            .compose(message, Mailbox::new(name, address))
            .map_err(|error| ChannelError::Permanent(error.to_string()))?;
        self.server.send(&mail).await.map_err(|refused| match refused {
            Refusal::Letter(why) => ChannelError::Permanent(why),
            Refusal::Other(why) => ChannelError::Transient(why),
        })
    }
}
