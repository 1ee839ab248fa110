//! Every setting of a client against a real server or proxy of that kind.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use client::config::{
    Auth, Authorization, BasicAuth, Header, HttpConfig, OAuth2, ProxyConfig, Secret, Source, TlsConfig, TlsVersion,
};
use client::{Network, Transport};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use testkit::{Answered, Asked, Authority, Identity, Web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Tests wait at most so long for what they expect.
const DEADLINE: Duration = Duration::from_secs(60);

fn inline(text: &str) -> Source {
    Source::Inline(Secret::new(text))
}

fn ok(_: &Asked) -> Answered {
    (200, Vec::new(), b"page".to_vec())
}

fn transport(config: &HttpConfig) -> Arc<Transport> {
    Network::default().transport(config)
}

/// The body of a successful answer, or status or failure in words.
async fn get(transport: &Transport, url: &str) -> String {
    let request = Request::get(url).body(Full::<Bytes>::default()).unwrap();
    match transport.send(request).await {
        Ok(response) if response.status() == StatusCode::OK => {
            String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
        }
        Ok(response) => response.status().to_string(),
        Err(failure) => failure.to_string(),
    }
}

/// Asks a server with TLS under the name that its certificate has.
async fn check_tls(server: &Web, tls: TlsConfig, expected: &str) {
    let url = format!("https://localhost:{}/", server.port());
    let got = get(&transport(&HttpConfig { tls: tls.clone(), ..HttpConfig::default() }), &url).await;
    let got = got.replace(&server.port().to_string(), "PORT");
    assert_eq!(got, expected, "{tls:?}");
}

fn trusting(authority: &Authority) -> TlsConfig {
    TlsConfig { ca: Some(inline(&authority.pem())), ..TlsConfig::default() }
}

#[tokio::test]
async fn servers_prove_who_they_are() {
    let authority = Authority::new().unwrap();
    let other = Authority::new().unwrap();
    let server = Web::start(Some(authority.sign(&["localhost"]).unwrap().server(None, false).unwrap()), ok).unwrap();
    let unknown = "TLS with localhost:PORT: the certificate is signed by an unknown authority";
    check_tls(&server, trusting(&authority), "page").await;
    check_tls(&server, trusting(&other), unknown).await;
    check_tls(&server, TlsConfig::default(), unknown).await;
    let insecure = TlsConfig { insecure_skip_verify: true, ..TlsConfig::default() };
    check_tls(&server, insecure, "page").await;
    let renamed = TlsConfig { server_name: Some("elsewhere".to_owned()), ..trusting(&authority) };
    let server_name = "TLS with localhost:PORT: the certificate is not for \"elsewhere\"";
    check_tls(&server, renamed, server_name).await;
    let elsewhere = authority.sign(&["elsewhere"]).unwrap().server(None, false).unwrap();
    let elsewhere = Web::start(Some(elsewhere), ok).unwrap();
    let renamed = TlsConfig { server_name: Some("elsewhere".to_owned()), ..trusting(&authority) };
    check_tls(&elsewhere, renamed, "page").await;
    let plain = Web::start(None, ok).unwrap();
    check_tls(&plain, trusting(&authority), "TLS with localhost:PORT: the answer is not TLS").await;
}

#[tokio::test]
async fn a_certificate_may_be_its_own_authority() {
    let own = Authority::self_signed(&["localhost"]).unwrap();
    let server = Web::start(Some(own.server(None, false).unwrap()), ok).unwrap();
    let trusting = |name: Option<&str>| TlsConfig {
        ca: Some(inline(&own.cert)),
        server_name: name.map(str::to_owned),
        ..TlsConfig::default()
    };
    check_tls(&server, trusting(None), "page").await;
    let wrong = "TLS with localhost:PORT: the certificate is not for \"elsewhere\"";
    check_tls(&server, trusting(Some("elsewhere")), wrong).await;
    let other = Authority::self_signed(&["localhost"]).unwrap();
    let other = Web::start(Some(other.server(None, false).unwrap()), ok).unwrap();
    let url = format!("https://localhost:{}/", other.port());
    let got = get(&transport(&HttpConfig { tls: trusting(None), ..HttpConfig::default() }), &url).await;
    assert!(got.starts_with("TLS with localhost"), "{got}");
}

#[tokio::test]
async fn versions_of_tls() {
    let authority = Authority::new().unwrap();
    let newest = authority.sign(&["localhost"]).unwrap().server(None, true).unwrap();
    let server = Web::start(Some(newest), ok).unwrap();
    let between = |min: Option<TlsVersion>, max: Option<TlsVersion>| TlsConfig {
        min_version: min,
        max_version: max,
        ..trusting(&authority)
    };
    check_tls(&server, between(Some(TlsVersion::Tls10), None), "page").await;
    check_tls(&server, between(Some(TlsVersion::Tls13), Some(TlsVersion::Tls13)), "page").await;
    let refused = "TLS with localhost:PORT: received fatal alert: ProtocolVersion";
    check_tls(&server, between(None, Some(TlsVersion::Tls12)), refused).await;
    let none = "min_version and max_version leave neither TLS 1.2 nor TLS 1.3, and older ones are not spoken";
    check_tls(&server, between(None, Some(TlsVersion::Tls11)), none).await;
}

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn write_identity(folder: &Path, identity: &Identity) -> TlsConfig {
    TlsConfig {
        cert: Some(Source::File(write(folder, "cert", &identity.cert))),
        key: Some(Source::File(write(folder, "key", &identity.key))),
        ..TlsConfig::default()
    }
}

#[tokio::test]
async fn certificates_of_clients_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new().unwrap(), Authority::new().unwrap());
    let identity = |of: &Authority| of.sign(&["client"]).unwrap();
    let serve = |clients| {
        let settings = old.sign(&["localhost"]).unwrap().server(Some(clients), false).unwrap();
        Web::start(Some(settings), ok).unwrap()
    };
    let (of_old, of_new) = (serve(&old), serve(&new));
    let tls = TlsConfig { ca: trusting(&old).ca, ..write_identity(folder.path(), &identity(&old)) };
    let client = transport(&HttpConfig { tls: tls.clone(), ..HttpConfig::default() });
    let (old_url, new_url) =
        (format!("https://localhost:{}/", of_old.port()), format!("https://localhost:{}/", of_new.port()));
    assert_eq!(get(&client, &old_url).await, "page");
    // The refusal comes after the client's part of the handshake and may be lost with the connection.
    let answer = get(&client, &new_url).await;
    let closed = "the server closed the connection before it answered";
    assert!(answer.contains("received fatal alert") || answer == closed, "{answer}");
    write_identity(folder.path(), &identity(&new));
    until(&client, &new_url, |answer| answer == "page").await;
    std::fs::remove_file(folder.path().join("key")).unwrap();
    let missing = format!("cannot read {}: No such file", folder.path().join("key").display());
    until(&client, &new_url, |answer| answer.starts_with(&missing)).await;
    write(folder.path(), "key", "nonsense");
    until(&client, &new_url, |answer| answer == "the client's key is no key in PEM").await;
}

