//! Processes as the database lists them: their heartbeats, their ends, and the ends of others.

use gritstone_store::Buried;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Processes.
#[derive(Clone, Debug)]
pub struct Lives {
    heartbeats: Heartbeats,
    lost: Family<[(&'static str, &'static str); 2], Counter>,
    buried: Counter,
    recovered: Family<[(&'static str, &'static str); 1], Counter>,
}

/// One process, from its registration on. Dropped, it is forgotten.
#[derive(Clone, Debug)]
pub struct Listed(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    kind: &'static str,
    all: Heartbeats,
    last: Mutex<Instant>,
}

#[derive(Clone, Debug, Default)]
struct Heartbeats(Arc<Mutex<Vec<std::sync::Weak<Beats>>>>);

impl Lives {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let lives = Lives {
            heartbeats: Heartbeats::default(),
            lost: Family::default(),
            buried: Counter::default(),
            recovered: Family::default(),
        };
        registry.register_collector(Box::new(lives.heartbeats.clone()));
        let help = "Times that a process here was, or had to be, taken for dead by others";
        registry.register("gritstone_processes_lost", help, lives.lost.clone());
        let help = "Dead processes of others that were taken off the list";
        registry.register("gritstone_buried_processes", help, lives.buried.clone());
        registry.register(
            "gritstone_recovered_jobs",
            "Jobs of dead processes, by what became of them",
            lives.recovered.clone(),
        );
        for outcome in ["release", "interrupt", "fail"] {
            drop(lives.recovered.get_or_create(&[("outcome", outcome)]));
        }
        lives
    }

    /// A process was registered at that moment.
    pub fn began(&self, kind: &'static str, since: Instant) -> Listed {
        for reason in ["row", "contact"] {
            drop(self.lost.get_or_create(&[("kind", kind), ("reason", reason)]));
        }
        let beats = Arc::new(Beats { kind, all: self.heartbeats.clone(), last: Mutex::new(since) });
        self.heartbeats.lock().push(Arc::downgrade(&beats));
        Listed(beats)
    }

    /// A process's life, as others see it, is over; the reason is `row` (someone took it off the list) or `contact` (it could not
    /// write its heartbeat).
    pub fn lost(&self, kind: &'static str, reason: &'static str) {
        self.lost.get_or_create(&[("kind", kind), ("reason", reason)]).inc();
    }

    /// A dead process was taken off the list.
    pub fn buried(&self, buried: &Buried) {
        if buried.process_id.is_some() {
            self.buried.inc();
        }
        let became = [("release", &buried.released), ("interrupt", &buried.interrupted), ("fail", &buried.failed)];
        for (outcome, jobs) in became {
            self.recovered.get_or_create(&[("outcome", outcome)]).inc_by(jobs.len() as u64);
        }
    }
}

impl Listed {
    /// A heartbeat that was begun at that moment has been written.
    pub fn beat(&self, began: Instant) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }
}

impl Drop for Beats {
    fn drop(&mut self) {
        self.all.lock().retain(|beats| beats.strong_count() > 0);
    }
}

impl Heartbeats {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<std::sync::Weak<Beats>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest of each kind.
    fn ages(&self) -> BTreeMap<&'static str, f64> {
        let lives: Vec<Arc<Beats>> = self.lock().iter().filter_map(std::sync::Weak::upgrade).collect();
        let mut ages = BTreeMap::new();
        for beats in lives {
            let age = beats.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed().as_secs_f64();
            let oldest: &mut f64 = ages.entry(beats.kind).or_default();
            *oldest = oldest.max(age);
        }
        ages
    }
}

impl Collector for Heartbeats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let help = "Seconds since the last heartbeat that was written began; the oldest, where there are several processes of a kind.";
        let mut metric =
            encoder.encode_descriptor("gritstone_heartbeat_age_seconds", help, None, ConstGauge::<f64>::TYPE)?;
        for (kind, age) in self.ages() {
            ConstGauge::new(age).encode(metric.encode_family(&[("kind", kind)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, value};
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_oldest_heartbeat_of_a_kind_is_told_while_its_process_lives() {
        let metrics = Metrics::default();
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let old = metrics.lives.began("Worker", ago(50));
        let young = metrics.lives.began("Worker", ago(5));
        let age = || value(&metrics, "gritstone_heartbeat_age_seconds{kind=\"Worker\"}");
        assert!((50.0..100.0).contains(&age().unwrap()));
        old.beat(Instant::now());
        assert!((5.0..50.0).contains(&age().unwrap()));
        drop(young);
        assert!(age().unwrap() < 5.0);
        drop(old);
        assert_eq!(age(), None);
    }

    #[test]
    fn what_became_of_a_dead_processes_jobs_is_counted() {
        let metrics = Metrics::default();
        let buried = Buried {
            process_id: Some(1),
            name: "worker-1".into(),
            released: vec![1],
            interrupted: vec![2, 3],
            failed: vec![],
            signals: false,
            batch_ids: vec![],
        };
        metrics.lives.buried(&buried);
        assert_eq!(value(&metrics, "gritstone_buried_processes_total"), Some(1.0));
        assert_eq!(value(&metrics, "gritstone_recovered_jobs_total{outcome=\"interrupt\"}"), Some(2.0));
    }
}
