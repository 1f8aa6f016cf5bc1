//! A throwaway Kubernetes API: etcd and kube-apiserver on loopback ports, without nodes, so nothing of it ever runs a pod.
//!
//! [`Cluster`] starts them (about four seconds) and ends them when dropped, or, like the database servers, when this process ends
//! however that ends. `programs` finds the programs: those in the folder that `KUBEBUILDER_ASSETS` names, or what
//! `scripts/install-test-cluster` has built from `tests/cluster/kube` into the user's cache. `credentials` are what the API server
//! is given and what its clients need.

mod api_server;
mod credentials;
mod error;
mod programs;

pub use api_server::Cluster;
pub use error::ClusterError;
pub use programs::helm;

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, ClusterError>;
