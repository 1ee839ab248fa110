//! Status and receivers.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::{Failure, Source, answer, notifier, time};

/// The configuration without secrets, and since when.
pub(super) async fn status(State(source): State<Source>) -> Result<Response, Failure> {
    let notifier = notifier(&source)?;
    Ok(answer(&json!({
        "cluster": { "peers": [], "status": "disabled" },
        "config": { "original": notifier.config().shown },
        "uptime": time(notifier.started_at()),
        "versionInfo": {
            "branch": "",
            "buildDate": "",
            "buildUser": "",
            "goVersion": "",
            "revision": "",
            "version": env!("CARGO_PKG_VERSION"),
        },
    })))
}

/// The receivers' names.
pub(super) async fn receivers(State(source): State<Source>) -> Result<Response, Failure> {
    let config = notifier(&source)?.config();
    let receivers = config.receivers.iter();
    Ok(answer(&receivers.map(|r| json!({ "labels": { "name": r.name }, "name": r.name })).collect::<Vec<Value>>()))
}
