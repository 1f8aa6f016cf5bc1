//! Dead workers, on the kubelet's word.
//!
//! A worker that was killed says nothing to the database; its jobs would wait two minutes for its heartbeat to age. The kubelet knows
//! better: when it reports the engine's container as ended, the processes that ran in it are dead, and their jobs are given on at once.
//! `statement` reads its word from a pod (pure), `heard` hears it, `prune` acts on it in the databases of the pod's namespace.
//!
//! What is no proof, and waits for the heartbeat: a pod that is gone, or is to go (a forced deletion deletes no container); a node that
//! is lost, and what others than the kubelet write about its pods (the phase Failed of the pod garbage collector, conditions); a kubelet
//! that can't find a container and makes up its end. Only pods of this cluster and of the namespaces that are looked after, whose rows say so
//! in full: cluster, namespace, name and UID.

mod counted;
mod heard;
mod prune;
mod statement;

pub(crate) use counted::Pruned;
pub(crate) use heard::Deaths;
