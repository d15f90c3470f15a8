//! How this installation sends.

use std::sync::Arc;

use chrono::TimeDelta;
use cs_net::{Guarded, NetError, Trust};
use url::Url;

use crate::channel::{Channel, Email, EmailError, Push, PushError, Webhooks};
use crate::preferences::{CHANNELS, EMAIL};
use crate::retention::KEEP_DAYS;
use crate::{Deps, Sender};

/// How this installation sends. Whether e-mail is sent depends on a mail server; pushes and webhooks need nothing.
#[derive(Clone, Default)]
pub struct Settings {
    /// Where people find the web page: links lead there. `None`: on this machine.
    pub public_url: Option<Url>,
    /// The mail server: `smtps://USER:PASSWORD@HOST` or `smtp://HOST:PORT`.
    pub smtp_url: Option<String>,
    /// Whom e-mails come from.
    pub mail_from: Option<String>,
    /// Whom a push service may write to: a `mailto:` or `https:` address. `None`: the web page.
    pub push_contact: Option<String>,
    /// Whether push endpoints and webhooks may lie on this machine, and be reached by http. For development only.
    pub allow_loopback: bool,
    /// How many days it is kept what people were told. `None`: [`crate::retention::KEEP_DAYS`].
    pub keep_days: Option<u32>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("public_url", &self.public_url.as_ref().map(Url::as_str))
            .field("smtp_url", &self.smtp_url.as_ref().map(|_| "redacted"))
            .field("mail_from", &self.mail_from)
            .field("push_contact", &self.push_contact)
            .field("allow_loopback", &self.allow_loopback)
            .field("keep_days", &self.keep_days)
            .finish()
    }
}

/// The installation cannot send as configured.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// E-mail.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// Web push.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The client for other people's addresses.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A mail server without a sender.
    #[error("--smtp-url needs --mail-from: whom the e-mails come from")]
    NoSender,
}

impl Settings {
    /// Which addresses of other people's may be reached.
    pub fn trust(&self) -> Trust {
        if self.allow_loopback { Trust::Loopback } else { Trust::Public }
    }

    /// The channels that can be chosen.
    pub fn available(&self) -> Vec<&'static str> {
        CHANNELS.into_iter().filter(|name| *name != EMAIL || self.smtp_url.is_some()).collect()
    }

    /// How long it is kept what people were told.
    pub fn kept(&self) -> TimeDelta {
        TimeDelta::days(self.keep_days.unwrap_or(KEEP_DAYS).into())
    }

    /// Where links lead.
    pub fn public_url(&self) -> Url {
        self.public_url.clone().unwrap_or_else(|| {
            Url::parse("http://127.0.0.1:8080/").unwrap_or_else(|_| unreachable!("this is an address"))
        })
    }
}

/// The sender of this service, by every channel that is set up.
pub fn sender(deps: &Deps, settings: &Settings) -> Result<Sender, SettingsError> {
    let net = Guarded::new(deps.trust)?;
    let public = &deps.public_url;
    let contact = settings.push_contact.clone().unwrap_or_else(|| public.to_string());
    let mut channels: Vec<Arc<dyn Channel>> = vec![
        Arc::new(Push::new(net.clone(), &deps.keys, &contact, public)?),
        Arc::new(Webhooks::new(net, &deps.keys, public)),
    ];
    if let Some(smtp) = &settings.smtp_url {
        let from = settings.mail_from.as_deref().ok_or(SettingsError::NoSender)?;
        channels.push(Arc::new(Email::new(smtp, from, public)?));
    }
    Ok(Sender::new(deps, channels))
}
