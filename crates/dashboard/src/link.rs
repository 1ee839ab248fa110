//! Links of dashboards, panels and values.

/// Where a click leads. The address has its variables not filled in; who shows it decides which schemes it trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// What is shown.
    pub title: String,
    /// Shown on hovering.
    pub tooltip: String,
    /// The address; empty for a list of dashboards.
    pub url: String,
    /// Of a dashboard's links: those with these tags, in place of an address.
    pub tags: Option<Vec<String>>,
    /// Whether the list of dashboards folds.
    pub dropdown: bool,
    /// Whether it opens beside this page.
    pub new_tab: bool,
    /// Whether the time goes with it.
    pub keep_time: bool,
    /// Whether the variables go with it.
    pub keep_variables: bool,
}
