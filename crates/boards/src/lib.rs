//! Where dashboards live, and how they come in and out.
//!
//! In: the bytes of dashboards as people have them, from an upload, from a folder that is followed, or from the program
//! itself. Out: each by its uid, as [`dashboard`] reads it, with the report of what is not carried, and the bytes as they
//! came. Never: a query, a page, a change of the bytes, a wrong body (each is known by its hash).
//!
//! - `bodies` keeps the bytes: a file for each different body, named by its SHA-256, written and synced before anything
//!   speaks of it.
//! - `entry` is what the index says of a dashboard: title, folder, tags, versions, where it came from. The index lies in
//!   the catalog, reached by [`model::KeyValue`].
//! - `offer` reads what somebody wants to keep: its uid, its inputs, what it loses.
//! - `shelf` is all of it together; `list` finds things in it, `follow` keeps it equal to files: those of a folder, and of
//!   those that Grafana's provisioning files name (`places`, `provider`).
//! - `builtin` are the dashboards inside the program.
//!
//! A body is on the disk before the index names it, and the index is on the disk before a change is acknowledged. A body
//! that nothing names is left of a change that was not acknowledged, and goes at the next start.

mod bodies;
mod builtin;
mod entry;
mod error;
mod export;
mod follow;
mod list;
mod metrics;
mod offer;
mod places;
mod provider;
mod shelf;

pub use entry::{Origin, Version};
pub use error::Error;
pub use export::export;
pub use follow::{FileProblem, Look};
pub use list::{Filter, Listed, Sort};
pub use offer::{FOLDER_CHARS_MAX, Input, InputKind, Inputs, UID_CHARS_MAX};
pub use places::files;
pub use shelf::{
    BOARDS_MAX, BODIES_BYTES_MAX, Existing, Held, Outcome, Preview, Shelf, Status, Unnamed, VERSIONS_MAX, Wish,
};

/// The part of an address that tells people what is behind it: letters and digits of the title with dashes between.
pub fn slug(title: &str) -> String {
    let mut slug = String::with_capacity(title.len());
    for char in title.chars().flat_map(char::to_lowercase) {
        if char.is_alphanumeric() {
            slug.push(char);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}
