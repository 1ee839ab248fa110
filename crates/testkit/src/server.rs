//! The real skep as a child process.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end after SIGTERM before it is killed; skep promises five seconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Polls give up after this time; it is long because the machines that run tests are shared.
const POLL_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two polls.
const POLL_PAUSE: Duration = Duration::from_millis(25);

/// How a server is to be started.
#[derive(Debug)]
pub struct ServerBuilder {
    command: Command,
}

/// A running server. Dropping it stops it with SIGTERM, then SIGKILL.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    started: Duration,
    errors: Arc<Mutex<String>>,
    agent: ureq::Agent,
}

/// An HTTP answer; error statuses are answers too.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl ServerBuilder {
    /// `PROGRAM serve` on a free port of the loopback with this data folder.
    pub fn new(program: impl AsRef<Path>, data: impl AsRef<Path>) -> Self {
        Self::with_command(program, "serve", data)
    }

    /// The same with another subcommand, such as `demo`.
    pub fn with_command(program: impl AsRef<Path>, subcommand: &str, data: impl AsRef<Path>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args([subcommand, "--listen", "127.0.0.1:0", "--data-dir"]).arg(data.as_ref());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    /// Starts it by this command, which ends as the program that its arguments name: `unshare`, for one.
    pub fn within(self, mut wrapper: Command) -> Self {
        wrapper.arg(self.command.get_program()).args(self.command.get_args());
        wrapper.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command: wrapper }
    }

    /// A further argument.
    pub fn arg(mut self, arg: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Starts it and waits for the `listening on` line. The error carries what the program said.
    pub fn start(mut self) -> io::Result<Server> {
        let begin = Instant::now();
        let mut child = self.command.spawn()?;
        let errors = collect_errors(&mut child);
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let started = begin.elapsed();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            let status = child.wait()?;
            thread::sleep(POLL_PAUSE);
            let said = errors.lock().unwrap_or_else(PoisonError::into_inner).clone();
            return Err(io::Error::other(format!("{status}: {said}")));
        };
        let agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(POLL_TIMEOUT)).build().into();
        Ok(Server { child, url: url.to_owned(), started, errors, agent })
    }

    /// Runs it to its end: for starts that are expected to fail. Gives the exit code and what it said on stderr.
    pub fn run(mut self) -> io::Result<(Option<i32>, String)> {
        let output = self.command.output()?;
        Ok((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()))
    }
}

impl Server {
    /// `http://ADDR:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// From the start of the process to the `listening on` line.
    pub fn started(&self) -> Duration {
        self.started
    }

    /// What it has said on stderr so far.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// GET of a path with query.
    pub fn get(&self, path: &str) -> io::Result<Response> {
        response(self.agent.get(format!("{}{path}", self.url)).call())
    }

    /// POST of a body.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Response> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        response(request.send(body))
    }

    /// An instant query; the `result` of the answer as JSON text.
    pub fn query(&self, expression: &str, time: Option<i64>) -> io::Result<Response> {
        let time = time.map(|ms| format!("&time={}", ms as f64 / 1000.0)).unwrap_or_default();
        self.get(&format!("/api/v1/query?query={}{time}", escape(expression)))
    }

    /// Ends the process at once, as a power cut would end it.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Sends a signal by name, such as `HUP`.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("kill -{name}: {status}"))) }
    }

    /// Stops it with SIGTERM and waits.
    pub fn stop(mut self) -> io::Result<ExitStatus> {
        self.signal("TERM")?;
        self.wait_for_end()?.ok_or_else(|| io::Error::other("the server did not end after SIGTERM"))
    }

    fn wait_for_end(&mut self) -> io::Result<Option<ExitStatus>> {
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            thread::sleep(POLL_PAUSE);
        }
        Ok(None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let _ = self.signal("TERM");
        if !matches!(self.wait_for_end(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// Asks again and again until there is an answer; panics with `what` when the time is over.
#[allow(clippy::panic, reason = "a test helper fails by panicking")]
#[track_caller]
pub fn poll_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + POLL_TIMEOUT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(POLL_PAUSE);
    }
}

fn response(result: Result<http::Response<ureq::Body>, ureq::Error>) -> io::Result<Response> {
    let mut answer = result.map_err(io::Error::other)?;
    let headers = answer
        .headers()
        .iter()
        .map(|(n, v)| (n.as_str().to_owned(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
        .collect();
    let status = answer.status().as_u16();
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().read_to_end(&mut bytes)?;
    Ok(Response { status, body: String::from_utf8_lossy(&bytes).into_owned(), headers })
}

fn collect_errors(child: &mut Child) -> Arc<Mutex<String>> {
    let errors = Arc::new(Mutex::new(String::new()));
    if let Some(stderr) = child.stderr.take() {
        let into = Arc::clone(&errors);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut said = into.lock().unwrap_or_else(PoisonError::into_inner);
                said.push_str(&line);
                said.push('\n');
            }
        });
    }
    errors
}

pub(crate) fn escape(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
