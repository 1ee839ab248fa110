//! Import: a file or a text, then what of it would be carried, then the dashboard.

use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use boards::{Existing, Filter, Input, InputKind, Listed, Preview, Wish};

use super::about::folders;
use super::form::Form;
use super::losses::Losses;
use super::{about_path, or_problem, see_other, sentence};
use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;

/// Names of fields that carry values of a file's inputs begin so.
const INPUT: &str = "input-";

#[derive(Template)]
#[template(path = "dashboard_import.html")]
struct Page {
    shell: Shell,
    error: String,
    text: String,
    folder: String,
    folders: Vec<String>,
    look: Option<Look>,
}

/// What an import would do.
struct Look {
    title: String,
    description: String,
    uid: String,
    tags: Vec<String>,
    panels: usize,
    variables: usize,
    schema: u32,
    losses: Losses,
    inputs: Vec<Field>,
    taken: Option<Listed>,
    /// Whether the one that has the uid may be replaced here.
    replaceable: bool,
    replace: bool,
    /// The bytes in Base64: the text of a form's field would come back with other line breaks.
    kept: String,
}

struct Field {
    input: Input,
    value: String,
    /// The kind of data source; empty for a text.
    source: String,
}

/// What was sent.
struct Sent {
    json: Vec<u8>,
    pasted: String,
    wish: Wish,
    save: bool,
}

/// The empty form.
pub(super) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    or_problem(&ui, &headers, async {
        let folder = params.get("folder").unwrap_or_default();
        let page = Page::new(&ui, folder, String::new(), String::new()).await?;
        Ok(respond(StatusCode::OK, &headers, page.render()))
    })
    .await
}

/// The form with a dashboard: to look at what is carried, or to keep it.
pub(super) async fn submit(State(ui): State<Arc<Ui>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let headers = head.headers;
    or_problem(&ui, &headers, async {
        let (body, _turn) = ui.upload(body).await?;
        let form = Form::read(&headers, &body);
        let form = form.map_err(|reason| Problem::bad_request("The form cannot be read", sentence(reason)))?;
        let sent = Sent::read(&form);
        if sent.json.is_empty() {
            let words = "Choose a file, or paste the JSON of a dashboard.".to_owned();
            return refuse(&ui, &headers, sent, words).await;
        }
        if sent.save { save(&ui, &headers, sent).await } else { look(&ui, &headers, sent, String::new()).await }
    })
    .await
}

async fn save(ui: &Ui, headers: &HeaderMap, sent: Sent) -> Result<Response, Problem> {
    let (json, wish) = (sent.json.clone(), sent.wish.clone());
    match ui.shelf(move |shelf| shelf.import(&json, &wish)).await? {
        Ok(outcome) => Ok(see_other(&about_path(&ui.state.config.prefix, &outcome.uid, "saved"))),
        Err(error) => look(ui, headers, sent, sentence(&error.to_string())).await,
    }
}

async fn look(ui: &Ui, headers: &HeaderMap, sent: Sent, error: String) -> Result<Response, Problem> {
    let (json, wish) = (sent.json.clone(), sent.wish.clone());
    match ui.shelf(move |shelf| shelf.preview(&json, &wish)).await? {
        Ok(preview) => {
            let status = if error.is_empty() { StatusCode::OK } else { StatusCode::CONFLICT };
            let folder = sent.wish.folder.clone().or_else(|| preview.taken.as_ref().map(|taken| taken.folder.clone()));
            let mut page = Page::new(ui, &folder.unwrap_or_default(), String::new(), error).await?;
            page.look = Some(Look::new(preview, &sent));
            Ok(respond(status, headers, page.render()))
        }
        Err(error) => refuse(ui, headers, sent, sentence(&error.to_string())).await,
    }
}

async fn refuse(ui: &Ui, headers: &HeaderMap, sent: Sent, error: String) -> Result<Response, Problem> {
    let page = Page::new(ui, sent.wish.folder.as_deref().unwrap_or_default(), sent.pasted, error).await?;
    Ok(respond(StatusCode::BAD_REQUEST, headers, page.render()))
}

impl Page {
    async fn new(ui: &Ui, folder: &str, text: String, error: String) -> Result<Self, Problem> {
        let folders = ui.shelf(|shelf| folders(&shelf.list(&Filter::default()))).await?;
        let shell = Shell::new(ui, &Params::default(), "/dashboards", "Import a dashboard");
        Ok(Self { shell, error, text, folder: folder.to_owned(), folders, look: None })
    }
}

impl Sent {
    fn read(form: &Form<'_>) -> Self {
        let pasted = form.text("text").unwrap_or_default().replace("\r\n", "\n");
        let kept = form.bytes("kept").and_then(|kept| STANDARD.decode(kept).ok());
        let file = form.bytes("file").map(<[u8]>::to_vec);
        let json = kept.or(file).unwrap_or_else(|| pasted.clone().into_bytes());
        let replace = form.text("replace").is_some();
        let inputs: BTreeMap<String, String> = form.beginning(INPUT).collect();
        let wish = Wish {
            folder: form.text("folder"),
            existing: if replace { Existing::Replace } else { Existing::Keep },
            uid: form.text("uid"),
            inputs,
            note: form.text("note").unwrap_or_default(),
        };
        let save = form.text("action").is_some_and(|action| action == "save");
        // A folder that is left empty when the page is sent a second time is none.
        let folder = wish.folder.clone().or_else(|| save.then(String::new));
        Self { json, pasted, wish: Wish { folder, ..wish }, save }
    }
}

impl Look {
    fn new(preview: Preview, sent: &Sent) -> Self {
        let Preview { uid, dashboard, report, inputs, taken } = preview;
        let field = |input: Input| Field {
            value: sent.wish.inputs.get(&input.name).unwrap_or(&input.value).clone(),
            source: match &input.kind {
                InputKind::DataSource(kind) => kind.clone(),
                InputKind::Constant => String::new(),
            },
            input,
        };
        Self {
            panels: dashboard.panels().count(),
            variables: dashboard.variables.len(),
            schema: dashboard.schema,
            title: dashboard.title,
            description: dashboard.description,
            tags: dashboard.tags,
            uid,
            losses: Losses::new(&report),
            inputs: inputs.into_iter().map(field).collect(),
            replaceable: taken.as_ref().is_some_and(|taken| taken.origin == boards::Origin::Imported),
            taken,
            replace: sent.wish.existing == Existing::Replace,
            kept: STANDARD.encode(&sent.json),
        }
    }
}
