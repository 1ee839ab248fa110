//! The shelf over a real folder and the real catalog.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use boards::{Error, Existing, Filter, Look, Origin, Outcome, Shelf, Sort, Status, Unnamed, VERSIONS_MAX, Wish};
use model::{Clock, Timestamp};
use tempfile::TempDir;

struct Ticks(AtomicI64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

fn open(folder: &Path) -> Shelf {
    open_with(folder, Unnamed::Remove)
}

fn open_with(folder: &Path, unnamed: Unnamed) -> Shelf {
    let catalog = catalog::Catalog::open(&folder.join("catalog")).unwrap();
    let clock = Arc::new(Ticks(AtomicI64::new(1_700_000_000_000)));
    Shelf::open(&folder.join("dashboards"), Arc::new(catalog), clock, unnamed).unwrap()
}

fn board(uid: &str, title: &str) -> Vec<u8> {
    format!("{{\"uid\": \"{uid}\", \"title\": \"{title}\", \"tags\": [\"net\"], \"panels\": []}}\n").into_bytes()
}

fn import(shelf: &Shelf, uid: &str, title: &str) -> Result<Outcome, Error> {
    shelf.import(&board(uid, title), &Wish::default())
}

fn replace(shelf: &Shelf, uid: &str, title: &str) -> Outcome {
    shelf.import(&board(uid, title), &Wish { existing: Existing::Replace, ..Wish::default() }).unwrap()
}

/// Titles of the list.
fn titles(shelf: &Shelf, filter: &Filter) -> Vec<String> {
    shelf.list(filter).into_iter().filter(|b| b.origin != Origin::BuiltIn).map(|board| board.title).collect()
}

fn bodies(folder: &TempDir) -> usize {
    fs::read_dir(folder.path().join("dashboards")).unwrap().count()
}

#[test]
fn what_was_imported_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    {
        let shelf = open(folder.path());
        let outcome = import(&shelf, "a", "One").unwrap();
        assert_eq!((outcome.version, outcome.status), (1, Status::Created));
        shelf.favourite("a", true).unwrap();
        shelf.set_home(Some("skep-itself")).unwrap();
    }
    let shelf = open(folder.path());
    let held = shelf.get("a").unwrap().unwrap();
    assert_eq!((&*held.json, &*held.dashboard.title), (&*board("a", "One"), "One"));
    assert!(held.listed.favourite && !held.listed.home);
    assert_eq!(shelf.home().unwrap().uid, "skep-itself");
    assert!(shelf.get("b").unwrap().is_none());
}

#[test]
fn the_same_uid_again() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    import(&shelf, "a", "One").unwrap();
    let refused = import(&shelf, "a", "Two").unwrap_err().to_string();
    assert_eq!(refused, "the uid a is taken by \"One\"; replace that one, or give this one another uid");
    assert_eq!(import(&shelf, "a", "One").unwrap().status, Status::Unchanged);
    assert_eq!(replace(&shelf, "a", "Two").version, 2);
    let if_version = |number| {
        let wish = Wish { existing: Existing::ReplaceVersion(number), ..Wish::default() };
        shelf.import(&board("a", "Three"), &wish).map(|outcome| outcome.version).ok()
    };
    assert_eq!((if_version(1), if_version(2)), (None, Some(3)));
    let other = Wish { uid: Some("b".to_owned()), folder: Some(" net ".to_owned()), ..Wish::default() };
    assert_eq!(shelf.import(&board("a", "Two"), &other).unwrap().uid, "b");
    assert_eq!(shelf.get("b").unwrap().unwrap().listed.folder, "net");
    let builtin = import(&shelf, "skep-itself", "Mine").unwrap_err().to_string();
    assert!(builtin.contains("is part of skep"), "{builtin}");
}

/// The index lies in memory and in the catalog, beside the state of alerts: no file makes it large.
#[test]
fn long_words_are_cut_in_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    let long = "x".repeat(1 << 20);
    shelf.import(&board("a", &long), &Wish::default()).unwrap();
    let held = shelf.get("a").unwrap().unwrap();
    assert_eq!((held.listed.title.len(), held.dashboard.title.len()), (500, 1 << 20));
    let input = format!(
        "{{\"uid\": \"b\", \"panels\": [], \"__inputs\": [{{\"name\": \"V\", \"type\": \"constant\", \"value\": \"{long}\"}}]}}"
    );
    let refused = shelf.import(input.as_bytes(), &Wish::default()).unwrap_err().to_string();
    assert_eq!(refused, "the inputs of the file have more than 16 KiB of values");
    let folder = Wish { folder: Some(long), ..Wish::default() };
    assert!(shelf.import(&board("c", "C"), &folder).unwrap_err().to_string().contains("longer than 190 characters"));
}

