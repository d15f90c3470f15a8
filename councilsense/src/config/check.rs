//! What options are refused for, with advice.

use url::{Host, Url};

use super::{Command, Settings, bad};

pub(super) fn check(command: &Command, settings: &Settings) -> Result<(), clap::Error> {
    let (pass, reject) = (settings.gate_pass_ecr, settings.gate_reject_ecr);
    if !(0.0..=1.0).contains(&pass) || !(0.0..=1.0).contains(&reject) || reject > pass {
        return Err(bad(format!(
            "--gate-reject-ecr {reject} and --gate-pass-ecr {pass} must lie between 0 and 1, the first not above the second"
        )));
    }
    let (asked, most) = (settings.max_artifact_mb, cs_documents::limits::MAX_INPUT_BYTES >> 20);
    if asked == 0 || asked > most {
        return Err(bad(format!("--max-artifact-mb {asked}: documents of 1 to {most} MB can be read")));
    }
    if let Some(wanted) = &settings.log
        && let Err(error) = crate::logging::filter(wanted)
    {
        return Err(bad(format!("--log {wanted:?}: {error}; write it as in info,sqlx=debug")));
    }
    let prefix = &settings.opensearch_prefix;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    if prefix.is_empty() || !prefix.bytes().all(plain) || prefix.starts_with('_') {
        return Err(bad(format!(
            "--opensearch-prefix {prefix:?}: use lower-case letters, digits and underscores, a letter first"
        )));
    }
    let prefix = &settings.bus_prefix;
    if prefix.is_empty()
        || prefix.len() > 60
        || !prefix.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(bad(format!(
            "--bus-prefix {prefix:?}: use up to 60 letters, digits, hyphens and underscores"
        )));
    }
    let tenant = &settings.tenant;
    if tenant.is_empty() || !tenant.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return Err(bad(format!("--tenant {tenant:?}: a slug is lower-case letters, digits and hyphens")));
    }
    // One file may serve every role, and secrets be given to those alone that use them.
    if matches!(command, Command::Up { .. } | Command::Bff) {
        provider(settings)?;
    }
    if matches!(command, Command::Up { .. } | Command::Notifications) {
        mail(settings)?;
    }
    Ok(())
}

/// Options that are of no use without another one, wherever either stands: clap's `requires` does not see the file.
fn provider(settings: &Settings) -> Result<(), clap::Error> {
    for (there, option) in [
        (settings.oidc_client_id.is_some(), "--oidc-client-id"),
        (settings.oidc_client_secret.is_some(), "--oidc-client-secret"),
    ] {
        if settings.oidc_issuer.is_some() && !there {
            return Err(bad(format!("--oidc-issuer needs {option}, as the provider gave it to you")));
        }
    }
    Ok(())
}

/// E-mails carry links, one of them to unsubscribe with a click, which mail programs follow over https only (RFC 8058,
/// section 3.1). Who gets them is not on this machine, unless somebody tries it there, and says so.
fn mail(settings: &Settings) -> Result<(), clap::Error> {
    if settings.smtp_url.is_some() && settings.mail_from.is_none() {
        return Err(bad(notifications::SettingsError::NoSender.to_string()));
    }
    let public = settings.public_url.first();
    let usable = |url: &Url| url.scheme() == "https" || is_loopback(url);
    if settings.smtp_url.is_none() || public.is_some_and(usable) {
        return Ok(());
    }
    let now = public.map_or_else(|| "is not set".to_owned(), |url| format!("is {url}"));
    Err(bad(format!(
        "--smtp-url needs an https --public-url, and it {now}: e-mails link there, and unsubscribing with a click works \
         over https only. Set --public-url https://HOST where people find the page, or --public-url http://{} to try it \
         on this machine",
        settings.http
    )))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{parse_line, parse_with};

    #[test]
    fn what_cannot_be_is_refused_with_advice() {
        assert!(parse_line("councilsense up --gate-pass-ecr 0.2").is_err());
        assert!(parse_line("councilsense up --keep-notifications 90").is_err());
        assert!(
            parse_line("councilsense up --services bogus=http://x:1")
                .unwrap_err()
                .to_string()
                .contains("accounts")
        );
        assert!(parse_line("councilsense up --http nowhere").is_err());
        for (line, advice) in [
            ("councilsense up --no-workers", "councilsense meetings"),
            ("councilsense up --max-artifact-mb 101", "1 to 100 MB"),
            ("councilsense up --max-artifact-mb 0", "1 to 100 MB"),
            ("councilsense up --log sqlx=loud", "info,sqlx=debug"),
        ] {
            let told = parse_line(line).unwrap_err().to_string();
            assert!(told.contains(advice), "{line}: {told}");
        }
        assert!(parse_line("councilsense meetings --no-workers --log info,sqlx=debug").is_ok());
    }

    const MAIL: &str = "--smtp-url smtps://a:canary@mail.example --mail-from news@council.example";

    #[test]
    fn e_mails_link_to_an_address_that_people_have() {
        let cli =
            parse_line(&format!("councilsense up {MAIL} --public-url https://council.example")).unwrap();
        assert!(!format!("{cli:?}").contains("canary"));
        assert!(cli.settings.notify().available().contains(&"email"));
        assert!(parse_line(&format!("councilsense up {MAIL} --public-url http://127.0.0.1:8080")).is_ok());
        for public in ["", " --public-url http://council.example"] {
            for command in ["up", "notifications"] {
                let told =
                    parse_line(&format!("councilsense {command} {MAIL}{public}")).unwrap_err().to_string();
                assert!(told.contains("--public-url https://HOST") && !told.contains("canary"), "{told}");
            }
        }
    }

    #[test]
    fn an_option_finds_its_partner_wherever_it_stands() {
        let from = "mail-from = \"news@council.example\"\npublic-url = \"https://council.example\"";
        assert!(parse_with(from, "up --smtp-url smtp://mail.example").is_ok());
        let told = parse_with("smtp-url = \"smtp://mail.example\"", "up").unwrap_err().to_string();
        assert!(told.contains("--mail-from"), "{told}");
        let id = "oidc-client-id = \"a\"\noidc-client-secret = \"b\"";
        assert!(parse_with(id, "up --oidc-issuer https://id.example").is_ok());
        for (file, line, named) in [
            ("oidc-issuer = \"https://id.example\"", "up", "--oidc-client-id"),
            ("oidc-client-id = \"a\"", "up --oidc-issuer https://id.example", "--oidc-client-secret"),
        ] {
            let told = parse_with(file, line).unwrap_err().to_string();
            assert!(told.contains(named), "{told}");
        }
        let file = "oidc-issuer = \"https://id.example\"\nsmtp-url = \"smtp://mail.example\"";
        for command in ["accounts", "meetings", "migrate", "doctor"] {
            assert!(parse_with(file, command).is_ok(), "{command} uses neither a provider nor e-mail");
        }
    }
}
