//! The kinds in a real API server: what it takes and refuses, what it fills in, what kubectl prints.

mod kubectl;
mod manifests;
mod support;