#[test]
fn versions_are_kept_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    import(&shelf, "a", "0").unwrap();
    for title in 1..VERSIONS_MAX + 5 {
        replace(&shelf, "a", &title.to_string());
    }
    let numbers: Vec<u32> = shelf.versions("a").iter().map(|version| version.number).collect();
    assert_eq!((numbers.len(), numbers[0], numbers[VERSIONS_MAX - 1]), (VERSIONS_MAX, 25, 6));
    assert_eq!(bodies(&folder), VERSIONS_MAX);
    let restored = shelf.restore("a", 7).unwrap();
    assert_eq!((restored.version, &*restored.title), (26, "6"));
    assert_eq!(shelf.versions("a")[0].note, "version 7 restored");
    assert_eq!(bodies(&folder), VERSIONS_MAX - 1, "version 6 went, and 26 has the body of 7");
    assert_eq!(shelf.get_version("a", 8).unwrap().dashboard.title, "7");
    assert_eq!(shelf.get_version("a", 6).unwrap_err().to_string(), "the dashboard a has no version 6");
}

#[test]
fn what_is_deleted_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    import(&shelf, "a", "One").unwrap();
    shelf.favourite("a", true).unwrap();
    shelf.set_home(Some("a")).unwrap();
    shelf.delete("a").unwrap();
    assert!(shelf.get("a").unwrap().is_none() && shelf.home().is_none());
    assert_eq!(bodies(&folder), 0);
    import(&shelf, "a", "One").unwrap();
    assert!(!shelf.get("a").unwrap().unwrap().listed.favourite);
    assert!(matches!(shelf.delete("b"), Err(Error::Unknown(_))));
    assert!(matches!(shelf.delete("skep-itself"), Err(Error::BuiltIn(_))));
    assert!(matches!(shelf.favourite("b", true), Err(Error::Unknown(_))));
}

/// A body is written before the index names it: what a kill left between the two goes at the next start.
#[test]
fn bodies_that_nothing_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = {
        let shelf = open(folder.path());
        import(&shelf, "a", "One").unwrap();
        fs::read_dir(folder.path().join("dashboards")).unwrap().next().unwrap().unwrap().path()
    };
    let body = fs::read(&path).unwrap();
    open(folder.path()).delete("a").unwrap();
    fs::write(&path, &body).unwrap();
    assert!(open_with(folder.path(), Unnamed::Leave).get("a").unwrap().is_none() && path.exists());
    // The index is known to have lost entries: the body is all that is left of a dashboard.
    let adopted = open_with(folder.path(), Unnamed::Adopt).get("a").unwrap().unwrap();
    assert_eq!((&*adopted.listed.folder, adopted.json.to_vec()), ("Recovered", body.clone()));
    open(folder.path()).delete("a").unwrap();
    fs::write(&path, &body).unwrap();
    assert!(open(folder.path()).get("a").unwrap().is_none() && !path.exists());
}

#[test]
fn a_damaged_body_is_named_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    import(&open(folder.path()), "a", "One").unwrap();
    let path = fs::read_dir(folder.path().join("dashboards")).unwrap().next().unwrap().unwrap().path();
    let mut body = fs::read(&path).unwrap();
    body[20] ^= 1;
    fs::write(&path, body).unwrap();
    let shelf = open(folder.path());
    let error = shelf.get("a").unwrap_err().to_string();
    assert!(error.contains(&*path.display().to_string()) && error.contains("is not what was written"), "{error}");
    assert_eq!(titles(&shelf, &Filter::default()), ["One"], "the list still has it");
    replace(&shelf, "a", "Two");
    assert_eq!(shelf.get("a").unwrap().unwrap().dashboard.title, "Two");
}

