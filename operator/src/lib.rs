//! The operator of Gritstone.
//!
//! [`autoscale`] decides how many workers there should be: pure, so far beside nothing else.

pub mod autoscale;
