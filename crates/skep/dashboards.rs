//! `skep dashboards`: carries dashboards to a server and back, and lists those that it has.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use client::Client;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::runtime;

/// The server reads a dashboard in milliseconds; it may have others to read first.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);

/// A list of a thousand dashboards, or the largest one.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A report of this many losses is looked at in the browser.
const LOSSES_SHOWN_MAX: usize = 200;

/// What to do, and with which server.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) url: String,
    pub(crate) work: Work,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Work {
    Import { files: Vec<PathBuf>, folder: Option<String>, overwrite: bool },
    Export { uids: Vec<String>, to: Option<PathBuf> },
    List { words: String, json: bool },
}

/// Does it; whether all of it went well.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let server = Server::new(&options.url)?;
    match &options.work {
        Work::Import { files, folder, overwrite } => import(&server, files, folder.as_deref(), *overwrite),
        Work::Export { uids, to } => export(&server, uids, to.as_deref()),
        Work::List { words, json } => list(&server, words, *json),
    }
}

/// A file that is refused does not keep the others back.
fn import(server: &Server, files: &[PathBuf], folder: Option<&str>, overwrite: bool) -> Result<bool> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("overwrite", if overwrite { "true" } else { "false" });
    folder.map(|folder| query.append_pair("folder", folder));
    let path = format!("/ui/dashboards?{}", query.finish());
    let mut well = true;
    for file in files {
        match import_one(server, &path, file) {
            Ok(said) => drop(crate::say(&format!("{}: {said}\n", file.display()))),
            Err(error) => {
                well = false;
                crate::complain(&format_args!("{}: {}", file.display(), crate::causes(&error)));
            }
        }
    }
    Ok(well)
}

fn import_one(server: &Server, path: &str, file: &Path) -> Result<String> {
    let body = fs::read(file).context("cannot read the file")?;
    let answer = server.ask(path, Some(body))?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let lost = answer["not_carried"].as_u64().unwrap_or_default();
    let carried = if lost == 0 { "everything is carried".to_owned() } else { format!("{lost} not carried") };
    let (status, title, version) = (text("status"), text("title"), &answer["version"]);
    let address = server.address_of(&text("url"));
    let mut said = format!("{status} {title:?}, version {version}, at {address}; {carried}");
    for line in losses(&answer["report"]).take(LOSSES_SHOWN_MAX) {
        said.push_str("\n  ");
        said.push_str(&line);
    }
    Ok(said)
}

/// A line for each loss of a report.
fn losses(report: &Value) -> impl Iterator<Item = String> {
    let line = |of: &str, loss: &Value| {
        let text = |key: &str| loss[key].as_str().unwrap_or_default().to_owned();
        format!("{of}{} = {}: {}", text("path"), text("value"), text("reason"))
    };
    let own = report["dashboard"].as_array().into_iter().flatten().map(move |loss| line("", loss));
    let panels = report["panels"].as_array().into_iter().flatten().flat_map(move |panel| {
        let of = format!("panel {} {}: ", panel["id"], panel["title"]);
        panel["losses"].as_array().into_iter().flatten().map(move |loss| line(&of, loss))
    });
    own.chain(panels)
}

fn export(server: &Server, uids: &[String], to: Option<&Path>) -> Result<bool> {
    let Some(to) = to else {
        for uid in uids {
            let json = server.fetch(&json_path(uid), None).with_context(|| uid.clone())?;
            crate::say(&String::from_utf8_lossy(&json));
        }
        return Ok(true);
    };
    let listed = server.ask("/ui/dashboards", None)?;
    let all = listed["dashboards"].as_array().cloned().unwrap_or_default();
    let text = |board: &Value, key: &str| board[key].as_str().unwrap_or_default().to_owned();
    let wanted = |board: &&Value| match uids.is_empty() {
        true => text(board, "origin") != "built in",
        false => uids.contains(&text(board, "uid")),
    };
    if let Some(unknown) = uids.iter().find(|uid| !all.iter().any(|board| text(board, "uid") == **uid)) {
        bail!("there is no dashboard {unknown}");
    }
    for board in all.iter().filter(wanted) {
        let uid = text(board, "uid");
        let folder = to.join(folder_path(&text(board, "folder")));
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let file = folder.join(format!("{uid}.json"));
        let json = server.fetch(&json_path(&uid), None)?;
        fs::write(&file, json).with_context(|| format!("cannot write {}", file.display()))?;
        crate::say(&format!("{}: {}\n", file.display(), text(board, "title")));
    }
    Ok(true)
}

