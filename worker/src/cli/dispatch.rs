//! `gritstone dispatch`: one dispatcher.

use super::exit::Exit;
use super::{Global, database, manifests, migrate, not_yet, runtime, signals, tasks, title};
use crate::process::{Dispatcher, DispatcherConfig, Stop, follow_parent, supervisor_id, write_settings};
use gritstone_crds::{DispatcherSpec, Spec};
use std::path::PathBuf;

/// Run one dispatcher
///
/// It makes due jobs ready, releases blocked ones, recovers the jobs of dead workers and clears finished ones. Unless its manifest
/// says otherwise it also enqueues the jobs of recurring tasks; those in the files are put into the database first. Any number
/// may run at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone dispatch\n  gritstone dispatch -f dispatcher.yaml")]
pub(super) struct Dispatch {
    /// Manifests with a Dispatcher
    #[arg(short, long, value_name = "FILE|DIR")]
    file: Vec<PathBuf>,
    /// Which Dispatcher, where there are several
    #[arg(long, requires = "file")]
    name: Option<String>,
}

impl Dispatch {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let spec = self.spec()?;
        let tasks = tasks::sources(&self.file)?;
        database::address(global)?;
        title::set("gritstone dispatcher", global);
        // A supervisor has said it already.
        if supervisor_id().is_none() {
            not_yet::warn_of_dispatcher(&spec);
        }
        runtime::block_on(async {
            let store = database::open(global).await?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            // A supervisor has done so already.
            let usable = match spec.migrate && supervisor_id().is_none() {
                true => migrate::bring_up(&store, &stop).await?,
                false => database::wait_until_usable(&store, &stop).await?,
            };
            let config = DispatcherConfig::from(&spec);
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

    fn spec(&self) -> Result<DispatcherSpec, Exit> {
        if self.file.is_empty() {
            return Ok(DispatcherSpec::default());
        }
        let found = manifests::one(&self.file, self.name.as_deref(), "Dispatcher", |spec| match spec {
            Spec::Dispatcher(spec) => Some(spec),
            _ => None,
        });
        found.map(|(_, spec)| spec)
    }
}
