//! Cilium's metrics endpoints on this node and on configured hosts, recognised by the metric families that they show.
//!
//! The port says little: an agent may sit on 9966, and the API server of a cluster mesh, its kvstore and etcd use 9962
//! to 9964 again. So every address is read, a little of it and rarely, and its families decide.

mod config;
mod endpoint;
mod finder;
mod probe;

pub use config::Config;
pub use endpoint::Endpoint;
pub use finder::{Looks, Search, spawn};
