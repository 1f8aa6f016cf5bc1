//! What the jobs of `hash-folder` do; and the Rust in the guides, compiled and run as tests.

pub mod sums;

#[cfg(doctest)]
mod guides {
    #[doc = include_str!("../../../docs/guides/embedding.md")]
    struct Embedding;
    #[doc = include_str!("../../../docs/guides/batches.md")]
    struct Batches;
    #[doc = include_str!("../../../docs/guides/hooks.md")]
    struct Hooks;
    #[doc = include_str!("../../../docs/guides/limits.md")]
    struct Limits;
    #[doc = include_str!("../../../docs/guides/classes.md")]
    struct Classes;
}
