//! Grafana's provisioning files of dashboards: `apiVersion: 1` and a list of `providers`, or the list alone, as the first
//! versions had it.

use std::fs;
use std::path::{Path, PathBuf};

use yaml::{Place, Report, Section};

use crate::Error;
use crate::follow::{FileProblem, problem};

/// Longest provisioning file: a provider takes some two hundred bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Providers of a file; each is a folder that is looked through.
const PROVIDERS_MAX: usize = 100;

/// Where dashboards are to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// A folder, or a file.
    pub(crate) path: PathBuf,
    /// The folder of the list, `""` for none; absent, the folders that the files lie in.
    pub(crate) folder: Option<String>,
    /// Whether dashboards stay when their files go.
    pub(crate) keeps: bool,
    /// Where it names its path.
    pub(crate) position: Option<(usize, usize)>,
}

/// Whether a file in YAML looks like one, so that others may lie beside it.
pub(crate) fn is_provisioning(file: &Path) -> bool {
    let is_key = |line: &str| line.trim_start_matches("- ").starts_with("providers:");
    text(file).is_ok_and(|text| text.lines().any(is_key) || text.contains("foldersFromFilesStructure"))
}

fn text(file: &Path) -> Result<String, FileProblem> {
    let failed = |error| problem(file, &Error::io("read", file)(error));
    let bytes = fs::metadata(file).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let reason = format!("it has {bytes} bytes, {FILE_BYTES_MAX} are read");
        return Err(FileProblem { file: file.display().to_string(), position: None, reason });
    }
    fs::read_to_string(file).map_err(failed)
}

/// The providers of a file that can be used, and what is wrong with it.
pub(crate) fn read(file: &Path) -> (Vec<Provider>, Vec<FileProblem>) {
    let text = match text(file) {
        Ok(text) => text,
        Err(problem) => return (Vec::new(), vec![problem]),
    };
    let (report, name) = (Report::default(), file.display().to_string());
    let mut providers = Vec::new();
    match yaml::parse(&name, &text) {
        Ok(root) => providers = root_of(&Place::root(&root, &name, &report), file),
        Err(problem) => report.push(*problem),
    }
    (providers, report.into_problems().into_iter().map(told).collect())
}

fn told(problem: yaml::Problem) -> FileProblem {
    let parts = [problem.path, problem.message, problem.hint];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let position = problem.position.map(|position| (position.line, position.column));
    FileProblem { file: problem.file, position, reason: parts.join(": ") }
}

fn root_of(root: &Place<'_>, file: &Path) -> Vec<Provider> {
    let list = if matches!(root.node().value, yaml::Value::Sequence(_)) {
        root.list()
    } else {
        let Some(section) = root.section() else { return Vec::new() };
        if let Some(version) = section.get("apiVersion")
            && version.float().is_some_and(|number| number != 1.0)
        {
            version.error("this version of provisioning files is not known", "skep reads 1");
        }
        let list = section.list("providers");
        section.finish();
        list
    };
    if let Some(surplus) = list.get(PROVIDERS_MAX) {
        surplus.error(format!("it is past the first {PROVIDERS_MAX} providers"), "");
    }
    list.iter().take(PROVIDERS_MAX).filter_map(|place| one(&place.section()?, file)).collect()
}

fn one(section: &Section<'_>, file: &Path) -> Option<Provider> {
    // Whom it belongs to, whether pages change what a file says, and how often Grafana looks: skep has one organisation,
    // changes files nowhere, and looks as often as it looks at its own.
    for key in
        ["orgId", "org_id", "orgName", "editable", "allowUiUpdates", "updateIntervalSeconds", "folderUid", "folderUID"]
    {
        section.get(key);
    }
    let name = section.string("name").unwrap_or_default();
    let folder = section.string("folder").unwrap_or_default();
    let keeps = section.boolean("disableDeletion").unwrap_or(false);
    let kind = section.get("type");
    let options = section.section("options");
    section.finish();
    if let Some(kind) = kind
        && kind.string().is_some_and(|word| word != "file" && !word.is_empty())
    {
        kind.error("dashboards come from files alone", "write `type: file`");
        return None;
    }
    let Some(options) = options else {
        section.place().error("it names no path", "write `options: {path: /folder/of/dashboards}`");
        return None;
    };
    let structured = options.boolean("foldersFromFilesStructure").unwrap_or(false);
    let place = options.get("path").or_else(|| options.get("folder"));
    options.finish();
    let Some(place) = place else {
        options.place().error("it names no path", "write `path: /folder/of/dashboards`");
        return None;
    };
    if structured && !folder.is_empty() {
        section.place().error("the folder is named, and is to be that of the files, too", "leave one of them out");
    }
    // Beside the file, as paths of other files are.
    let path = file.parent().unwrap_or(Path::new("")).join(place.string()?);
    let position = place.node().position;
    let folder = (!structured).then_some(folder);
    Some(Provider { name, path, folder, keeps, position: Some((position.line, position.column)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, Option<&str>, bool)], problems: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("all.yaml");
        fs::write(&file, text).unwrap();
        let (found, told) = read(&file);
        let found: Vec<(String, Option<String>, bool)> = found
            .into_iter()
            .map(|one| {
                (
                    one.path.display().to_string().replace(&folder.path().display().to_string(), "."),
                    one.folder,
                    one.keeps,
                )
            })
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(path, folder, keeps)| ((*path).to_owned(), folder.map(str::to_owned), *keeps))
            .collect();
        assert_eq!(found, expected, "{text}");
        let told: Vec<String> =
            told.iter().map(|problem| problem.to_string().replace(&file.display().to_string(), "")).collect();
        assert_eq!(told, problems, "{text}");
    }

    #[test]
    fn files_name_providers() {
        let whole = "apiVersion: 1\nproviders:\n- name: default\n  orgId: 1\n  folder: Net\n  folderUid: ''\n  type: file\n  \
                     disableDeletion: true\n  editable: true\n  updateIntervalSeconds: 10\n  allowUiUpdates: true\n  options:\n    \
                     path: /var/lib/boards\n    foldersFromFilesStructure: false\n";
        check(whole, &[("/var/lib/boards", Some("Net"), true)], &[]);
        check(
            "providers: [{options: {path: boards, foldersFromFilesStructure: true}}]",
            &[("./boards", None, false)],
            &[],
        );
        let old = "- name: x\n  org_id: 1\n  folder: ''\n  type: file\n  options:\n    folder: /boards\n";
        check(old, &[("/boards", Some(""), false)], &[]);
        check("apiVersion: 1\nproviders: []\n", &[], &[]);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        let version = ":1:13: apiVersion: this version of provisioning files is not known: skep reads 1";
        check("apiVersion: 2\n", &[], &[version]);
        let kind = ":2:9: providers[0].type: dashboards come from files alone: write `type: file`";
        check("providers:\n- type: git\n  options: {path: /x}\n", &[], &[kind]);
        let path = ":2:3: providers[0]: it names no path: write `options: {path: /folder/of/dashboards}`";
        check("providers:\n- name: x\n", &[], &[path]);
        let key = ":2:3: providers[0].foldr: unknown key \"foldr\": did you mean \"folder\"?";
        check("providers:\n- foldr: x\n  options: {path: /x}\n", &[("/x", Some(""), false)], &[key]);
    }
}
