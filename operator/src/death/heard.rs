//! Hearing the kubelets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gritstone_store::Buried;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::events::{Event as Told, EventType};
use kube::runtime::watcher::Event;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::prune::prune;
use super::statement::{Ended, ended};
use crate::context::Context;

/// How many deaths are worked on at once.
const AT_ONCE: usize = 4;
/// The pauses between tries while a database doesn't answer: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// After so long the heartbeat has aged, and everybody knows.
const GIVE_UP: Duration = Duration::from_secs(3 * 60);

/// Prunes on the kubelets' word until `stop` is cancelled.
pub(crate) struct Deaths {
    context: Arc<Context>,
    stop: CancellationToken,
    heard: Heard,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

impl Deaths {
    pub(crate) fn new(context: Arc<Context>, stop: CancellationToken) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { context, stop, heard: Heard::default(), tasks: TaskTracker::new(), places }
    }

    /// Takes in what the watch of the pods says.
    pub(crate) fn hear(&mut self, event: &Event<Pod>) {
        if let Some(ended) = self.heard.hear(event, &self.context.settings.cluster_id) {
            let mourning = Mourning { context: self.context.clone(), ended };
            let (places, stop) = (self.places.clone(), self.stop.clone());
            self.tasks.spawn(async move { mourning.run(&places, &stop).await });
        }
    }

    /// Returns once what is being pruned has been.
    pub(crate) async fn end(self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What was heard already.
#[derive(Debug, Default)]
struct Heard {
    /// By the UID of a pod, when its last container ended.
    ends: HashMap<String, Timestamp>,
    /// The pods of the list that is being read. Of those that went while the watch was broken off nothing is told: they are not in it.
    listed: HashSet<String>,
}

impl Heard {
    /// The end of a container that is news. Also of a pod that is gone by now: what its last state says was written while it was there.
    fn hear(&mut self, event: &Event<Pod>, cluster_id: &str) -> Option<Ended> {
        let (pod, is_gone) = match event {
            Event::Apply(pod) | Event::InitApply(pod) => (pod, false),
            Event::Delete(pod) => (pod, true),
            Event::Init => {
                self.listed.clear();
                return None;
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                self.ends.retain(|uid, _| listed.contains(uid));
                return None;
            }
        };
        let uid = pod.metadata.uid.clone()?;
        if matches!(event, Event::InitApply(_)) {
            self.listed.insert(uid.clone());
        }
        let ended = ended(pod, cluster_id).filter(|ended| self.ends.get(&uid) != Some(&ended.finished_at));
        match &ended {
            _ if is_gone => {
                self.ends.remove(&uid);
            }
            Some(ended) => {
                self.ends.insert(uid, ended.finished_at);
            }
            None => {}
        }
        ended
    }
}

/// One death, until all databases of its namespace know of it.
struct Mourning {
    context: Arc<Context>,
    ended: Ended,
}

impl Mourning {
    async fn run(self, places: &Semaphore, stop: &CancellationToken) {
        let (start, mut pause) = (Instant::now(), PAUSES.0);
        loop {
            let Ok(place) = places.acquire().await else { return };
            let is_known = self.tell_databases().await;
            drop(place);
            if is_known || start.elapsed() > GIVE_UP {
                return;
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    /// Whether every database that objects of the pod's namespace name has heard of it, and there is one.
    async fn tell_databases(&self) -> bool {
        let databases = self.context.databases.of(&self.ended.pod.namespace);
        let mut is_known = !databases.is_empty();
        for database in databases {
            let pruned = match &database {
                Ok(store) => prune(store, &self.ended).await.map_err(|error| error.to_string()),
                Err(fault) => Err(fault.to_string()),
            };
            match pruned {
                Ok(buried) => {
                    for buried in &buried {
                        self.tell(buried).await;
                    }
                }
                Err(problem) => {
                    is_known = false;
                    tracing::debug!(problem, pod = self.ended.pod.name, "a database could not be told of a death");
                }
            }
        }
        is_known
    }

    /// Tells people: an Event of the pod, the log, the counters.
    async fn tell(&self, buried: &Buried) {
        let Ended { pod, reason, .. } = &self.ended;
        self.context.instruments.metrics.pruned.count(reason, buried);
        let (again, failed) = (buried.released.len() + buried.interrupted.len(), buried.failed.len());
        tracing::info!(
            namespace = pod.namespace,
            pod = pod.name,
            process = buried.name,
            reason,
            again,
            failed,
            "pruned"
        );
        let how = self.ended.how();
        let event = Told {
            type_: EventType::Warning,
            reason: "WorkerPruned".to_owned(),
            note: Some(format!("{} is dead, since {how}: {again} of its jobs run again, {failed} failed", buried.name)),
            action: "Prune".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.context.events.publish(&event, &self.ended.reference).await {
            tracing::warn!(%error, reason = event.reason, "an Event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(finished_at: Option<&str>) -> Pod {
        let terminated = finished_at.map(|at| json!({"exitCode": 137, "reason": "OOMKilled", "finishedAt": at}));
        let pod = json!({
            "metadata": {"namespace": "shop", "name": "mail-1", "uid": "u-1"},
            "spec": {"containers": [{"name": "gritstone", "env": [{"name": "GRITSTONE_POD_UID"}]}]},
            "status": {"containerStatuses": [{"name": "gritstone", "lastState": {"terminated": terminated}}]},
        });
        serde_json::from_value(pod).expect("a pod")
    }

    #[test]
    fn each_end_is_heard_once_and_that_of_a_pod_that_is_gone_too() {
        let mut heard = Heard::default();
        let mut is_news = |event: Event<Pod>| heard.hear(&event, "here").is_some();
        let (first, second) = (Some("2026-11-25T12:00:30Z"), Some("2026-11-25T12:01:30Z"));
        assert!(!is_news(Event::InitApply(pod(None))));
        assert!(is_news(Event::Apply(pod(first))));
        assert!(!is_news(Event::Apply(pod(first))) && !is_news(Event::InitApply(pod(first))));
        assert!(is_news(Event::Delete(pod(second))));
        assert!(!is_news(Event::Delete(pod(None))), "it is gone, and that is no proof");
    }

    #[test]
    fn a_watch_that_begins_anew_tells_nothing_twice_and_nothing_is_kept_of_pods_that_went_meanwhile() {
        let mut heard = Heard::default();
        let end = Some("2026-11-25T12:00:30Z");
        assert!(heard.hear(&Event::Apply(pod(end)), "here").is_some());
        for is_listed in [true, false] {
            assert!(heard.hear(&Event::Init, "here").is_none());
            if is_listed {
                assert!(heard.hear(&Event::InitApply(pod(end)), "here").is_none());
            }
            assert!(heard.hear(&Event::InitDone, "here").is_none());
            assert_eq!(heard.ends.len(), usize::from(is_listed));
        }
    }
}
