//! Guides: how to come here from elsewhere, and how to run and test what is built with it.
//!
//! The [crate's page](crate) teaches the concepts, and each module says what its layers guarantee. These pages start from what you have.
//! All Rust in them is compiled with this crate's tests, that of the peers included, and run where it needs nobody else.
//!
//! | you have | page |
//! |---|---|
//! | tower's own `limit`, `timeout`, `load_shed`, `buffer`, `retry`, `hedge` | [`from_tower`] |
//! | tower-http's `TimeoutLayer`, `InFlightRequestsLayer`, `OnEarlyDropLayer`, and all that stays | [`from_tower_http`] |
//! | tower_governor's rate limits | [`from_tower_governor`] |
//! | tower-resilience's patterns | [`from_tower_resilience`] |
//! | reqwest-middleware and reqwest-retry | [`from_reqwest_middleware`] |
//! | a production service in Go: contexts, I/O, retries, goroutines | [`from_go`] |
//! | the same in operation: queues, shutdown, leak tests, what to watch | [`from_go_operations`] |
//!
//! | you want | page |
//! |---|---|
//! | to run it in Kubernetes | [`kubernetes`] |
//! | to test what you built | [`testing`] |
//! | clippy to ask the same of your own code | [`clippy`] |
//! | to know what the compiler means | [`compiler`] |

#[doc = include_str!("from_tower.md")]
pub mod from_tower {}

#[doc = include_str!("from_tower_http.md")]
pub mod from_tower_http {}

#[doc = include_str!("from_tower_governor.md")]
pub mod from_tower_governor {}

#[doc = include_str!("from_tower_resilience.md")]
pub mod from_tower_resilience {}

#[doc = include_str!("from_reqwest_middleware.md")]
pub mod from_reqwest_middleware {}

#[doc = include_str!("from_go.md")]
pub mod from_go {}

#[doc = include_str!("from_go_operations.md")]
pub mod from_go_operations {}

#[doc = include_str!("kubernetes.md")]
pub mod kubernetes {}

#[doc = include_str!("testing.md")]
pub mod testing {}

#[doc = include_str!("clippy.md")]
#[doc = "\n```toml"]
#[doc = include_str!("clippy.toml")]
#[doc = "```"]
pub mod clippy {}

#[doc = include_str!("compiler.md")]
pub mod compiler {}
