//! Configuration: command line, else `COUNCILSENSE_<OPTION>`, else the file of `--config`, else the default.
//!
//! Nothing else in the project reads the environment, but for where `lib/pg` looks for programs. Secrets are shown redacted,
//! those in addresses too, and not repeated where they are refused.

mod check;
mod command;
mod edge;
mod embedder;
mod file;
mod providers;
mod values;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser};

use file::{config_file, each_option, with_file, with_variable};

pub(crate) use file::toml_error;
pub(crate) use providers::own_names;

pub use command::{
    BusVerb, CityVerb, Command, DlqVerb, EvalWhat, RoleVerb, SessionsVerb, SourceVerb, TenantVerb,
};
pub use edge::EdgeSettings;
pub use embedder::{EmbedderKind, EmbedderSettings};
pub use values::{BusKind, LogFormat, Redacted, SearchEngine, SecretUrl, ServiceAddress};

/// How long a queue of SQS is waited on; at most 20 s.
const LONG_POLL: std::time::Duration = std::time::Duration::from_secs(10);

/// Follow your council; check every claim.
#[derive(Debug, Parser)]
#[command(name = "councilsense", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub settings: Settings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// A TOML file with these options, as option-name = "value"
    #[arg(long, global = true, env = "COUNCILSENSE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where everything is kept
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_DATA_DIR",
        value_name = "DIR",
        default_value = "./.councilsense"
    )]
    pub data_dir: PathBuf,
    /// The key that signs calls between roles, instead of the data directory's: a PKCS#8 PEM file, the same for every role
    #[arg(long, global = true, env = "COUNCILSENSE_INTERNAL_KEY_FILE", value_name = "FILE")]
    pub internal_key_file: Option<PathBuf>,
    /// A Postgres to use instead of the private one; for `migrate` it needs CREATEROLE
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<SecretUrl>,
    /// Where the web page and GraphQL are served
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_HTTP",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub http: SocketAddr,
    /// Where gRPC is served
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_GRPC",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051"
    )]
    pub grpc: SocketAddr,
    /// Where the development identity provider is served
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_IDP",
        value_name = "ADDR",
        default_value = "127.0.0.1:8081"
    )]
    pub idp: SocketAddr,
    /// Where Prometheus finds this process's metrics; without it, with the page where sign-in is for development, else nowhere
    #[arg(long, global = true, env = "COUNCILSENSE_METRICS", value_name = "ADDR")]
    pub metrics: Option<SocketAddr>,
    /// The address people use, where it is not that of --http; several where host names lead to tenants, the main one first
    #[arg(long, global = true, env = "COUNCILSENSE_PUBLIC_URL", value_name = "URL", value_delimiter = ',')]
    pub public_url: Vec<url::Url>,
    /// An OpenID provider to use instead of the development one: its issuer
    #[arg(long, global = true, env = "COUNCILSENSE_OIDC_ISSUER", value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// The client id at that provider
    #[arg(long, global = true, env = "COUNCILSENSE_OIDC_CLIENT_ID", value_name = "ID")]
    pub oidc_client_id: Option<String>,
    /// The client secret at that provider
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_OIDC_CLIENT_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub oidc_client_secret: Option<Redacted>,
    /// The claim of that provider that lists a person's roles
    #[arg(long, global = true, env = "COUNCILSENSE_OIDC_ROLES_CLAIM", value_name = "CLAIM")]
    pub oidc_roles_claim: Option<String>,
    /// Identity providers of the file, in its order
    #[arg(skip)]
    pub providers: Vec<bff::ProviderConfig>,
    /// A Redis 7 that keeps sessions, for several replicas of the BFF; without it Postgres does
    #[arg(long, global = true, env = "REDIS_URL", value_name = "URL", hide_env_values = true)]
    pub redis_url: Option<Redacted>,
    /// Keys that seal sessions instead of the data directory's: ID=BASE64,… The first seals, all of them open; ID=retired ends
    /// what that one sealed
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_SESSION_KEYS",
        value_name = "LIST",
        value_delimiter = ',',
        hide_env_values = true
    )]
    pub session_keys: Vec<Redacted>,
    /// Where each role that runs elsewhere is: accounts=http://HOST:PORT,meetings=…
    #[arg(long, global = true, env = "COUNCILSENSE_SERVICES", value_name = "LIST", value_delimiter = ',')]
    pub services: Vec<ServiceAddress>,
    /// What searches: the engine inside this program, or an OpenSearch
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_SEARCH_ENGINE",
        value_name = "ENGINE",
        default_value = "embedded"
    )]
    pub search_engine: SearchEngine,
    /// Where that OpenSearch is; a name and password in it are used
    #[arg(
        long,
        global = true,
        env = "OPENSEARCH_URL",
        value_name = "URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9200"
    )]
    pub opensearch_url: SecretUrl,
    /// What the names of its indexes begin with
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_OPENSEARCH_PREFIX",
        value_name = "NAME",
        default_value = "councilsense"
    )]
    pub opensearch_prefix: String,
    /// What carries facts between services: postgres, or sns for SNS and SQS
    #[arg(long, global = true, env = "COUNCILSENSE_BUS", value_name = "BUS", default_value = "postgres")]
    pub bus: BusKind,
    /// What the names of topic and queues begin with
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_BUS_PREFIX",
        value_name = "NAME",
        default_value = "councilsense"
    )]
    pub bus_prefix: String,
    /// The topic, where these credentials may not look it up by its name
    #[arg(long, global = true, env = "COUNCILSENSE_BUS_TOPIC_ARN", value_name = "ARN")]
    pub bus_topic_arn: Option<String>,
    /// Another SNS and SQS than Amazon's; region and credentials are the usual AWS_* settings
    #[arg(long, global = true, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    pub aws_endpoint_url: Option<url::Url>,
    /// Serve only; leave jobs and consumers to other replicas
    #[arg(long, global = true, env = "COUNCILSENSE_NO_WORKERS")]
    pub no_workers: bool,
    /// Largest document that is taken, in megabytes
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_MAX_ARTIFACT_MB",
        value_name = "MB",
        default_value_t = 100
    )]
    pub max_artifact_mb: u64,
    /// At this evidence coverage rate and above a summary passes the gate
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_GATE_PASS_ECR",
        value_name = "RATE",
        default_value_t = 0.85
    )]
    pub gate_pass_ecr: f64,
    /// Below this evidence coverage rate a summary is rejected
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_GATE_REJECT_ECR",
        value_name = "RATE",
        default_value_t = 0.5
    )]
    pub gate_reject_ecr: f64,
    /// The mail server for notifications: smtps://USER:PASSWORD@HOST, or smtp://HOST:PORT; without it none are mailed
    #[arg(long, global = true, env = "COUNCILSENSE_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<Redacted>,
    /// Whom those e-mails come from: name@host, or NAME <name@host>
    #[arg(long, global = true, env = "COUNCILSENSE_MAIL_FROM", value_name = "MAILBOX")]
    pub mail_from: Option<String>,
    /// Whom a push service may write to about our pushes: mailto:name@host, or an https address; else the public one
    #[arg(long, global = true, env = "COUNCILSENSE_PUSH_CONTACT", value_name = "URL")]
    pub push_contact: Option<String>,
    /// How many days it is kept what people were told: what stands in inboxes longer is forgotten
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_KEEP_NOTIFICATIONS",
        value_name = "DAYS",
        default_value_t = notifications::retention::KEEP_DAYS,
        value_parser = clap::value_parser!(u32).range(i64::from(notifications::retention::LEAST_DAYS)..=36_500)
    )]
    pub keep_notifications: u32,
    /// For development: webhooks and push endpoints may lie on this machine, and be plain http
    #[arg(long, global = true, env = "COUNCILSENSE_ALLOW_LOOPBACK_RECEIVERS")]
    pub allow_loopback_receivers: bool,
    /// What makes the search's vectors
    #[command(flatten)]
    pub embedder: EmbedderSettings,
    /// The edge, and authorisation.
    #[command(flatten)]
    pub edge: EdgeSettings,
    /// How logs are written; auto: for people on a terminal, else JSON
    #[arg(
        long,
        global = true,
        env = "COUNCILSENSE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "auto"
    )]
    pub log_format: LogFormat,
    /// Which logs, as in tracing's filters [default: info, and warn for an operator's commands]
    #[arg(long, global = true, env = "COUNCILSENSE_LOG", value_name = "FILTER")]
    pub log: Option<String>,
    /// The tenant an operator's command works in
    #[arg(long, global = true, env = "COUNCILSENSE_TENANT", value_name = "SLUG", default_value = "default")]
    pub tenant: String,
    /// Machine-readable output
    #[arg(long, global = true)]
    pub json: bool,
}

