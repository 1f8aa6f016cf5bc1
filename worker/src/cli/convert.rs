//! `gritstone convert`: a Rails application's own files as manifests.

use super::exit::Exit;
use super::handler::HandlerOptions;
use super::output;
use super::plan::{ATTEMPTS_OF_RUBY, CRASHES_OF_RUBY};
use super::rails::{Found, RailsFiles};
use super::{Global, check};
use gritstone_crds::QueueWorkerSpec;
use gritstone_crds::kinds::{Handler, ProcessHandler, Retry};
use serde_json::json;

/// Print the manifests that a Rails application's config/queue.yml and config/recurring.yml come to
///
/// Without a database, and changing nothing. What could not be carried over is in comments, and each manifest names the line that it
/// comes from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone convert --environment production > manifests.yaml
  gritstone convert --config config/queue.yml --recurring config/recurring.yml --json
  gritstone convert --http http://127.0.0.1:8080/jobs | kubectl apply -f -")]
pub(super) struct Convert {
    #[command(flatten)]
    rails: RailsFiles,
    #[command(flatten)]
    handler: HandlerOptions,
}

/// What is written where no handler is named: the one of examples/rails, in an application that has a copy of it.
const RUBY: [&str; 5] = ["bin/bundle", "exec", "ruby", "gritstone_rails.rb", "config/environment.rb"];

impl Convert {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let named = self.handler.spec()?;
        let is_ruby = named.is_none();
        let command = RUBY.map(str::to_owned).to_vec();
        let ruby = || Handler { process: Some(ProcessHandler { command, recycle_after: None }), ..Handler::default() };
        let handler = named.unwrap_or_else(ruby);
        let retry = match handler.process {
            Some(_) => Retry { attempts: ATTEMPTS_OF_RUBY, crashes: Some(CRASHES_OF_RUBY), ..Retry::default() },
            None => Retry::default(),
        };
        let worker = QueueWorkerSpec { handler: Some(handler), retry, ..QueueWorkerSpec::default() };
        let Found { application, environment, has_files, .. } = self.rails.read(worker)?;
        if !has_files {
            let warnings = application.warnings.iter().map(ToString::to_string);
            let hint = "there is nothing to convert: name the files with --config and --recurring".to_owned();
            return Err(Exit::Problems(warnings.chain([hint]).collect()));
        }
        if global.json {
            return output::json(&json!({
                "environment": environment.name,
                "manifests": application.manifests,
                "warnings": application.warnings.iter().map(check::problem_shape).collect::<Vec<_>>(),
            }));
        }
        let mut head = format!("Solid Queue's files as manifests, for the environment {}.\n", environment.name);
        head +=
            "On Kubernetes each needs its database: `database: {secretRef: {name: app-db, key: uri}}` in its spec.\n";
        if is_ruby {
            head += "The handler is examples/rails/gritstone_rails.rb of Gritstone; another is named by --process, --command or --http.\n";
        }
        if !application.variables.is_empty() {
            head += &format!("Values as they are here and now: {}.\n", application.variables.join(", "));
        }
        output::line(application.to_yaml(&head).trim_end())
    }
}
