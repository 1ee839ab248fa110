//! The real programs that skep is compared with: Prometheus, promtool, Alertmanager, node_exporter.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs, io};

use crate::poll_until;

/// Names the folder with the peers' programs. `cargo xtask test` sets it.
pub const PEERS_VARIABLE: &str = "SKEP_PEERS";

/// The program of this name in the folder that [`PEERS_VARIABLE`] names. Where there is none, a line says that the test
/// is skipped.
pub fn peer(program: &str) -> Option<PathBuf> {
    let Some(folder) = env::var_os(PEERS_VARIABLE) else {
        eprintln!("SKIPPED: no {program} to compare with; {PEERS_VARIABLE} names the folder of the peers");
        return None;
    };
    let path = Path::new(&folder).join(program);
    if !path.is_file() {
        eprintln!("SKIPPED: no {program} to compare with in {PEERS_VARIABLE}={}", folder.display());
        return None;
    }
    Some(path)
}

/// A running Prometheus; dropping it kills it.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    port: u16,
}

impl Prometheus {
    /// Starts it on a free port of the loopback with its configuration and data in `folder`, and waits until it is
    /// ready.
    pub fn start(program: &Path, folder: &Path, config: &str, args: &[&str]) -> io::Result<Self> {
        Self::start_by(Command::new(program), folder, config, args)
    }

    /// The same by a command that ends as Prometheus with further arguments.
    pub fn start_by(mut command: Command, folder: &Path, config: &str, args: &[&str]) -> io::Result<Self> {
        let file = folder.join("prometheus.yml");
        fs::write(&file, config)?;
        let port = free_port()?;
        let child = command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", Self::data(folder).display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let peer = Self { child, port };
        let ready = format!("{}/-/ready", peer.url());
        poll_until("Prometheus to be ready", || ureq::get(&ready).call().ok());
        Ok(peer)
    }

    /// Where one that was started in `folder` keeps its samples.
    pub fn data(folder: &Path) -> PathBuf {
        folder.join("prometheus")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `http://ADDR:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The body of a GET.
    pub fn get(&self, path: &str) -> io::Result<String> {
        let mut answer = ureq::get(format!("{}{path}", self.url())).call().map_err(io::Error::other)?;
        answer.body_mut().with_config().limit(u64::MAX).read_to_string().map_err(io::Error::other)
    }

    /// The status of a POST.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<u16> {
        let request = ureq::post(format!("{}{path}", self.url()));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Ok(request.send(body).map_err(io::Error::other)?.status().as_u16())
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it with SIGTERM, so that everything is on the disk.
    pub fn stop(mut self) -> io::Result<()> {
        Command::new("kill").arg(self.pid().to_string()).status()?;
        self.child.wait().map(drop)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port of the loopback that nobody listens on, for programs that cannot choose one.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
