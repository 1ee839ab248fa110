//! The list of all dashboards.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use boards::{FileProblem, Filter, Listed, Origin, Sort};
use model::Timestamp;

use super::{folder_word, or_problem};
use crate::Ui;
use crate::format::{When, ago};
use crate::page::{Shell, respond};
use crate::params::{Params, encode};

/// Tags offered, the most used first; the others are found by typing.
const TAGS_MAX: usize = 24;

/// Files named that are not taken over; a folder that is no folder of dashboards has thousands.
const PROBLEMS_MAX: usize = 50;

const SORTS: [(&str, &str, Sort); 4] = [
    ("", "Folder", Sort::Folder),
    ("title", "A to Z", Sort::Title),
    ("title-desc", "Z to A", Sort::TitleDescending),
    ("changed", "Newest first", Sort::Changed),
];

#[derive(Template)]
#[template(path = "dashboards.html")]
struct Page {
    shell: Shell,
    words: String,
    /// What else the address says, which a search must not lose.
    kept: Vec<(String, String)>,
    total: usize,
    shown: usize,
    all: Choice,
    favourites: Choice,
    folders: Vec<Choice>,
    tags: Vec<Choice>,
    sorts: Vec<Choice>,
    groups: Vec<Group>,
    problems: Vec<FileProblem>,
    problems_hidden: usize,
    followed: String,
    /// This page's address, for forms to come back to.
    here: String,
    /// What was just done.
    done: String,
}

/// A link that changes what is listed.
struct Choice {
    word: String,
    count: usize,
    link: String,
    chosen: bool,
}

/// Rows below a heading, or without one.
struct Group {
    folder: Option<(String, String)>,
    rows: Vec<Row>,
}

struct Row {
    board: Listed,
    href: String,
    about: String,
    folder_word: String,
    folder_link: String,
    tags: Vec<(String, String)>,
    origin: &'static str,
    saved: Option<(When, String)>,
}

/// The handler.
pub(super) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    or_problem(&ui, &headers, async {
        let found = ui.shelf(|shelf| (shelf.list(&Filter::default()), shelf.file_problems(), shelf.followed())).await?;
        let (all, problems, followed) = found;
        let mut page = Page::new(&ui, &params, &all);
        page.problems_hidden = problems.len().saturating_sub(PROBLEMS_MAX);
        page.problems = problems.into_iter().take(PROBLEMS_MAX).collect();
        page.followed = followed.map(|folder| folder.display().to_string()).unwrap_or_default();
        Ok(respond(StatusCode::OK, &headers, page.render()))
    })
    .await
}

/// What the address asks for.
fn filter(params: &Params) -> Filter {
    let sort = params.get("sort").unwrap_or_default();
    Filter {
        text: params.get("q").unwrap_or_default().to_owned(),
        folder: params.get("folder").map(|folder| if folder == NONE { String::new() } else { folder.to_owned() }),
        tags: params.all("tag").map(str::to_owned).collect(),
        favourites: params.get("favourites").is_some(),
        sort: SORTS.iter().find(|(word, ..)| *word == sort).map(|(.., sort)| *sort).unwrap_or_default(),
    }
}

/// Stands in the address for dashboards without a folder; an empty value would count as absent.
const NONE: &str = "-";

impl Page {
    fn new(ui: &Ui, params: &Params, all: &[Listed]) -> Self {
        let shell = Shell::new(ui, params, "/dashboards", "Dashboards");
        let (filter, now) = (filter(params), ui.state.clock.now());
        let links = Links { prefix: &shell.prefix, params };
        let mut shown: Vec<&Listed> = all.iter().filter(|board| filter.matches(board)).collect();
        shown.sort_by(|a, b| filter.sort.compare(a, b));
        let groups = groups(ui, &shown, &filter, &links, now);
        let favourites = all.iter().filter(|board| board.favourite).count();
        let plain = filter.folder.is_none() && !filter.favourites && filter.tags.is_empty();
        Self {
            words: filter.text.clone(),
            kept: params.without(&["q", "from", "to", "done"]),
            total: all.len(),
            shown: shown.len(),
            all: Choice {
                word: "All".to_owned(),
                count: all.len(),
                link: links.with(&["folder", "tag", "favourites"], &[]),
                chosen: plain,
            },
            favourites: Choice {
                word: "Favourites".to_owned(),
                count: favourites,
                link: links
                    .with(&["favourites", "folder"], if filter.favourites { &[] } else { &[("favourites", "1")] }),
                chosen: filter.favourites,
            },
            folders: folders(all, &filter, &links),
            tags: tags(all, &filter, &links),
            sorts: sorts(&filter, &links),
            groups,
            problems: Vec::new(),
            problems_hidden: 0,
            followed: String::new(),
            here: links.with(&["done"], &[]).strip_prefix(&shell.prefix).unwrap_or_default().to_owned(),
            done: params.get("done").unwrap_or_default().to_owned(),
            shell,
        }
    }
}