#[test]
fn lists() {
    let folder = tempfile::tempdir().unwrap();
    let shelf = open(folder.path());
    for (uid, title, of) in [("a", "Nodes", ""), ("b", "apples", "Fruit"), ("c", "Bananas", "Fruit")] {
        let wish = Wish { folder: Some(of.to_owned()), ..Wish::default() };
        shelf.import(&board(uid, title), &wish).unwrap();
    }
    shelf.favourite("b", true).unwrap();
    let check = |filter: Filter, expected: &[&str]| assert_eq!(titles(&shelf, &filter), expected, "{filter:?}");
    let all = Filter::default;
    check(all(), &["Nodes", "apples", "Bananas"]);
    check(Filter { sort: Sort::Title, ..all() }, &["apples", "Bananas", "Nodes"]);
    check(Filter { sort: Sort::TitleDescending, ..all() }, &["Nodes", "Bananas", "apples"]);
    check(Filter { sort: Sort::Changed, ..all() }, &["Bananas", "apples", "Nodes"]);
    check(Filter { text: "FRUIT an".to_owned(), ..all() }, &["Bananas"]);
    check(Filter { text: "net".to_owned(), ..all() }, &["Nodes", "apples", "Bananas"]);
    check(Filter { folder: Some(String::new()), ..all() }, &["Nodes"]);
    check(Filter { tags: vec!["net".to_owned(), "none".to_owned()], ..all() }, &[]);
    check(Filter { favourites: true, ..all() }, &["apples"]);
    let builtin = shelf.list(&Filter { folder: Some("skep".to_owned()), ..all() });
    assert!(builtin.iter().any(|board| board.uid == "skep-itself" && board.origin == Origin::BuiltIn));
}

#[test]
fn a_folder_is_followed() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &[u8]| {
        let path = files.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let problems = |shelf: &Shelf| -> Vec<String> {
        let path = files.path().display().to_string();
        shelf.file_problems().iter().map(|problem| problem.to_string().replace(&path, "")).collect()
    };
    let shelf = open(folder.path());
    write("a.json", &board("a", "One"));
    write("net/b.json", &board("b", "Two"));
    write("bad.json", b"{\n  \"title\": oops\n}");
    write(".hidden.json", &board("h", "Hidden"));
    write("readme.txt", b"no dashboard");
    shelf.follow(Some(files.path().to_owned()));
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), ["One", "Two"]);
    assert_eq!(shelf.get("b").unwrap().unwrap().listed.folder, "net");
    assert_eq!(problems(&shelf), ["/bad.json:2:12: expected value"]);
    // People change it in the file.
    let refused = shelf.delete("a").unwrap_err().to_string();
    assert_eq!(refused, "the dashboard a follows the file a.json; change it there");
    assert!(matches!(import(&shelf, "a", "Mine"), Err(Error::Followed { .. })));

    // A change is taken over when the file stayed the same for one look; a file that turned bad leaves what it was.
    write("a.json", &board("a", "One again"));
    write("net/b.json", b"");
    shelf.look(Look::Patient);
    assert_eq!(shelf.get("a").unwrap().unwrap().dashboard.title, "One");
    shelf.look(Look::Patient);
    assert_eq!(titles(&shelf, &Filter::default()), ["One again", "Two"]);
    assert_eq!(shelf.versions("a").len(), 2);
    assert_eq!(problems(&shelf), ["/bad.json:2:12: expected value", "/net/b.json:1:0: EOF while parsing a value"]);

    // A uid has one owner, the first file by name; a file that is gone takes its dashboard with it.
    shelf.favourite("a", true).unwrap();
    write("c.json", &board("a", "Third"));
    fs::remove_file(files.path().join("net/b.json")).unwrap();
    fs::remove_file(files.path().join("bad.json")).unwrap();
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), ["One again"]);
    assert_eq!(problems(&shelf), ["/c.json: the uid a is that of a.json, too; give one of them another one"]);
    fs::remove_file(files.path().join("a.json")).unwrap();
    shelf.look(Look::AtOnce);
    assert_eq!(shelf.get("a").unwrap().unwrap().listed.title, "Third");
    assert_eq!(shelf.get("a").unwrap().unwrap().listed.origin, Origin::File("c.json".to_owned()));
    assert_eq!(problems(&shelf), [""; 0]);

    // The folder may be on a disk that is not there now.
    drop(shelf);
    let shelf = open(folder.path());
    shelf.follow(Some(files.path().join("not there")));
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), ["Third"]);
    assert!(problems(&shelf)[0].starts_with("/not there: read /not there: No such file"), "{:?}", problems(&shelf));
    shelf.follow(None);
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), [""; 0]);
    assert_eq!(bodies(&folder), 0);
}

