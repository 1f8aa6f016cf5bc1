//! The charts: what they make of values, that a real API server takes it, and that what makes no sense is refused with the reason.
//!
//! `values/NAME.yaml` gives `snapshots/NAME.yaml`. After a change that is meant, look at what
//! `GRITSTONE_WRITE_SNAPSHOTS=1 cargo test -p gritstone-tests --test charts` changes in them, and in `kustomize/base`.

mod monitoring;
mod refused;
mod rendered;
mod support;
