//! Finds PostgreSQL's programs on the machine.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::PgError;

/// The oldest major version that our SQL runs on.
pub(crate) const OLDEST: u32 = 14;

/// An installed PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Installation {
    pub(crate) bin: PathBuf,
    pub(crate) major: u32,
}

/// The installation to use: of a cluster's own major version if there is a cluster (its files can be read by no
/// other), else the newest.
pub(crate) async fn choose(versions: &Path, cluster: Option<u32>) -> Result<Installation, PgError> {
    let mut found = Vec::new();
    for bin in candidates(versions) {
        if let Some(major) = major_of(&bin).await {
            found.push(Installation { bin, major });
        }
    }
    pick(found, cluster)
}

/// The PostgreSQL that [`crate::start`] would run for a data directory: where its programs are, and its major version.
/// Nothing is made or changed.
pub async fn installed(data_dir: &Path) -> Result<(PathBuf, u32), PgError> {
    let keep = data_dir.join("postgres");
    let home = fs::read_to_string(keep.join("place")).map_or(keep, |text| PathBuf::from(text.trim()));
    let cluster = fs::read_to_string(home.join("server/cluster/PG_VERSION")).ok();
    let major = cluster.and_then(|text| text.trim().parse().ok());
    choose(&home.join("versions"), major).await.map(|found| (found.bin, found.major))
}

fn pick(found: Vec<Installation>, cluster: Option<u32>) -> Result<Installation, PgError> {
    let majors: BTreeSet<String> = found.iter().map(|i| i.major.to_string()).collect();
    let fits = |i: &Installation| cluster.map_or(i.major >= OLDEST, |major| i.major == major);
    // The first of equals: what stands on PATH was put there on purpose.
    found.into_iter().filter(fits).rev().max_by_key(|i| i.major).ok_or_else(|| PgError::NotFound {
        wanted: cluster.map_or_else(
            || format!("{OLDEST} or newer"),
            |major| format!("{major}, by which this data directory's database was made,"),
        ),
        found: if majors.is_empty() { "none".to_owned() } else { Vec::from_iter(majors).join(", ") },
    })
}

/// Directories with both programs, in order of preference, each once.
fn candidates(versions: &Path) -> Vec<PathBuf> {
    let mut bins: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    bins.push(PathBuf::from("/usr/local/pgsql/bin"));
    for (parent, prefix) in [
        ("/usr/lib/postgresql", ""),
        ("/usr/libexec", "postgresql"),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql"),
        ("/usr/local/opt", "postgresql"),
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql"),
        ("/Applications/Postgres.app/Contents/Versions", ""),
    ] {
        bins.extend(below(Path::new(parent), prefix));
    }
    bins.extend(below(versions, ""));
    let mut seen = BTreeSet::new();
    // Links are followed: a server finds its libraries beside itself.
    bins.iter()
        .filter(|bin| bin.join("initdb").is_file())
        .filter_map(|bin| bin.join("postgres").canonicalize().ok()?.parent().map(Path::to_owned))
        .filter(|bin| bin.join("initdb").is_file() && seen.insert(bin.clone()))
        .collect()
}

fn below<'a>(parent: &Path, prefix: &'a str) -> impl Iterator<Item = PathBuf> + use<'a> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter(move |e| e.file_name().to_string_lossy().starts_with(prefix)).flat_map(|e| {
        let path = e.path();
        // Alpine and Fedora put the programs beside each other without `bin`.
        [path.join("bin"), path]
    })
}

async fn major_of(bin: &Path) -> Option<u32> {
    let output =
        Command::new(bin.join("postgres")).arg("--version").kill_on_drop(true).output().await.ok()?;
    parse_major(&String::from_utf8_lossy(&output.stdout))
}

/// Reads "postgres (PostgreSQL) 15.18 (Debian …)", also "18beta1".
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split(") ").nth(1)?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installation(bin: &str, major: u32) -> Installation {
        Installation { bin: bin.into(), major }
    }

    #[tokio::test]
    async fn a_data_directory_gets_the_version_that_made_it() {
        let dir = std::env::temp_dir().join(format!("councilsense-find-{}", std::process::id()));
        let cluster = dir.join("postgres/server/cluster");
        fs::create_dir_all(&cluster).unwrap();
        // No machine has this one: the error names the version that made the cluster.
        fs::write(cluster.join("PG_VERSION"), "9\n").unwrap();
        let missing = installed(&dir).await.unwrap_err().to_string();
        fs::remove_dir_all(&dir).unwrap();
        assert!(missing.contains("9, by which this data directory"), "{missing}");
    }

    #[test]
    fn the_version_is_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(parse_major("command not found"), None);
    }

    #[test]
    fn a_new_cluster_gets_the_newest_and_an_old_one_its_own() {
        let all =
            vec![installation("a", 13), installation("b", 16), installation("c", 16), installation("d", 15)];
        assert_eq!(pick(all.clone(), None).unwrap(), installation("b", 16));
        assert_eq!(pick(all.clone(), Some(15)).unwrap(), installation("d", 15));
        let error = pick(all, Some(14)).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 14, by which") && error.contains("found: 13, 15, 16"), "{error}");
        assert!(pick(vec![installation("a", 13)], None).unwrap_err().to_string().contains("14 or newer"));
    }
}
