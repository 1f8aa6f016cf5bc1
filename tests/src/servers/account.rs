//! Who servers run as.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use super::{Result, ServerError};

/// An account that every machine has and that owns nothing.
const UNPRIVILEGED: &str = "nobody";

/// Who servers run as: ourselves, unless we are root, whom servers refuse.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Account {
    /// Whoever runs the tests.
    Ourselves,
    /// Root runs the tests, so the servers get an account without rights.
    Unprivileged { user: u32, group: u32 },
}

impl Account {
    pub(super) fn for_servers() -> Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Account::Ourselves);
        }
        let user = User::from_name(UNPRIVILEGED).ok().flatten().ok_or(ServerError::NoAccount(UNPRIVILEGED))?;
        Ok(Account::Unprivileged { user: user.uid.as_raw(), group: user.gid.as_raw() })
    }

    /// The command line that runs `command` as this account. With `orphaned`, the kernel sends it that signal when its parent dies.
    pub(super) fn command(self, orphaned: Option<Signal>, command: &[OsString]) -> Vec<OsString> {
        let mut line: Vec<OsString> = vec!["setpriv".into()];
        if let Account::Unprivileged { user, group } = self {
            line.extend(
                [format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()].map(OsString::from),
            );
        }
        if let Some(signal) = orphaned {
            line.push(format!("--pdeathsig={}", signal.as_str().trim_start_matches("SIG")).into());
        }
        line.push("--".into());
        line.extend_from_slice(command);
        line
    }

    /// Makes a folder this account's.
    pub(super) fn give(self, folder: &Path) -> Result<()> {
        match self {
            Account::Ourselves => Ok(()),
            Account::Unprivileged { user, group } => std::os::unix::fs::chown(folder, Some(user), Some(group))
                .map_err(ServerError::io(format!("giving {} to the account {UNPRIVILEGED}", folder.display()))),
        }
    }

    /// Whether this account can get to `path`; `variable` is what the user would set to have it elsewhere.
    pub(super) fn check_reach(self, path: &Path, what: &'static str, variable: &'static str) -> Result<()> {
        match closed_folder(self, path) {
            Some(path) => Err(ServerError::Unreachable { account: UNPRIVILEGED, what, path, variable }),
            None => Ok(()),
        }
    }
}

/// The first folder on the way to `path` that the account may not enter.
fn closed_folder(account: Account, path: &Path) -> Option<PathBuf> {
    let Account::Unprivileged { user, .. } = account else { return None };
    let mut folders: Vec<&Path> = path.ancestors().collect();
    folders.reverse();
    let closed = |folder: &&&Path| {
        folder.metadata().is_ok_and(|m| {
            let enter = if m.uid() == user { 0o100 } else { 0o001 };
            m.is_dir() && m.permissions().mode() & enter == 0
        })
    };
    folders.iter().find(closed).map(|folder| folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOMEONE: Account = Account::Unprivileged { user: 65_534, group: 65_534 };

    #[test]
    fn root_hands_the_server_over_before_the_death_signal_is_set() {
        let line = SOMEONE.command(Some(Signal::SIGQUIT), &["postgres".into()]);
        assert_eq!(
            line.join(" ".as_ref()),
            "setpriv --reuid=65534 --regid=65534 --clear-groups --pdeathsig=QUIT -- postgres"
        );
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        let open = tempfile::tempdir().unwrap();
        let closed = open.path().join("closed");
        std::fs::create_dir_all(closed.join("inside")).unwrap();
        std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(closed_folder(SOMEONE, &closed.join("inside")), Some(closed.clone()));
        assert_eq!(closed_folder(SOMEONE, open.path()), None);
        assert_eq!(closed_folder(Account::Ourselves, &closed), None);
    }
}
