//! `gritstone dispatch`: one dispatcher.

use super::exit::Exit;
use super::{Global, database, manifests, runtime, signals};
use crate::process::{Dispatcher, DispatcherConfig, Stop, follow_parent, supervisor_id, write_settings};
use gritstone_crds::{DispatcherSpec, Spec};
use std::path::PathBuf;

/// Run one dispatcher
///
/// It makes due jobs ready, releases blocked ones, recovers the jobs of dead workers and clears finished ones. Any number may
/// run at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone dispatch\n  gritstone dispatch -f dispatcher.yaml")]
pub(super) struct Dispatch {
    /// A manifest with one Dispatcher
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Which Dispatcher, where there are several
    #[arg(long, requires = "file")]
    name: Option<String>,
}

impl Dispatch {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let mut specs = Vec::new();
        for manifest in manifests::read(&self.file)? {
            let named = self.name.as_ref().is_none_or(|wanted| *wanted == manifest.metadata.name);
            if let Spec::Dispatcher(spec) = manifest.spec
                && named
            {
                specs.push(spec);
            }
        }
        let spec = match (specs.pop(), specs.is_empty()) {
            (None, _) if self.file.is_empty() => DispatcherSpec::default(),
            (Some(spec), true) => spec,
            (None, _) => return Err(Exit::Usage("the file has no such Dispatcher".into())),
            (Some(_), false) => {
                return Err(Exit::Usage("the file has several Dispatchers: choose one with --name".into()));
            }
        };
        runtime::block_on(async {
            let store = database::open(global)?;
            let stop = Stop::new();
            signals::listen(&stop)?;
            follow_parent(&stop);
            if spec.migrate && supervisor_id().is_none() {
                super::migrate::bring_up(&store, &stop).await?;
            }
            let config = DispatcherConfig::from(&spec);
            if supervisor_id().is_some() || write_settings(&store, &config.settings, &stop).await {
                Dispatcher::new(store, config).supervised_by(supervisor_id()).run(&stop).await;
            }
            Ok(())
        })
    }
}
