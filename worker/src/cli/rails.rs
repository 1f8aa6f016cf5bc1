//! A Rails application's own files, as `--rails`, `--config` and `--recurring` name them.

use super::exit::Exit;
use super::manifests;
use gritstone_crds::solid_queue::{
    self, Application, Environment, File, Origin, QUEUE_FILE, RECURRING_FILE, Recurring, Settings,
};
use gritstone_crds::{Problem, QueueWorkerSpec};
use std::ffi::OsString;
use std::path::PathBuf;

const HEADING: &str = "Solid Queue's own files";

/// Solid Queue's files in place of manifests.
///
/// Nothing is read unless one of the first three is given; then everything else is as in Solid Queue.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct RailsFiles {
    /// Run what the Rails application in the working directory has in config/queue.yml and config/recurring.yml
    #[arg(long, help_heading = HEADING)]
    rails: bool,
    /// The same with another file than config/queue.yml [env: SOLID_QUEUE_CONFIG=]
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    config: Option<PathBuf>,
    /// The same with another file than config/recurring.yml [env: SOLID_QUEUE_RECURRING_SCHEDULE=]
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    recurring: Option<PathBuf>,
    /// Leave recurring tasks alone [env: SOLID_QUEUE_SKIP_RECURRING=]
    #[arg(long, help_heading = HEADING, conflicts_with = "only_recurring")]
    skip_recurring: bool,
    /// Schedule recurring tasks and run no workers [env: SOLID_QUEUE_ONLY_RECURRING=]
    #[arg(long, help_heading = HEADING)]
    only_recurring: bool,
    /// Which part of the files holds; RAILS_ENV, RACK_ENV or development unless given
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    environment: Option<String>,
    /// The time zone of schedules that name none: Rails' config.time_zone, by its IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC", help_heading = HEADING, value_parser = time_zone)]
    time_zone: String,
    /// Under which name the recurring tasks are put; the absolute path of their file unless given
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    owner: Option<String>,
}

fn time_zone(name: &str) -> Result<String, String> {
    gritstone_crds::schedule::check_time_zone(name).map(|()| name.to_owned()).map_err(|error| error.to_string())
}

/// What the files come to.
pub(super) struct Found {
    /// Workers, dispatchers, recurring tasks.
    pub(super) application: Application,
    /// Whether any of the files was there.
    pub(super) has_files: bool,
    /// Which part of the files was taken.
    pub(super) environment: Environment,
    /// Whose the tasks are. None: nobody's, they are not to be touched.
    pub(super) owner: Option<String>,
}

/// A file that is named by an option, by a variable, or by Rails' habit.
struct Named {
    path: PathBuf,
    by_option: bool,
}

impl RailsFiles {
    /// Whether Rails' files are meant at all.
    pub(super) fn are_meant(&self) -> bool {
        self.rails || self.config.is_some() || self.recurring.is_some()
    }

    /// Refuses options that say something about files which nobody asked for.
    pub(super) fn check(&self) -> Result<(), Exit> {
        let options = [
            ("--skip-recurring", self.skip_recurring),
            ("--only-recurring", self.only_recurring),
            ("--environment", self.environment.is_some()),
            ("--owner", self.owner.is_some()),
        ];
        match options.iter().find(|(_, given)| *given && !self.are_meant()) {
            Some((option, _)) => Err(Exit::Usage(format!(
                "{option} says something about Solid Queue's own files: name them with --config and --recurring, or say --rails"
            ))),
            None => Ok(()),
        }
    }

    /// Reads the files. `worker` is what each worker has that `queue.yml` says nothing about.
    pub(super) fn read(&self, worker: QueueWorkerSpec) -> Result<Found, Exit> {
        let read = self.look(worker)?;
        read.map_err(|problems| Exit::Problems(problems.iter().map(ToString::to_string).collect()))
    }