/// Asks again until the answer is as expected: files are looked at once a second.
async fn until(client: &Transport, url: &str, expected: impl Fn(&str) -> bool) {
    let start = Instant::now();
    loop {
        let answer = get(client, url).await;
        if expected(&answer) {
            return;
        }
        assert!(start.elapsed() < DEADLINE, "still {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn http2_is_spoken_where_both_want_it() {
    let authority = Authority::new().unwrap();
    let server = Web::start(Some(authority.sign(&["localhost"]).unwrap().server(None, false).unwrap()), ok).unwrap();
    let url = format!("https://localhost:{}/", server.port());
    for enable_http2 in [true, false] {
        let config = HttpConfig { tls: trusting(&authority), enable_http2, ..HttpConfig::default() };
        let client = transport(&config);
        let before = server.connections();
        for _ in 0..3 {
            assert_eq!(get(&client, &url).await, "page");
        }
        assert_eq!(server.requests().last().map(|asked| asked.http2), Some(enable_http2));
        assert_eq!(server.connections() - before, 1, "one connection is kept");
    }
}

/// What a request looks like that a client with this configuration sends.
async fn check_header(config: HttpConfig, name: &str, expected: &str) {
    let server = Web::start(None, ok).unwrap();
    let answer = get(&transport(&config), &format!("http://{}/", server.address())).await;
    let got = server.requests().first().map_or(answer, |asked| asked.header(name));
    assert_eq!(got, expected, "{config:?}");
}

#[tokio::test]
async fn credentials_and_headers() {
    let folder = tempfile::tempdir().unwrap();
    let with = |auth| HttpConfig { auth, ..HttpConfig::default() };
    let basic = BasicAuth { username: inline("u"), password: Source::File(write(folder.path(), "p", "p\n")) };
    check_header(with(Auth::Basic(basic)), "authorization", "Basic dTpw").await;
    let bearer = |credentials| Auth::Authorization(Authorization { kind: "Bearer".to_owned(), credentials });
    check_header(with(bearer(inline("t"))), "authorization", "Bearer t").await;
    check_header(with(bearer(Source::default())), "authorization", "Bearer").await;
    let token = write(folder.path(), "t", " t2 \n");
    check_header(with(bearer(Source::File(token))), "authorization", "Bearer t2").await;
    let absent = folder.path().join("absent");
    let missing = format!("cannot read {}: No such file or directory (os error 2)", absent.display());
    check_header(with(bearer(Source::File(absent))), "authorization", &missing).await;
    let unsendable = "the credentials hold characters that no header may have";
    check_header(with(bearer(inline("a\nb"))), "authorization", unsendable).await;
    let header = Header {
        name: "X-A".to_owned(),
        values: vec!["a".to_owned(), "b".to_owned()],
        secrets: vec![Secret::new("c")],
        files: vec![write(folder.path(), "h", "d\n")],
    };
    check_header(HttpConfig { headers: vec![header], ..HttpConfig::default() }, "x-a", "a, b, c, d").await;
}

/// A server of tokens and pages: `/token` gives tokens that are numbered, `/page` wants the newest one.
fn token_server(expires_in: u64, wants_body: bool) -> Web {
    let given = Arc::new(AtomicUsize::new(0));
    let revoked = AtomicUsize::new(0);
    Web::start(None, move |asked| match asked.uri.path() {
        "/token" if wants_body && !asked.body.contains("client_secret=s") => (401, Vec::new(), Vec::new()),
        "/token" => {
            let number = given.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!("{{\"access_token\":\"t{number}\",\"expires_in\":{expires_in}}}");
            (200, vec![("content-type", "application/json".to_owned())], body.into_bytes())
        }
        "/revoke" => {
            revoked.store(given.load(Ordering::SeqCst), Ordering::SeqCst);
            (200, Vec::new(), Vec::new())
        }
        _ => {
            let token = asked.header("authorization");
            let good = token.strip_prefix("Bearer t").and_then(|number| number.parse().ok());
            let good = good.is_some_and(|number: usize| number > revoked.load(Ordering::SeqCst));
            (if good { 200 } else { 401 }, Vec::new(), token.into_bytes())
        }
    })
    .unwrap()
}

fn oauth(server: &Web) -> HttpConfig {
    let oauth = OAuth2 {
        client_id: "c d".to_owned(),
        client_secret: inline("s"),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        token_url: format!("http://{}/token", server.address()),
        endpoint_params: vec![("x".to_owned(), "y z".to_owned())],
        ..OAuth2::default()
    };
    HttpConfig { auth: Auth::OAuth2(Box::new(oauth)), ..HttpConfig::default() }
}

/// The answers to requests for these paths, and how many tokens were asked for.
async fn check_oauth(server: &Web, paths: &[(&str, &str)], tokens: usize) {
    let client = transport(&oauth(server));
    for (path, expected) in paths {
        assert_eq!(get(&client, &format!("http://{}{path}", server.address())).await, *expected, "{path}");
    }
    let asked = server.requests().into_iter().filter(|asked| asked.uri.path() == "/token");
    assert_eq!(asked.count(), tokens);
}

#[tokio::test]
async fn tokens_are_fetched_and_kept() {
    let server = token_server(3600, false);
    check_oauth(&server, &[("/page", "Bearer t1"), ("/page", "Bearer t1")], 1).await;
    let asked = server.requests().remove(0);
    // What Prometheus 3.5 sends, letter by letter.
    assert_eq!(asked.body, "grant_type=client_credentials&scope=a+b&x=y+z");
    assert_eq!(asked.header("authorization"), "Basic YytkOnM=");
    assert_eq!(asked.header("content-type"), "application/x-www-form-urlencoded");
    // One that expires within seconds is not used twice.
    check_oauth(&token_server(9, false), &[("/page", "Bearer t1"), ("/page", "Bearer t2")], 2).await;
    // The credentials go into the body where the server wants them there, which is found out once.
    check_oauth(&token_server(9, true), &[("/page", "Bearer t1"), ("/page", "Bearer t2")], 3).await;
    // A token that was refused is not used again.
    let revoked = [("/page", "Bearer t1"), ("/revoke", ""), ("/page", "401 Unauthorized"), ("/page", "Bearer t2")];
    check_oauth(&token_server(3600, false), &revoked, 2).await;
}

#[tokio::test]
async fn no_token_no_request() {
    let server = Web::start(None, |_| (400, Vec::new(), b"{\"error\":\"invalid_scope\"}".to_vec())).unwrap();
    check_oauth(&server, &[("/page", "oauth2: \"invalid_scope\"")], 2).await;
}

fn through(proxy: &str, no_proxy: &str) -> ProxyConfig {
    ProxyConfig { url: Some(Secret::new(proxy)), no_proxy: no_proxy.to_owned(), ..ProxyConfig::default() }
}

#[tokio::test]
async fn proxies() {
    let authority = Authority::new().unwrap();
    let identity = authority.sign(&["localhost", "server.test"]).unwrap();
    let plain = Web::start(None, ok).unwrap();
    let secure = Web::start(Some(identity.server(None, false).unwrap()), ok).unwrap();
    let mut tls_of_proxy = identity.server(None, false).unwrap();
    tls_of_proxy.alpn_protocols = vec![b"http/1.1".to_vec()];
    let http_proxy = Web::proxy(None, Some("Basic dTpw")).unwrap();
    let https_proxy = Web::proxy(Some(tls_of_proxy), None).unwrap();
    let urls = [format!("http://server.test:{}/a?b", plain.port()), format!("https://server.test:{}/a", secure.port())];
    let proxies = [format!("http://u:p@{}", http_proxy.address()), format!("https://localhost:{}", https_proxy.port())];
    for proxy in &proxies {
        let mut settings = through(proxy, "");
        settings.connect_headers = vec![("X-P".to_owned(), vec![Secret::new("v")])];
        let client = transport(&HttpConfig { proxy: settings, tls: trusting(&authority), ..HttpConfig::default() });
        for url in &urls {
            assert_eq!(get(&client, url).await, "page", "{url} by {proxy}");
        }
    }
    for proxy in [&http_proxy, &https_proxy] {
        let asked = proxy.requests();
        let asked: Vec<_> = asked.iter().map(|asked| (asked.method.as_str(), asked.uri.to_string())).collect();
        let tunnel = format!("server.test:{}", secure.port());
        assert_eq!(asked, [("GET", urls[0].clone()), ("CONNECT", tunnel)]);
    }
    assert_eq!(http_proxy.requests()[1].header("x-p"), "v");
    assert!(plain.requests().iter().all(|asked| asked.uri == "/a?b"));
    let refused = through(&format!("http://{}", http_proxy.address()), "");
    let client = transport(&HttpConfig { proxy: refused, ..HttpConfig::default() });
    assert_eq!(get(&client, &urls[0]).await, "407 Proxy Authentication Required");
    let status = format!("proxy {} answered CONNECT with 407 Proxy Authentication Required", http_proxy.address());
    assert_eq!(get(&client, &urls[1]).await, status);
    // This machine itself is reached without it, where there are exceptions at all.
    let client = transport(&HttpConfig { proxy: through("http://127.0.0.1:1", "x"), ..HttpConfig::default() });
    assert_eq!(get(&client, &format!("http://{}/", plain.address())).await, "page");
    let client = transport(&HttpConfig { proxy: through("http://127.0.0.1:1", ""), ..HttpConfig::default() });
    let down = "cannot connect to 127.0.0.1:1: Connection refused";
    assert_eq!(get(&client, &format!("http://{}/", plain.address())).await, down);
}

/// A SOCKS proxy (RFC 1928, RFC 1929) that asks for the user `u` with the password `p%` where it asks for one, and takes all
/// names for this machine. It tells what it was asked for.
async fn socks(wants_user: bool) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (told, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(relay(stream, wants_user, told.clone()));
        }
    });
    (address, asked)
}