fn json_path(uid: &str) -> String {
    let uid: String = form_urlencoded::byte_serialize(uid.as_bytes()).collect();
    format!("/dashboards/about/{uid}/json")
}

/// A folder of the list as a path below another one, never beside it.
fn folder_path(folder: &str) -> PathBuf {
    Path::new(folder).components().filter(|part| matches!(part, Component::Normal(_))).collect()
}

fn list(server: &Server, words: &str, json: bool) -> Result<bool> {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("q", words).finish();
    let answer = server.ask(&format!("/ui/dashboards?{query}"), None)?;
    if json {
        crate::say(&format!("{answer}\n"));
        return Ok(true);
    }
    let mut table = format!("{:<24} {:>6} {:>11}  {:<20} TITLE\n", "UID", "PANELS", "NOT CARRIED", "FOLDER");
    for board in answer["dashboards"].as_array().into_iter().flatten() {
        let text = |key: &str| board[key].as_str().unwrap_or_default();
        let number = |key: &str| board[key].as_u64().unwrap_or_default();
        let (uid, panels, lost) = (text("uid"), number("panels"), number("not_carried"));
        table.push_str(&format!("{uid:<24} {panels:>6} {lost:>11}  {:<20} {}\n", text("folder"), text("title")));
    }
    crate::say(&table);
    Ok(true)
}

/// A server that has dashboards.
struct Server {
    url: String,
    runtime: runtime::Runtime,
}

impl Server {
    fn new(url: &str) -> Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
        Ok(Self { url: url.trim_end_matches('/').to_owned(), runtime })
    }

    /// The address of a path as the server writes it, which its own path begins already.
    fn address_of(&self, path: &str) -> String {
        let host = self.url.find("://").map_or(0, |at| at + 3);
        let end = self.url[host..].find('/').map_or(self.url.len(), |at| host + at);
        format!("{}{path}", &self.url[..end])
    }

    /// An answer in JSON; what went wrong is an error in the server's words.
    fn ask(&self, path: &str, body: Option<Vec<u8>>) -> Result<Value> {
        let bytes = self.fetch(path, body)?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} answers no JSON: is it skep?", self.url))
    }

    fn fetch(&self, path: &str, body: Option<Vec<u8>>) -> Result<Vec<u8>> {
        let url = format!("{}{path}", self.url);
        let request = match body {
            Some(body) => Request::post(&url).header(CONTENT_TYPE, "application/json").body(body.into()),
            None => Request::get(&url).body(Vec::new().into()),
        };
        let request = request.with_context(|| format!("{:?} is not a URL, such as http://127.0.0.1:9090", self.url))?;
        let fetched = self.runtime.block_on(Client::new().fetch(request, ANSWER_TIME_MAX, ANSWER_BYTES_MAX));
        let (head, bytes) = fetched.with_context(|| {
            format!("{} does not answer; is a server running there? --url names another one", self.url)
        })?;
        if head.status.is_success() {
            return Ok(bytes.to_vec());
        }
        let words = serde_json::from_slice::<Value>(&bytes).ok().and_then(|v| v["message"].as_str().map(str::to_owned));
        match words {
            Some(words) => bail!("{words}"),
            None if head.status == 404 => bail!("there is no such dashboard"),
            None => bail!("{} answers {}", self.url, head.status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_below() {
        for (folder, expected) in [("", ""), ("net", "net"), ("a/b", "a/b"), ("../../etc", "etc"), ("/root/..", "root")]
        {
            assert_eq!(folder_path(folder), Path::new(expected), "{folder}");
        }
    }

    #[test]
    fn addresses() {
        for (url, expected) in [("http://h:1", "http://h:1/skep/d/a"), ("http://h:1/skep/", "http://h:1/skep/d/a")] {
            assert_eq!(Server::new(url).unwrap().address_of("/skep/d/a"), expected);
        }
    }
}
