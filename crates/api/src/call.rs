//! From a request to an answer: every route is a plain function on a thread that may block.

use axum::extract::{FromRequestParts, RawPathParams, Request, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter};
use promql::Cancel;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::failure::{Failure, Kind};
use crate::form::{Form, unescape_path};
use crate::packing::Coding;
use crate::reply::Reply;

/// A request, as far as routes need it.
pub(crate) struct Call {
    /// Its parameters.
    pub(crate) form: Form,
    /// The variable part of the path; `Err` where it is not UTF-8.
    pub(crate) path: Result<String, Vec<u8>>,
    /// The `Accept` header.
    pub(crate) accept: String,
    /// Set when the client goes away.
    pub(crate) cancel: Cancel,
}

impl Call {
    /// Fails when nobody waits for the answer any more. To be asked between two pieces of work.
    pub(crate) fn check_client(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(Kind::Canceled, "the client closed the connection"));
        }
        Ok(())
    }
}

/// How a failure is shown.
#[derive(Clone, Copy)]
pub(crate) enum Style {
    Json,
    Text,
}

/// What answers a request; it may block.
pub(crate) type Route<S> = fn(&S, &Call) -> Result<Reply, Failure>;

/// Cancels the query when the request is dropped, which is what happens when its connection closes.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Whether a call takes about as long as waking a thread for it and being woken by that, or less.
pub(crate) type IsShort<S> = fn(&S, &Call) -> bool;

/// Routes requests of some methods to a function of what the routes share. Those that take long are cancelled when their
/// client goes away, which is not noticed of those that `is_short` says are short.
pub(crate) fn on_short<S>(methods: MethodFilter, route: Route<S>, is_short: IsShort<S>, style: Style) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    let handler =
        async move |Shared(state): Shared<S>, request: Request| answer(state, request, (route, is_short), style).await;
    axum::routing::on(methods, handler)
}

/// The same where any call may take long.
pub(crate) fn on<S>(methods: MethodFilter, route: Route<S>, style: Style) -> MethodRouter<S>
where
    S: Clone + Send + Sync + 'static,
{
    on_short(methods, route, |_, _| false, style)
}

async fn answer<S: Send + 'static>(
    state: S,
    request: Request,
    (route, is_short): (Route<S>, IsShort<S>),
    style: Style,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let form = Form::read(&parts.method, &parts.headers, parts.uri.query(), body).await;
    if let Err(failure) = form.uncut() {
        return show(failure, style);
    }
    let path = match RawPathParams::from_request_parts(&mut parts, &()).await {
        Ok(params) => Ok(params.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default()),
        Err(_) => Err(unescape_path(variable_part(parts.uri.path()))),
    };
    let accept = parts.headers.get(axum::http::header::ACCEPT).and_then(|value| value.to_str().ok());
    let accept = accept.unwrap_or_default().to_owned();
    let coding = Coding::of(&parts.headers);
    let cancel = Cancel::default();
    let _guard = CancelOnDrop(cancel.clone());
    let call = Call { form, path, accept, cancel };
    let is_short = is_short(&state, &call);
    let run = move || match route(&state, &call) {
        Ok(reply) => reply.into_response(coding),
        Err(failure) => show(failure, style),
    };
    // Others take over what else this thread would do, so that it may block; a runtime of one thread has none.
    if is_short && Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread {
        return tokio::task::block_in_place(run);
    }
    let died = |_| show(Failure::new(Kind::Internal, "the request could not be processed"), style);
    tokio::task::spawn_blocking(run).await.unwrap_or_else(died)
}

/// The last part of a path but one: what varies in `label/NAME/values`, the only path that varies.
fn variable_part(path: &str) -> &str {
    path.rsplit('/').nth(1).unwrap_or_default()
}

fn show(failure: Failure, style: Style) -> Response {
    match style {
        Style::Json => failure.into_response(),
        Style::Text => failure.into_text(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    const BEGUN: u8 = 1;
    const CANCELLED: u8 = 2;
    const FORGOTTEN: u8 = 3;

    fn wait_for(what: impl Fn() -> bool) -> bool {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !what() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        what()
    }

    /// Runs until it is cancelled.
    fn endless(state: &Arc<AtomicU8>, call: &Call) -> Result<Reply, Failure> {
        state.store(BEGUN, Ordering::SeqCst);
        let cancelled = wait_for(|| call.cancel.is_cancelled());
        state.store(if cancelled { CANCELLED } else { FORGOTTEN }, Ordering::SeqCst);
        Ok(Reply::nothing())
    }

    #[test]
    fn a_client_that_hangs_up_cancels_its_query() {
        let state = Arc::new(AtomicU8::new(0));
        let route = on(MethodFilter::GET, endless, Style::Json);
        let router = axum::Router::new().route("/", route).with_state(Arc::clone(&state));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { axum::serve(listener, router).await });
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(wait_for(|| state.load(Ordering::SeqCst) == BEGUN));
        drop(client);
        assert!(wait_for(|| state.load(Ordering::SeqCst) > BEGUN));
        assert_eq!(state.load(Ordering::SeqCst), CANCELLED);
    }
}
