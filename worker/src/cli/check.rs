//! `gritstone check`: what is wrong with manifests, before anything is started or applied.

use super::Global;
use super::exit::Exit;
use super::output::{self, count};
use super::rails::RailsFiles;
use gritstone_crds::{Manifest, Problem, QueueWorkerSpec, duplicate_task_keys, read_path};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Check manifests, without a database
///
/// A line for each problem on stderr: the file, the line, the field, what is wrong and what was probably meant. Documents of
/// other kinds (a Secret, a Deployment) are passed over. A Rails application's own files are checked when --rails, --config or
/// --recurring asks for it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gritstone check worker.yaml\n  gritstone check -f manifests/ --json\n  gritstone check --rails --environment production"
)]
pub(super) struct Check {
    /// Files, or folders of .yaml, .yml and .json files
    #[arg(value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The same, as other subcommands take it
    #[arg(short, long = "file", value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    rails: RailsFiles,
}

impl Check {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let paths: Vec<PathBuf> = self.files.into_iter().chain(self.paths).collect();
        self.rails.check()?;
        if paths.is_empty() && !self.rails.are_meant() {
            return Err(Exit::Usage(
                "name a manifest or a folder of them, as in `gritstone check -f manifests/`, or say --rails".into(),
            ));
        }
        let (mut manifests, mut problems, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
        for path in &paths {
            match read_path(path) {
                Ok(found) => manifests.extend(found),
                Err(found) => problems.extend(found),
            }
        }
        if self.rails.are_meant() {
            match self.rails.look(QueueWorkerSpec::default())? {
                Ok(found) => {
                    manifests.extend(found.application.manifests);
                    warnings = found.application.warnings;
                }
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(duplicate_task_keys(&manifests));
        if global.json {
            output::json(&json!({
                "ok": problems.is_empty() && !manifests.is_empty(),
                "manifests": manifests.iter().map(manifest_shape).collect::<Vec<_>>(),
                "problems": problems.iter().map(problem_shape).collect::<Vec<_>>(),
                "warnings": warnings.iter().map(problem_shape).collect::<Vec<_>>(),
            }))?;
        } else {
            warnings.iter().for_each(|warning| output::note(format!("warning: {warning}")));
            for manifest in &manifests {
                output::line(format!("{}: {} {} is fine", manifest.source, manifest.kind(), manifest.metadata.name))?;
            }
        }
        if problems.is_empty() && !manifests.is_empty() {
            return Ok(());
        }
        if global.json {
            return Err(Exit::Said);
        }
        if problems.is_empty() {
            let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
            return Err(Exit::Refused(format!(
                "there is nothing to check in {}: no document has the apiVersion {}",
                names.join(", "),
                gritstone_crds::API_VERSION
            )));
        }
        let total = count(problems.len() as u64, "problem");
        Err(Exit::Problems(problems.iter().map(ToString::to_string).chain([total]).collect()))
    }
}

fn manifest_shape(manifest: &Manifest) -> Value {
    json!({
        "kind": manifest.kind().as_str(), "name": manifest.metadata.name, "namespace": manifest.metadata.namespace,
        "file": manifest.source.file, "line": manifest.source.line,
    })
}

pub(super) fn problem_shape(problem: &Problem) -> Value {
    json!({
        "file": problem.file, "line": problem.line, "column": problem.column, "path": problem.path, "message": problem.message,
    })
}
