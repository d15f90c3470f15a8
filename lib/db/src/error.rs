//! What a database error means to a use case.

/// A database error, sorted by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is not there, or too busy: try again.
    #[error("the database cannot be reached: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// Two transactions met; the same one may succeed when repeated.
    #[error("two changes met: {0}")]
    Conflict(#[source] sqlx::Error),
    /// A unique constraint, by name.
    #[error("already exists ({constraint})")]
    Unique {
        /// The constraint's name.
        constraint: String,
    },
    /// A check, foreign key or exclusion constraint, or a trigger of ours, refused the row.
    #[error("refused by {rule}: {message}")]
    Refused {
        /// The constraint's name, or the SQLSTATE that a trigger raised.
        rule: String,
        /// The server's sentence.
        message: String,
    },
    /// No space is left where the database keeps its files.
    #[error("the database has no disk space left")]
    StorageFull,
    /// A defect of ours.
    #[error(transparent)]
    Other(sqlx::Error),
}

impl DbError {
    /// Whether the same transaction may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_) | Self::StorageFull)
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        classify(error)
    }
}

/// Sorts a driver's error (SQLSTATE classes of PostgreSQL, appendix A).
pub fn classify(error: sqlx::Error) -> DbError {
    match &error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => DbError::Unavailable(error),
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default().into_owned();
            match code.as_str() {
                "40001" | "40P01" | "55P03" => DbError::Conflict(error),
                "53100" => DbError::StorageFull,
                "23505" => DbError::Unique { constraint: db.constraint().unwrap_or_default().to_owned() },
                // A primary that became a standby takes no changes; a server that ended an idle or long transaction.
                "25006" | "25P03" | "25P04" => DbError::Unavailable(error),
                // 57P0x: the server is going down; 53x00: too many connections or no memory; 08: connection.
                c if c.starts_with("57P") || c.starts_with("53") || c.starts_with("08") || c == "57014" => {
                    DbError::Unavailable(error)
                }
                c if c.starts_with("23") || c.starts_with("CS") || c == "P0001" => DbError::Refused {
                    rule: db.constraint().map_or(code, str::to_owned),
                    message: db.message().to_owned(),
                },
                _ => DbError::Other(error),
            }
        }
        _ => DbError::Other(error),
    }
}
