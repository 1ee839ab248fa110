//! A short look at an address: does a metrics page answer, and whose is it?

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::endpoint::{Recognized, recognize};

/// An agent under load renders its page in a fraction of a second; more is not worth waiting for.
const TIME_MAX: Duration = Duration::from_secs(3);

/// Pages of Cilium's programs are 100 to 500 KiB, and each shows a family of its own well before this.
const PAGE_SIZE_BYTES_MAX: usize = 512 << 10;

/// What answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing listens.
    Closed,
    /// Something listens, but no page came: another protocol, an error, too slow.
    Unreadable(String),
    /// A page.
    Page(Recognized),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "nothing listens",
            Self::Unreadable(reason) => reason,
            Self::Page(Recognized::Endpoint(_)) => "metrics of Cilium",
            Self::Page(Recognized::Unknown) => "metrics of another program",
        })
    }
}

/// One connection, one request, at most [`TIME_MAX`] and [`PAGE_SIZE_BYTES_MAX`]; then the connection is closed.
pub(super) async fn probe(address: &str) -> Answer {
    let connected = tokio::time::timeout(TIME_MAX, TcpStream::connect(address)).await;
    let Ok(Ok(stream)) = connected else { return Answer::Closed };
    match tokio::time::timeout(TIME_MAX, read(stream, address)).await {
        Ok(Ok(page)) => Answer::Page(recognize(&page)),
        Ok(Err(reason)) => Answer::Unreadable(reason),
        Err(_) => Answer::Unreadable(format!("no page within {} s", TIME_MAX.as_secs())),
    }
}

async fn read(stream: TcpStream, address: &str) -> Result<Vec<u8>, String> {
    let failed = |error: hyper::Error| format!("no HTTP: {error}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let connection = tokio::spawn(connection);
    let page = request(&mut sender, address).await;
    // The rest of a long page is not wanted: dropping the connection tells the other side so.
    connection.abort();
    page
}

async fn request(sender: &mut http1::SendRequest<Empty<Bytes>>, address: &str) -> Result<Vec<u8>, String> {
    let request = Request::get("/metrics")
        .header("host", address)
        .header("user-agent", concat!("skep/", env!("CARGO_PKG_VERSION")))
        .header("accept", "text/plain;version=0.0.4")
        .body(Empty::new())
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| format!("no HTTP: {error}"))?;
    if response.status() != hyper::StatusCode::OK {
        return Err(format!("HTTP status {}", response.status()));
    }
    let mut body = response.into_body();
    let mut page = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the page breaks off: {error}"))?;
        page.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if page.len() >= PAGE_SIZE_BYTES_MAX {
            page.truncate(PAGE_SIZE_BYTES_MAX);
            break;
        }
    }
    Ok(page)
}