    /// The same with what is wrong with the files one by one.
    pub(super) fn look(&self, worker: QueueWorkerSpec) -> Result<Result<Found, Vec<Problem>>, Exit> {
        let recurring = self.choice()?;
        let environment = Environment::choose(self.environment.as_deref(), &variable);
        let queue = Named::choose(self.config.as_ref(), "SOLID_QUEUE_CONFIG", QUEUE_FILE);
        let tasks = Named::choose(self.recurring.as_ref(), "SOLID_QUEUE_RECURRING_SCHEDULE", RECURRING_FILE);
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let mut file = |named: &Named| match named.read(&mut warnings) {
            Ok(file) => file,
            Err(problem) => {
                problems.push(problem);
                None
            }
        };
        let queue_file = file(&queue);
        let task_file = if recurring == Recurring::Skip { None } else { file(&tasks) };
        if !problems.is_empty() {
            return Ok(Err(problems));
        }
        let owner = match (&self.owner, &task_file) {
            (_, None) => None,
            (Some(owner), Some(_)) => Some(owner.clone()),
            (None, Some(_)) => Some(manifests::absolute(&tasks.path)?),
        };
        let settings = Settings {
            environment: environment.clone(),
            variables: &variable,
            time_zone: self.time_zone.clone(),
            worker,
            recurring,
        };
        let read = solid_queue::read(queue_file.as_ref(), task_file.as_ref(), &settings);
        let mut application = match read {
            Ok(application) => application,
            Err(problems) => return Ok(Err(problems)),
        };
        warnings.append(&mut application.warnings);
        application.warnings = warnings;
        Ok(Ok(Found { application, has_files: queue_file.is_some() || task_file.is_some(), environment, owner }))
    }

    fn choice(&self) -> Result<Recurring, Exit> {
        let skip = self.skip_recurring || !self.only_recurring && flag("SOLID_QUEUE_SKIP_RECURRING");
        let only = self.only_recurring || !self.skip_recurring && flag("SOLID_QUEUE_ONLY_RECURRING");
        match (skip, only) {
            (true, true) => Err(Exit::Usage(
                "SOLID_QUEUE_SKIP_RECURRING and SOLID_QUEUE_ONLY_RECURRING are both set: nothing would be left to run"
                    .into(),
            )),
            (true, false) => Ok(Recurring::Skip),
            (false, true) => Ok(Recurring::Only),
            (false, false) => Ok(Recurring::WithTheRest),
        }
    }

    /// The same again, for the command line of a child.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let flags = [
            ("--rails", self.rails),
            ("--skip-recurring", self.skip_recurring),
            ("--only-recurring", self.only_recurring),
        ];
        arguments.extend(flags.into_iter().filter(|(_, given)| *given).map(|(option, _)| OsString::from(option)));
        for (option, path) in [("--config", &self.config), ("--recurring", &self.recurring)] {
            arguments.extend(path.iter().flat_map(|path| [option.into(), path.as_os_str().to_owned()]));
        }
        for (option, text) in [("--environment", &self.environment), ("--owner", &self.owner)] {
            arguments.extend(text.iter().map(|text| OsString::from(format!("{option}={text}"))));
        }
        arguments.push(format!("--time-zone={}", self.time_zone).into());
        arguments
    }
}

impl Named {
    fn choose(option: Option<&PathBuf>, variable_name: &str, habit: &str) -> Self {
        match option {
            Some(path) => Named { path: path.clone(), by_option: true },
            None => {
                let path = variable(variable_name).filter(|path| !path.is_empty());
                Named { path: path.map_or_else(|| habit.into(), PathBuf::from), by_option: false }
            }
        }
    }

    /// The file. One that isn't there is an error when an option names it, and a warning otherwise, as in Solid Queue.
    fn read(&self, warnings: &mut Vec<Problem>) -> Result<Option<File>, Problem> {
        let is_there = self.path.exists();
        match File::read(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(problem) if is_there || self.by_option => Err(problem),
            Err(problem) => {
                warnings.push(problem);
                Ok(None)
            }
        }
    }
}

/// A variable that is set and can be read.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable as Rails takes it for true or false.
fn flag(name: &str) -> bool {
    let value = variable(name).unwrap_or_default();
    !matches!(value.as_str(), "" | "0" | "f" | "F" | "false" | "FALSE" | "off" | "OFF")
}

impl Found {
    /// Logs which part was taken, and what was left out or is different here.
    pub(super) fn say(&self) {
        let Environment { name, origin } = &self.environment;
        let from = match origin {
            Origin::Option => "--environment",
            Origin::Variable(variable) => variable,
            Origin::Default => "Rails' default, since neither --environment nor RAILS_ENV is given",
        };
        tracing::info!(environment = name, from, "reading Solid Queue's own files");
        for warning in &self.application.warnings {
            tracing::warn!("{warning}");
        }
    }
}