#[test]
fn providers_are_followed() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &[u8]| {
        let path = files.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let provider =
        |path: &str, more: &str| format!("- name: {path}\n  type: file\n{more}  options: {{path: {path}}}\n");
    let providers = |list: &[String]| format!("apiVersion: 1\nproviders:\n{}", list.concat());
    let list = |shelf: &Shelf| -> Vec<(String, String)> {
        let all = shelf.list(&Filter { sort: Sort::Title, ..Filter::default() }).into_iter();
        all.filter(|board| board.origin != Origin::BuiltIn).map(|board| (board.title, board.folder)).collect()
    };
    let check = |shelf: &Shelf, expected: &[(&str, &str)], problems: &[&str]| {
        shelf.look(Look::AtOnce);
        let expected: Vec<_> = expected.iter().map(|(title, of)| ((*title).to_owned(), (*of).to_owned())).collect();
        assert_eq!(list(shelf), expected);
        let path = files.path().display().to_string();
        let told: Vec<String> =
            shelf.file_problems().iter().map(|problem| problem.to_string().replace(&path, "")).collect();
        assert_eq!(told, problems);
    };
    let shelf = open(folder.path());
    write("net/a.json", &board("a", "One"));
    write("net/deep/b.json", &board("b", "Two"));
    write("old/c.json", &board("c", "Three"));
    write("beside.json", &board("d", "Four"));
    write("other.yaml", b"something: else\n");
    let structure = "- type: file\n  options: {path: net, foldersFromFilesStructure: true}\n".to_owned();
    write(
        "all.yaml",
        providers(&[provider("net", "  folder: Net\n"), provider("old", "  disableDeletion: true\n")]).as_bytes(),
    );
    shelf.follow(Some(files.path().to_owned()));
    check(&shelf, &[("Four", ""), ("One", "Net"), ("Three", ""), ("Two", "Net")], &[]);

    // A provider may change its folder while the files stay; one that keeps what it had keeps it.
    write("all.yaml", providers(&[structure, provider("old", "  disableDeletion: true\n")]).as_bytes());
    fs::remove_file(files.path().join("old/c.json")).unwrap();
    check(&shelf, &[("Four", ""), ("One", ""), ("Three", ""), ("Two", "deep")], &[]);

    // What cannot be read now takes nothing away.
    write("all.yaml", providers(&[provider("net", ""), provider("gone", "")]).as_bytes());
    fs::rename(files.path().join("net"), files.path().join("away")).unwrap();
    shelf.follow(Some(files.path().join("all.yaml")));
    shelf.look(Look::AtOnce);
    let problem = shelf.file_problems().first().map(ToString::to_string).unwrap_or_default();
    assert!(problem.contains("all.yaml:5:19: the provider \"net\": read "), "{problem}");
    assert_eq!(list(&shelf).iter().map(|(title, _)| title.as_str()).collect::<Vec<_>>(), ["One", "Two"]);
    fs::rename(files.path().join("away"), files.path().join("net")).unwrap();
    write("all.yaml", providers(&[provider("net", "")]).as_bytes());
    fs::remove_file(files.path().join("net/a.json")).unwrap();
    check(&shelf, &[("Two", "")], &[]);
}

/// What somebody imported is not taken over by a file of the same uid, and is said.
#[test]
fn a_file_does_not_take_what_somebody_imported() {
    let (folder, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let shelf = open(folder.path());
    import(&shelf, "a", "Mine").unwrap();
    fs::write(files.path().join("a.json"), board("a", "The file's")).unwrap();
    shelf.follow(Some(files.path().to_owned()));
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), ["Mine"]);
    let problem = shelf.file_problems()[0].reason.clone();
    assert!(problem.starts_with("the uid a is taken by \"Mine\""), "{problem}");
    shelf.delete("a").unwrap();
    shelf.look(Look::AtOnce);
    assert_eq!(titles(&shelf, &Filter::default()), ["The file's"]);
}
