//! Mail to a real server: Debian's `python3-aiosmtpd`, with STARTTLS, TLS from the beginning, and logins.

// Helpers of tests are no tests to clippy.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use catalog::Catalog;
use model::SystemClock;
use notify::{Notifier, decode};
use serde_json::Value;
use testkit::{Authority, poll_until};

/// Tells its port, then a line of JSON of every mail.
const SERVER: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
way, without, cert, key = sys.argv[1:5]
def say(value):
    print(json.dumps(value), flush=True)
class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        part = lambda kind: (lambda part: part and part.get_content())(mail.get_body(preferencelist=(kind,)))
        say({"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": session.ssl is not None or way == "implicit",
             "user": session.auth_data,
             "headers": {k: str(v) for k, v in mail.items()}, "plain": part("plain"), "html": part("html")})
        return "250 taken"
def check(server, session, envelope, mechanism, data):
    good = data.login == b"u" and data.password == b"p"
    return AuthResult(success=good, handled=False, auth_data=data.login.decode() + " by " + mechanism)
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(cert, key)
def server():
    return SMTP(Handler(), hostname="mail.test", tls_context=tls if way == "starttls" else None, authenticator=check,
                auth_required=way != "plain", auth_require_tls=way == "starttls", auth_exclude_mechanism=[without])
async def main():
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(server, "127.0.0.1", 0, ssl=tls if way == "implicit" else None)
    say(listening.sockets[0].getsockname()[1])
    await listening.serve_forever()
asyncio.run(main())
"#;

struct Server {
    child: Child,
    port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// `None` where Debian's package is not installed.
    fn start(folder: &Path, way: &str, without: &str) -> Option<Self> {
        if !Path::new("/usr/lib/python3/dist-packages/aiosmtpd").exists() {
            eprintln!("SKIPPED: no server of mail; install python3-aiosmtpd");
            return None;
        }
        let mut child = Command::new("/usr/bin/python3")
            .args(["-c", SERVER, way, without])
            .args([folder.join("cert"), folder.join("key")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let mails = Arc::new(Mutex::new(Vec::new()));
        let heard = mails.clone();
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        Some(Self { child, port, mails })
    }
}

struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new().unwrap();
        let identity = authority.sign(&["127.0.0.1", "localhost"]).unwrap();
        for (name, text) in [("ca", &authority.pem()), ("cert", &identity.cert), ("key", &identity.key)] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("password"), "p\n").unwrap();
        Self { folder }
    }

    /// Sends a test; gives the problem, if any.
    async fn send(&self, port: u16, keys: &str) -> Option<String> {
        let text = format!(
            "route: {{receiver: r}}\nreceivers:\n- name: r\n  email_configs:\n  - {{to: 'a@example.org, \"B, C\" <b@example.org>', \
             from: 'Skep <skep@example.org>', smarthost: 'localhost:{port}', hello: box.test{keys}}}\n"
        );
        let report = yaml::Report::default();
        let config = decode(&self.folder.path().join("am.yml").display().to_string(), &text, &report);
        assert_eq!(report.into_problems(), []);
        let store = Arc::new(Catalog::open(&self.folder.path().join("catalog")).unwrap());
        let url = "http://skep.test".to_owned();
        let notifier = Notifier::start(config.unwrap(), url, Arc::new(SystemClock), store);
        let trials = notifier.test("r").await.unwrap();
        assert_eq!(notifier.test("nobody").await, None);
        notifier.stop().await;
        assert_eq!(trials[0].integration, "email[0]");
        trials[0].problem.clone()
    }
}

const LOGIN: &str = ", tls_config: {ca_file: ca}, auth_username: u, auth_password_file: password";

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_takes_mail() {
    let scene = Scene::new();
    let extra = r#", headers: {subject: 'Größe {{ .GroupLabels.alertname }}', x-a: b}, text: "{{ range .Alerts }}.{{ .Annotations.summary }}\n.\nend{{ end }}""#;
    for (way, without, keys, user, tls) in [
        ("starttls", "LOGIN", "", "u by PLAIN", true),
        ("starttls", "PLAIN", extra, "u by LOGIN", true),
        ("implicit", "LOGIN", ", force_implicit_tls: true", "u by PLAIN", true),
        ("plain", "LOGIN", ", require_tls: false", "u by PLAIN", false),
    ] {
        let Some(server) = Server::start(scene.folder.path(), way, without) else { return };
        assert_eq!(scene.send(server.port, &format!("{LOGIN}{keys}")).await, None, "{way} {without}");
        let mail = poll_until("the mail", || server.mails.lock().unwrap().first().cloned());
        let name = format!("{way} {without} {mail}");
        assert_eq!(mail["from"], "skep@example.org", "{name}");
        assert_eq!(mail["to"], serde_json::json!(["a@example.org", "b@example.org"]), "{name}");
        assert_eq!((mail["user"].as_str().unwrap_or_default(), mail["tls"].as_bool().unwrap()), (user, tls), "{name}");
        assert!(mail["html"].as_str().unwrap().contains("<b>SkepTest</b>"), "{name}");
        let headers = &mail["headers"];
        if keys == extra {
            assert_eq!((&headers["Subject"], &headers["X-A"]), (&"Größe SkepTest".into(), &"b".into()), "{name}");
            let plain = mail["plain"].as_str().unwrap().replace("\r\n", "\n");
            assert_eq!(plain, ".A test of the receiver \"r\"\n.\nend", "{name}");
        } else {
            assert_eq!(headers["Subject"], "[FIRING:1] SkepTest (info)", "{name}");
        }
        assert!(headers["Date"].as_str().unwrap().ends_with("+0000"), "{name}");
        assert_eq!(server.mails.lock().unwrap().len(), 1, "the end of alerts is not mailed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn says_why_a_server_did_not_take_mail() {
    let scene = Scene::new();
    let check = async |way: &str, keys: &str, expected: &str| {
        let Some(server) = Server::start(scene.folder.path(), way, "LOGIN") else { return };
        let problem = scene.send(server.port, keys).await.unwrap_or_default();
        assert!(problem.contains(expected), "{way} {keys}: {problem}");
        assert!(!problem.contains("cA=="), "no password is shown: {problem}");
    };
    check("plain", "", "does not advertise the STARTTLS extension").await;
    check("starttls", ", auth_username: u, auth_password: p", "TLS: ").await;
    check("starttls", ", tls_config: {ca_file: ca}", "530 5.7.0 Authentication required").await;
    check("starttls", ", tls_config: {ca_file: ca}, auth_username: u, auth_password: wrong", "AUTH PLAIN: 535").await;
    check("starttls", ", tls_config: {ca_file: ca}, auth_username: u", "missing password for PLAIN auth mechanism")
        .await;
    check("starttls", ", tls_config: {ca_file: ca}, auth_username: u, auth_password_file: none", "none: No such file")
        .await;
    assert!(scene.send(1, "").await.unwrap().contains("connect to localhost:1"));
}