/// Addresses of the same list with other parameters.
struct Links<'a> {
    prefix: &'a str,
    params: &'a Params,
}

impl Links<'_> {
    fn with(&self, drop: &[&str], add: &[(&str, &str)]) -> String {
        let kept = self.params.without(&[drop, &["from", "to", "done"]].concat());
        let kept = kept.iter().filter(|(_, value)| !value.is_empty());
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        match encode(kept.chain(add.iter().copied())) {
            query if query.is_empty() => format!("{}/dashboards", self.prefix),
            query => format!("{}/dashboards?{query}", self.prefix),
        }
    }

    /// With this tag, too; or without it, where it is chosen.
    fn with_tag(&self, filter: &Filter, tag: &str) -> String {
        let mut tags: Vec<&str> = filter.tags.iter().map(String::as_str).filter(|chosen| *chosen != tag).collect();
        if tags.len() == filter.tags.len() {
            tags.push(tag);
        }
        let add: Vec<(&str, &str)> = tags.into_iter().map(|tag| ("tag", tag)).collect();
        self.with(&["tag"], &add)
    }
}

/// The orders that can be chosen.
fn sorts(filter: &Filter, links: &Links<'_>) -> Vec<Choice> {
    let choice = |(key, word, sort): &(&'static str, &'static str, Sort)| {
        let chosen = [("sort", *key)];
        let add: &[(&str, &str)] = if key.is_empty() { &[] } else { &chosen };
        Choice { word: (*word).to_owned(), count: 0, link: links.with(&["sort"], add), chosen: *sort == filter.sort }
    };
    SORTS.iter().map(choice).collect()
}

fn folders(all: &[Listed], filter: &Filter, links: &Links<'_>) -> Vec<Choice> {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for board in all {
        *counts.entry((board.folder.to_lowercase(), &board.folder)).or_default() += 1;
    }
    let choice = |((_, folder), count): ((String, &str), usize)| {
        let chosen = filter.folder.as_deref() == Some(folder);
        let value = if folder.is_empty() { NONE } else { folder };
        let add: &[(&str, &str)] = if chosen { &[] } else { &[("folder", value)] };
        Choice { word: folder_word(folder).to_owned(), count, link: links.with(&["folder", "favourites"], add), chosen }
    };
    counts.into_iter().map(choice).collect()
}

fn tags(all: &[Listed], filter: &Filter, links: &Links<'_>) -> Vec<Choice> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.iter().flat_map(|board| &board.tags).for_each(|tag| *counts.entry(tag).or_default() += 1);
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let is_chosen = |tag: &str| filter.tags.iter().any(|chosen| chosen == tag);
    let shown = counts.into_iter().enumerate().filter(|(at, (tag, _))| *at < TAGS_MAX || is_chosen(tag));
    let choice = |(_, (tag, count)): (usize, (&str, usize))| {
        let (chosen, link) = (is_chosen(tag), links.with_tag(filter, tag));
        Choice { word: tag.to_owned(), count, link, chosen }
    };
    shown.map(choice).collect()
}

fn groups(ui: &Ui, shown: &[&Listed], filter: &Filter, links: &Links<'_>, now: Timestamp) -> Vec<Group> {
    let headed = filter.sort == Sort::Folder && filter.folder.is_none();
    let mut groups: Vec<Group> = Vec::new();
    for board in shown {
        let row = Row::new(ui, board, filter, links, now);
        let heading = headed.then(|| (row.folder_word.clone(), row.folder_link.clone()));
        match groups.last_mut() {
            Some(group) if group.folder == heading => group.rows.push(row),
            _ => groups.push(Group { folder: heading, rows: vec![row] }),
        }
    }
    groups
}

impl Row {
    fn new(ui: &Ui, board: &Listed, filter: &Filter, links: &Links<'_>, now: Timestamp) -> Self {
        let prefix = &ui.state.config.prefix;
        let folder = if board.folder.is_empty() { NONE } else { &board.folder };
        Self {
            href: ui.board_path(board),
            about: super::about_path(prefix, &board.uid, ""),
            folder_word: folder_word(&board.folder).to_owned(),
            folder_link: links.with(&["folder"], &[("folder", folder)]),
            tags: board.tags.iter().map(|tag| (tag.clone(), links.with_tag(filter, tag))).collect(),
            origin: origin_word(&board.origin),
            saved: (board.saved > 0).then(|| (When::new(board.saved), ago(board.saved, now))),
            board: board.clone(),
        }
    }
}

/// Where a dashboard came from.
pub(super) fn origin_word(origin: &Origin) -> &'static str {
    match origin {
        Origin::Imported => "imported",
        Origin::File(_) => "file",
        Origin::BuiltIn => "built in",
    }
}
