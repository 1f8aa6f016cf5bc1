//! `gritstone dispatch`: one dispatcher.

use super::exit::Exit;
use super::health::HealthOptions;
use super::plan::{Plan, need_database};
use super::rails::RailsFiles;
use super::{Global, database, migrate, runtime, signals, tasks, title};
use crate::health::Health;
use crate::process::{Dispatcher, DispatcherConfig, Stop, follow_parent, supervisor_id, write_settings};
use gritstone_crds::{DispatcherSpec, QueueWorkerSpec, Spec};
use std::path::PathBuf;

/// Run one dispatcher
///
/// It makes due jobs ready, releases blocked ones, recovers the jobs of dead workers and clears finished ones. Unless its manifest
/// says otherwise it also enqueues the jobs of recurring tasks; those in the files are put into the database first. Any number
/// may run at once.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gritstone dispatch\n  gritstone dispatch -f dispatcher.yaml\n  gritstone dispatch --rails"
)]
#[command(group = clap::ArgGroup::new("described").multiple(true).args(["file", "rails", "config", "recurring"]))]
pub(super) struct Dispatch {
    /// Manifests with a Dispatcher
    #[arg(short, long, value_name = "FILE|DIR", conflicts_with_all = ["rails", "config", "recurring"])]
    file: Vec<PathBuf>,
    /// Which Dispatcher, where there are several
    #[arg(long, requires = "described")]
    name: Option<String>,
    #[command(flatten)]
    rails: RailsFiles,
    #[command(flatten)]
    health: HealthOptions,
}

impl Dispatch {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let plan = self.plan()?;
        let spec = self.spec(plan.as_ref())?;
        need_database(&self.rails, global)?;
        database::address(global)?;
        title::set("gritstone dispatcher", global);
        // A supervisor has said it already.
        if supervisor_id().is_none() {
            plan.iter().for_each(Plan::say);
        }
        let tasks = plan.map(|plan| plan.tasks).unwrap_or_default();
        let health = Health::default();
        let _page = self.health.serve(&health)?;
        runtime::block_on(async {
            health.waits("the tables have not been looked at yet");
            health.started();
            let store = database::open(global).await?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            // A supervisor has done so already.
            let usable = match spec.migrate && supervisor_id().is_none() {
                true => migrate::bring_up(&store, &stop, &health).await?,
                false => database::wait_until_usable(&store, &stop, &health).await?,
            };
            let config = DispatcherConfig { health, ..DispatcherConfig::from(&spec) };
            let prepared = usable
                && (supervisor_id().is_some()
                    || write_settings(&store, &config.settings, &stop).await
                        && tasks::put(&store, &tasks, &stop).await?);
            if prepared {
                let dispatcher = Dispatcher::new(store, config).supervised_by(supervisor_id());
                dispatcher.run(&stop).await.map_err(|hook| Exit::Refused(hook.to_string()))?;
            }
            Ok(())
        })
    }

    fn plan(&self) -> Result<Option<Plan>, Exit> {
        self.rails.check()?;
        Ok(match (self.rails.are_meant(), self.file.is_empty()) {
            (true, _) => Some(Plan::of_rails(&self.rails, QueueWorkerSpec::default())?),
            (false, false) => Some(Plan::of_manifests(&self.file)?),
            (false, true) => None,
        })
    }

    fn spec(&self, plan: Option<&Plan>) -> Result<DispatcherSpec, Exit> {
        let Some(plan) = plan else { return Ok(DispatcherSpec::default()) };
        let found = plan.one(self.name.as_deref(), "Dispatcher", |spec| match spec {
            Spec::Dispatcher(spec) => Some(spec.clone()),
            _ => None,
        });
        found.map(|(_, spec)| spec)
    }
}
