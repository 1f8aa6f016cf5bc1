//! `gritstone install`: puts this program into another container's image.

use super::exit::Exit;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Copy this program and the certificate authorities into a folder
///
/// For an init container, which fills a volume that another container mounts: with that its image, whatever is in it, can run
/// `gritstone work`. The folder then has `gritstone` and `ca-certificates.crt`. Each file is there whole or not at all; those of an earlier run are replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone install /gritstone
  gritstone install /gritstone --ca /etc/company/roots.pem")]
pub(super) struct Install {
    /// The folder; made if it isn't there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The bundle of certificate authorities, in PEM [default: this system's]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// Where systems keep their bundle: Debian and Alpine, Fedora, SUSE, macOS.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

impl Install {
    pub(super) fn run(self) -> Result<(), Exit> {
        let bundle = self.bundle()?;
        let folder = &self.folder;
        fs::create_dir_all(folder).map_err(|error| refused("the folder", folder, "can't be made", &error))?;
        put(&bundle, &folder.join("ca-certificates.crt"), 0o644)?;
        // What runs now, whatever has become of the name that it was started under.
        put(Path::new("/proc/self/exe"), &folder.join("gritstone"), 0o755)?;
        if is_dynamic() {
            tracing::warn!(
                "this gritstone is linked to this system's libraries: the copy runs only where there are the same. The one in \
                 the worker's image is static"
            );
        }
        tracing::info!(folder = %folder.display(), "installed");
        Ok(())
    }

    fn bundle(&self) -> Result<PathBuf, Exit> {
        let named = || std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let systems = || BUNDLES.iter().map(PathBuf::from).find(|bundle| bundle.is_file());
        self.ca.clone().or_else(named).or_else(systems).ok_or_else(|| {
            Exit::Refused(format!(
                "there is no bundle of certificate authorities on this system ({}): name one with --ca",
                BUNDLES.join(", ")
            ))
        })
    }
}

fn refused(what: &str, path: &Path, failed: &str, error: &io::Error) -> Exit {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; give the volume more room",
        io::ErrorKind::ReadOnlyFilesystem => "; mount a volume that can be written to there",
        io::ErrorKind::PermissionDenied => "; let this container's user write there",
        _ => "",
    };
    Exit::Refused(format!("{what} {} {failed}: {error}{advice}", path.display()))
}

/// Puts a copy of a file in place, at once.
fn put(from: &Path, place: &Path, mode: u32) -> Result<(), Exit> {
    let unreadable = |error: io::Error| refused("the file", from, "can't be read", &error);
    let mut source = File::open(from).map_err(unreadable)?;
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    // Another install into the same folder has another number, or is over.
    let unfinished = place.with_file_name(format!(".{name}.{}", std::process::id()));
    let copied = (|| {
        let mut copy = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&unfinished)?;
        io::copy(&mut source, &mut copy)?;
        // Whatever the umask takes away.
        copy.set_permissions(Permissions::from_mode(mode))?;
        copy.sync_all()?;
        fs::rename(&unfinished, place)
    })();
    copied.map_err(|error| {
        let _ = fs::remove_file(&unfinished);
        refused("the file", place, "can't be written", &error)
    })
}

/// Whether this program needs a dynamic linker, which is mapped beside it then.
fn is_dynamic() -> bool {
    fs::read_to_string("/proc/self/maps").is_ok_and(|maps| maps.contains("/ld-linux") || maps.contains("/ld-musl"))
}
