//! Watching the pods that we made.

use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_objects};
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::death::Deaths;
use crate::{FIELD_MANAGER, MANAGED_BY};

/// Tells [`super::Pods`] and [`Deaths`] of all pods until `stop` is cancelled; what a death has begun then is finished.
pub(crate) async fn watch(context: Arc<Context>, stop: CancellationToken) {
    let running = context.instruments.health.begin(context.scope.name("watch of pods"));
    let ours = watcher::Config::default().labels(&format!("{MANAGED_BY}={FIELD_MANAGER}"));
    let mut events = pin!(watch_objects(context.scope.api::<Pod>(&context.client), ours).default_backoff());
    let mut deaths = Deaths::new(context.clone(), stop.clone());
    while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
        match event {
            Ok(event) => {
                context.pods.hear(&event);
                deaths.hear(&event);
                if matches!(event, Event::InitDone) {
                    running.synced();
                }
            }
            Err(error) => tracing::warn!(%error, "watching pods failed: it goes on"),
        }
    }
    deaths.end().await;
}
