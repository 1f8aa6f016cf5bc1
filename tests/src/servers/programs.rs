//! Where the servers' programs are.

use std::env;
use std::path::{Path, PathBuf};

use super::{Result, Server, ServerError};

/// Where distributions put servers, beside what is on the PATH (which often lacks them for users other than root).
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// A program on the PATH or where distributions put servers.
pub(super) fn on_path(server: Server, program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SYSTEM_FOLDERS.map(PathBuf::from));
    in_folders(folders, program).ok_or_else(|| ServerError::NotInstalled {
        server,
        program: program.to_owned(),
        searched: format!("PATH, {}", SYSTEM_FOLDERS.join(", ")),
    })
}

/// The first of the folders' programs of that name.
pub(crate) fn in_folders(folders: impl IntoIterator<Item = PathBuf>, program: &str) -> Option<PathBuf> {
    folders.into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The entries of a folder whose names fit, sorted; none if it can't be read.
pub(super) fn entries(folder: &Path, fits: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter(|e| e.file_name().to_str().is_some_and(&fits)).map(|e| e.path()).collect();
    found.sort();
    found
}

/// Where `scripts/install-test-servers` may have put what Debian has no package for.
pub(crate) fn caches() -> Vec<PathBuf> {
    let own = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let system = Some(PathBuf::from("/var/cache"));
    [own, system, home].into_iter().flatten().map(|cache| cache.join("gritstone")).collect()
}