impl Settings {
    /// The addresses people use, the main one first; `here` where none is configured.
    pub fn public_urls(&self, here: &str) -> Result<Vec<url::Url>, url::ParseError> {
        match self.public_url.as_slice() {
            [] => Ok(vec![here.parse()?]),
            several => Ok(several.to_vec()),
        }
    }

    /// How notifications are sent.
    pub fn notify(&self) -> notifications::Settings {
        // Links lead to the web page; where nobody says under which name, to its listener.
        let here = format!("http://{}/", self.http).parse().ok();
        notifications::Settings {
            public_url: self.public_url.first().cloned().or(here),
            smtp_url: self.smtp_url.as_ref().map(|url| url.expose().to_owned()),
            mail_from: self.mail_from.clone(),
            push_contact: self.push_contact.clone(),
            allow_loopback: self.allow_loopback_receivers,
            keep_days: Some(self.keep_notifications),
        }
    }

    /// How to reach SNS and SQS, where they are the bus.
    pub fn sns(&self) -> Option<cs_events::SnsOptions> {
        (self.bus == BusKind::Sns).then(|| cs_events::SnsOptions {
            endpoint: self.aws_endpoint_url.clone(),
            prefix: self.bus_prefix.clone(),
            topic_arn: self.bus_topic_arn.clone(),
            wait: LONG_POLL,
        })
    }
}

