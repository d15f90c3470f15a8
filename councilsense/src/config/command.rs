//! The commands and their own options.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process on this machine
    Up {
        /// Load the bundled city; true where the data directory is new
        #[arg(long, env = "COUNCILSENSE_DEMO", value_name = "BOOL")]
        demo: Option<bool>,
    },
    /// The role that browsers and phones talk to
    Bff,
    /// People, tenants, roles
    Accounts,
    /// Cities, meetings, documents
    Meetings,
    /// Summaries, claims, evidence
    Summaries,
    /// Follows and what residents are told
    Notifications,
    /// Search; with the embedded engine the indexer runs inside it
    Search,
    /// Fill the index of an OpenSearch, beside roles that search in it
    Indexer,
    /// Bring the database up to date
    Migrate {
        /// Print idempotent SQL for a DBA instead; it holds the roles' passwords
        #[arg(long)]
        print_sql: bool,
    },
    /// Sign a short-lived operator's token, for grpcurl
    Token {
        /// resident, reviewer, operator or owner
        #[arg(long, default_value = "operator")]
        role: cs_core::Role,
    },
    /// Take documents in from a file, a meeting's folder or a folder of such
    Ingest {
        /// The city's slug, as in new-orleans
        #[arg(long)]
        city: String,
        /// Where the documents are
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Cities
    City {
        /// What to do
        #[command(subcommand)]
        verb: CityVerb,
    },
    /// Where cities publish
    Source {
        /// What to do
        #[command(subcommand)]
        verb: SourceVerb,
    },
    /// Scan a city's sources now
    Scan {
        /// Its slug
        city: String,
    },
    /// Take a meeting through the pipeline again
    Rerun {
        /// The meeting's id
        meeting: String,
    },
    /// Runs, newest first
    Runs {
        /// Of a meeting
        #[arg(long)]
        meeting: Option<String>,
        /// In a state, as in failed
        #[arg(long)]
        state: Option<String>,
    },
    /// Make a tenant, or list them
    Tenant {
        /// What to do
        #[command(subcommand)]
        verb: TenantVerb,
    },
    /// Role grants
    Role {
        /// What to do
        #[command(subcommand)]
        verb: RoleVerb,
    },
    /// The sessions of people
    Sessions {
        /// What to do
        #[command(subcommand)]
        verb: SessionsVerb,
    },
    /// What carries facts between services
    Bus {
        /// What to do
        #[command(subcommand)]
        verb: BusVerb,
    },
    /// Dead letters, and sending facts again
    Dlq {
        /// What to do
        #[command(subcommand)]
        verb: DlqVerb,
    },
    /// Build the next version of the search index from meetings and summaries, and take it into use
    Reindex {
        /// The engine to build for; the configured one where left out
        #[arg(long, value_name = "ENGINE")]
        to: Option<super::SearchEngine>,
        /// Build nothing: go back to the version before
        #[arg(long)]
        rollback: bool,
    },
    /// Take a meeting away from readers and out of the index
    Withdraw {
        /// The meeting's id
        meeting: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Say who may see a document and everything drawn from it
    Visibility {
        /// The artifact's id
        artifact: String,
        /// public, member or reviewer
        visibility: cs_core::Visibility,
    },
    /// Measure quality on labelled data, through the code that serves users
    Eval {
        /// What to measure
        #[command(subcommand)]
        what: EvalWhat,
    },
    /// Write the GraphQL schema to standard output
    ExportSchema,
    /// Check the machine and the configuration, and say what to do
    Doctor,
}

impl Command {
    /// Whether it runs until it is stopped.
    pub fn serves(&self) -> bool {
        matches!(
            self,
            Self::Up { .. }
                | Self::Bff
                | Self::Accounts
                | Self::Meetings
                | Self::Summaries
                | Self::Notifications
                | Self::Search
                | Self::Indexer
        )
    }
}

/// `city …`
#[derive(Debug, Subcommand)]
pub enum CityVerb {
    /// Add a city
    Add {
        /// Lower-case words joined by hyphens
        slug: String,
        /// As people call it
        #[arg(long)]
        name: String,
        /// IANA time zone
        #[arg(long, default_value = "UTC")]
        time_zone: String,
        /// BCP 47
        #[arg(long, default_value = "en")]
        language: String,
    },
    /// List cities
    List,
}

/// `source …`
#[derive(Debug, Subcommand)]
pub enum SourceVerb {
    /// Add a source to a city
    Add {
        /// The city's slug
        city: String,
        /// folder
        #[arg(long, default_value = "folder")]
        kind: String,
        /// An absolute path on the machine that runs meetings
        location: String,
        /// How often it is scanned, as in 15m; left out: only when asked
        #[arg(long, default_value = "")]
        schedule: String,
    },
    /// Show how the last scans went
    Check,
}

/// `tenant …`
#[derive(Debug, Subcommand)]
pub enum TenantVerb {
    /// Make a tenant, or change one: a name replaces, hosts are added
    Ensure {
        /// Its slug
        slug: String,
        /// Its name; left out: the one it has, or its slug
        #[arg(long, default_value = "")]
        name: String,
        /// A host name that leads to it, as in news.example.org; may stand several times
        #[arg(long = "host", value_name = "HOST")]
        hosts: Vec<String>,
    },
    /// List tenants
    List,
}

/// `role …`
#[derive(Debug, Subcommand)]
pub enum RoleVerb {
    /// Grant a role to a person
    Grant {
        /// The person's id
        #[arg(long)]
        user: String,
        /// resident, reviewer, operator or owner
        role: String,
    },
    /// Take a grant back; a role that the person's identity provider says stays
    Revoke {
        /// The person's id
        #[arg(long)]
        user: String,
        /// reviewer, operator or owner
        role: String,
    },
}

/// `sessions …`
#[derive(Debug, Subcommand)]
pub enum SessionsVerb {
    /// Show where a person is signed in
    List {
        /// The person's id
        #[arg(long)]
        user: String,
    },
    /// Sign a person out everywhere
    End {
        /// The person's id
        #[arg(long)]
        user: String,
    },
}

/// `dlq …`
#[derive(Debug, Subcommand)]
pub enum DlqVerb {
    /// List dead letters, newest first, 500 at a time
    List {
        /// Of a type, as in meeting.published
        #[arg(long = "type", default_value = "")]
        kind: String,
        /// From where the list before ended, as it said
        #[arg(long, value_name = "CURSOR", default_value = "")]
        after: String,
    },
    /// Show one whole
    Show {
        /// Its id
        id: String,
    },
    /// Send some, all of a type, or all again
    Replay {
        /// Their ids
        #[arg(required_unless_present_any = ["kind", "all"])]
        ids: Vec<String>,
        /// All of a type
        #[arg(long = "type", default_value = "")]
        kind: String,
        /// All
        #[arg(long)]
        all: bool,
    },
    /// Forget some, or all of a type
    Discard {
        /// Their ids
        #[arg(required_unless_present = "kind")]
        ids: Vec<String>,
        /// All of a type
        #[arg(long = "type", default_value = "", conflicts_with = "ids")]
        kind: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Who replayed or discarded what
    History,
    /// Send what was published since a time to a queue again, to rebuild what is made of it
    ReplayOutbox {
        /// RFC 3339, as in 2026-01-31T00:00:00Z; facts are kept 30 days
        #[arg(long)]
        since: String,
        /// Of a type only
        #[arg(long = "type", default_value = "")]
        kind: String,
        /// Whose: meetings, summaries, notifications or search
        #[arg(long, default_value = "search")]
        queue: String,
    },
}

/// `bus …`
#[derive(Debug, Subcommand)]
pub enum BusVerb {
    /// Make or check topic, queues, filters and redrive
    Ensure {
        /// Print what there should be, ready for Terraform, and touch nothing
        #[arg(long)]
        print: bool,
        /// Take types away from queues that this version does not ask for: when no newer one runs
        #[arg(long, conflicts_with = "print")]
        prune: bool,
    },
}

/// `eval …`
#[derive(Debug, Subcommand)]
pub enum EvalWhat {
    /// Search quality on a BEIR folder (corpus.jsonl, queries.jsonl, qrels.tsv)
    Search {
        /// The folder
        dir: PathBuf,
        /// hybrid, keyword or vector
        #[arg(long, default_value = "hybrid")]
        mode: String,
        /// Ignore the queries' filters
        #[arg(long)]
        no_filter: bool,
        /// The engine to measure; the configured one where left out
        #[arg(long, value_name = "ENGINE")]
        engine: Option<super::SearchEngine>,
    },
    /// Evidence and decisions on a folder of documents
    Evidence {
        /// The folder
        dir: PathBuf,
    },
    /// Decisions and votes against structured records: rolls beside minutes, or a legislature's events and matters
    Extraction {
        /// The folder
        dir: PathBuf,
    },
}