async fn relay(mut stream: TcpStream, wants_user: bool, told: mpsc::UnboundedSender<String>) -> io::Result<()> {
    let mut greeting = [0; 3];
    stream.read_exact(&mut greeting).await?;
    let method = if wants_user { 2 } else { 0 };
    if greeting != [5, 1, method] {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, method]).await?;
    if wants_user {
        let mut user = [0; 6];
        stream.read_exact(&mut user).await?;
        let right = user == [1, 1, b'u', 2, b'p', b'%'];
        stream.write_all(&[1, u8::from(!right)]).await?;
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let host = match head {
        [5, 1, 0, 1] => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        _ => {
            let mut name = vec![0; usize::from(stream.read_u8().await?)];
            stream.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    let port = stream.read_u16().await?;
    let _ = told.send(format!("{host}:{port}"));
    let refused = host == "refused.test";
    stream.write_all(&[5, if refused { 2 } else { 0 }, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if refused {
        return Ok(());
    }
    let mut server = TcpStream::connect(("127.0.0.1", port)).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut server).await.map(drop)
}

#[tokio::test]
async fn socks_proxies() {
    let authority = Authority::new().unwrap();
    let identity = authority.sign(&["server.test"]).unwrap();
    let plain = Web::start(None, |asked| (200, Vec::new(), asked.uri.to_string().into_bytes())).unwrap();
    let secure = Web::start(Some(identity.server(None, false).unwrap()), ok).unwrap();
    let (open, mut asked) = socks(false).await;
    let (closed, mut asked_closed) = socks(true).await;
    let by = |proxy: String| {
        transport(&HttpConfig { proxy: through(&proxy, ""), tls: trusting(&authority), ..HttpConfig::default() })
    };
    let (http, https) =
        (format!("http://server.test:{}/a?b", plain.port()), format!("https://server.test:{}/", secure.port()));
    for client in [by(format!("socks5://{open}")), by(format!("socks5h://u:p%25@{closed}"))] {
        // The server is asked as if there were no proxy.
        assert_eq!(get(&client, &http).await, "/a?b");
        assert_eq!(get(&client, &https).await, "page");
    }
    let names = [format!("server.test:{}", plain.port()), format!("server.test:{}", secure.port())];
    for asked in [&mut asked, &mut asked_closed] {
        assert_eq!([asked.recv().await.unwrap(), asked.recv().await.unwrap()], names);
    }
    let check = async |proxy: String, url: &str, expected: String| assert_eq!(get(&by(proxy), url).await, expected);
    let address = format!("http://127.0.0.1:{}/c", plain.port());
    check(format!("socks5://{open}"), &address, "/c".to_owned()).await;
    let refused = format!("SOCKS proxy {open}, asked for refused.test:80: connection not allowed");
    check(format!("socks5://{open}"), "http://refused.test/", refused).await;
    let unknown = format!("SOCKS proxy {closed}, asked for server.test:80: credentials not accepted");
    check(format!("socks5://u:pq@{closed}"), "http://server.test/", unknown).await;
    let down = "cannot connect to 127.0.0.1:1: Connection refused".to_owned();
    check("socks5://127.0.0.1:1".to_owned(), "http://server.test/", down).await;
}

/// A server that redirects `/to/N` to `/to/N-1`, `/away` to another host, and answers the rest with what it was told.
fn redirecting(away: &str) -> Web {
    let away = away.to_owned();
    Web::start(None, move |asked| {
        let path = asked.uri.path().to_owned();
        let to = match path.strip_prefix("/to/").and_then(|number| number.parse::<u32>().ok()) {
            Some(0) => return (200, Vec::new(), asked.header("authorization").into_bytes()),
            Some(number) => format!("/to/{}", number - 1),
            None => away.clone(),
        };
        let status = if path == "/away" { 302 } else { 307 };
        (status, vec![("location", to)], Vec::new())
    })
    .unwrap()
}

#[tokio::test]
async fn redirects() {
    let other = Web::start(None, |asked| {
        let seen = format!("{} {} {}", asked.method, asked.header("authorization"), asked.header("x-key"));
        (200, Vec::new(), seen.into_bytes())
    })
    .unwrap();
    let server = redirecting(&format!("http://{}/", other.address()));
    let config = HttpConfig {
        auth: Auth::Basic(BasicAuth { username: inline("u"), password: inline("p") }),
        headers: vec![Header { name: "X-Key".to_owned(), secrets: vec![Secret::new("s")], ..Header::default() }],
        ..HttpConfig::default()
    };
    let client = transport(&config);
    let url = |path: &str| format!("http://{}{path}", server.address());
    assert_eq!(get(&client, &url("/to/9")).await, "Basic dTpw");
    assert_eq!(get(&client, &url("/to/10")).await, "stopped after 10 redirects");
    assert_eq!(get(&client, &url("/away")).await, "GET  ", "no credentials for another host");
    // Nothing is lost by asking elsewhere without what was to be sent.
    for (path, expected) in [("/to/1", 200), ("/away", 302)] {
        let request = Request::post(url(path)).body(Full::from("x")).unwrap();
        assert_eq!(client.send(request).await.unwrap().status(), expected, "{path}");
    }
    let still = transport(&HttpConfig { follow_redirects: false, ..config });
    assert_eq!(get(&still, &url("/away")).await, "302 Found");
}

#[tokio::test]
async fn failures_are_short_and_clear() {
    let check = async |url: &str, expected: &str| {
        assert_eq!(get(&transport(&HttpConfig::default()), url).await, expected, "{url}");
    };
    check("http://127.0.0.1:1/", "cannot connect to 127.0.0.1:1: Connection refused").await;
    check("ftp://127.0.0.1/", "unsupported protocol scheme \"ftp\"").await;
    let unresolved = get(&transport(&HttpConfig::default()), "http://no-such-host.invalid/").await;
    assert!(unresolved.starts_with("cannot resolve no-such-host.invalid: "), "{unresolved}");
    let bad_proxy = HttpConfig { proxy: through("socks4://user:secret@x:1", ""), ..HttpConfig::default() };
    let got = get(&transport(&bad_proxy), "http://127.0.0.1:1/").await;
    assert_eq!(got, "proxies of the scheme \"socks4\" are not spoken to; known: http, https, socks5, socks5h");
}

#[test]
fn secrets_are_not_shown() {
    let config = HttpConfig {
        auth: Auth::Basic(BasicAuth { username: inline("marker"), password: inline("marker") }),
        proxy: through("http://u:marker@p", ""),
        ..HttpConfig::default()
    };
    assert!(!format!("{config:?}").contains("marker"));
}