/// Parses the command line over the environment over the file.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let args: Vec<OsString> = args.into_iter().collect();
    let mut command = each_option(Cli::command(), &mut with_variable);
    let mut providers = Vec::new();
    if let Some(path) = config_file(&args) {
        (command, providers) = with_file(command, &path)?;
    }
    let matches = command.try_get_matches_from(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.settings.providers = providers;
    if cli.settings.redis_url.is_none() {
        cli.settings.redis_url = environment("COUNCILSENSE_REDIS_URL").as_deref().map(Redacted::from);
    }
    check::check(&cli.command, &cli.settings)?;
    if cli.settings.no_workers && matches!(cli.command, Command::Up { .. }) {
        return Err(bad(
            "--no-workers: `up` is the only instance of its data directory, so nobody else would do the work; \
             it is for roles that run each for itself, such as `councilsense meetings`"
                .to_owned(),
        ));
    }
    Ok(cli)
}

fn bad(message: String) -> clap::Error {
    Cli::command().error(clap::error::ErrorKind::ValueValidation, message)
}

fn environment(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "this is config.rs")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn parse_line(line: &str) -> Result<Cli, clap::Error> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    /// Parses a command line with a configuration file of this text.
    pub(super) fn parse_with(text: &str, line: &str) -> Result<Cli, clap::Error> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        parse_line(&format!("councilsense --config {} {line}", file.path().display()))
    }

    #[test]
    fn the_file_gives_defaults_and_the_command_line_wins() {
        let text = "http = \"127.0.0.1:1234\"\nmax-artifact-mb = 7\n";
        let cli = parse_with(text, "up").unwrap();
        assert_eq!((cli.settings.http.port(), cli.settings.max_artifact_mb), (1234, 7));
        let cli = parse_with(text, "up --http 127.0.0.1:9").unwrap();
        assert_eq!(cli.settings.http.port(), 9);
        // An option of one command alone.
        let text = "demo = false\nmode = \"keyword\"\n";
        assert!(matches!(parse_with(text, "up").unwrap().command, Command::Up { demo: Some(false) }));
        let cli = parse_with(text, "up --demo true").unwrap();
        assert!(matches!(cli.command, Command::Up { demo: Some(true) }));
    }

    #[test]
    fn variables_and_keys_are_called_as_the_option_is() {
        let command = each_option(Cli::command(), &mut with_variable);
        let below = |command: &clap::Command, name: &str| command.find_subcommand(name).unwrap().clone();
        let variable = |command: &clap::Command, option: &str| {
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(option)).unwrap();
            arg.get_env().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(variable(&command, "smtp-url"), "COUNCILSENSE_SMTP_URL");
        assert_eq!(variable(&below(&below(&command, "dlq"), "list"), "type"), "COUNCILSENSE_TYPE");
        assert_eq!(variable(&below(&below(&command, "tenant"), "ensure"), "host"), "COUNCILSENSE_HOST");
        let Command::Dlq { verb: DlqVerb::List { kind, .. } } =
            parse_with("type = \"meeting.published\"", "dlq list").unwrap().command
        else {
            panic!("another command");
        };
        assert_eq!(kind, "meeting.published");
        assert!(parse_with("kind = \"folder\"", "source add springfield /srv").is_ok(), "its own option");
    }

    #[test]
    fn nothing_secret_is_shown() {
        for (option, url) in [
            ("database-url", "postgres://a:canary@localhost/x?password=canary"),
            ("opensearch-url", "https://a:canary@search.example"),
            ("embedder-url", "https://a:canary@model.example/v1"),
            ("redis-url", "redis://a:canary@cache.example"),
        ] {
            let shown = format!("{:?}", parse_line(&format!("councilsense up --{option} {url}")).unwrap());
            assert!(!shown.contains("canary"), "{shown}");
            // Where one cannot be read, it is not told either.
            let told = parse_line(&format!("councilsense up --{option} {}", url.replace('@', "@[")));
            if option != "redis-url" {
                let told = told.unwrap_err().to_string();
                assert!(told.contains(option) && !told.contains("canary"), "{told}");
            }
        }
        let shown = format!("{:?}", parse_line("councilsense up --oidc-client-secret canary").unwrap());
        assert!(!shown.contains("canary"));
    }

    #[test]
    fn there_may_be_several_public_addresses() {
        let urls = |line: &str| {
            let settings = parse_line(line).unwrap().settings;
            let urls = settings.public_urls("http://127.0.0.1:8080").unwrap();
            (urls.iter().map(ToString::to_string).collect::<Vec<_>>(), settings.notify().public_url())
        };
        let (here, links) = urls("councilsense up");
        assert_eq!(
            (here.as_slice(), links.as_str()),
            (&["http://127.0.0.1:8080/".into()][..], "http://127.0.0.1:8080/")
        );
        let both = ["https://a.example/".to_owned(), "https://b.example/".to_owned()];
        for line in [
            "councilsense bff --public-url https://a.example --public-url https://b.example",
            "councilsense bff --public-url https://a.example,https://b.example",
        ] {
            let (urls, links) = urls(line);
            assert_eq!((urls.as_slice(), links.as_str()), (&both[..], "https://a.example/"), "{line}");
        }
    }
}
