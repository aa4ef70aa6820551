//! A server process: started, found ready, stopped or killed.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use thiserror::Error;

/// Between two looks at something that is waited for.
const POLL: Duration = Duration::from_millis(1);

/// How to start a server.
#[derive(Debug, Clone)]
pub struct ServerCommand {
    /// The binary.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How it shows that it is ready.
    pub ready: Ready,
    /// The file that collects everything the server prints. It grows over restarts.
    pub output: PathBuf,
}

/// How a server shows that it is ready, and where it is.
#[derive(Debug, Clone)]
pub enum Ready {
    /// It prints this text, followed by its address, e.g. `listening on http://`.
    Says(String),
    /// It takes connections at this address, which it was given.
    Accepts(SocketAddr),
}

impl ServerCommand {
    /// `millstream serve` on a free loopback port, with `data` as its data directory and `more` flags.
    #[must_use]
    pub fn millstream(program: &Path, data: &Path, output: &Path, more: &[&str]) -> Self {
        let mut arguments: Vec<String> = ["serve", "--listen", "127.0.0.1:0", "--data-dir"].map(String::from).to_vec();
        arguments.push(data.display().to_string());
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        Self {
            program: program.to_owned(),
            arguments,
            ready: Ready::Says("listening on http://".to_owned()),
            output: output.to_owned(),
        }
    }
}

/// Why a server did not come up.
#[derive(Debug, Error)]
pub enum StartError {
    /// The process could not be started, or its output not be read.
    #[error("the server cannot be started: {0}")]
    Process(#[from] io::Error),
    /// It ended before it was ready.
    #[error("the server ended with {status} before it was ready:\n{output}")]
    Ended {
        /// Its exit status.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// It was not ready in time.
    #[error("the server was not ready after {0:?}:\n{1}")]
    Late(Duration, String),
}

/// A running server. Dropping it kills the process.
#[derive(Debug)]
pub struct Server {
    child: Child,
    output: File,
    printed_before: u64,
    address: Option<SocketAddr>,
}

impl Server {
    /// Starts the process and does not wait for it to be ready.
    ///
    /// # Errors
    /// When the process cannot be started or its output file not be opened.
    pub fn spawn(command: &ServerCommand) -> io::Result<Self> {
        let output = OpenOptions::new().create(true).append(true).read(true).open(&command.output)?;
        let printed_before = output.metadata()?.len();
        let mut process = Command::new(&command.program);
        // What is in the environment for others must not configure the server.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MILLSTREAM_")) {
            process.env_remove(name);
        }
        let child = process
            .args(&command.arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?)
            .spawn()?;
        Ok(Self { child, output, printed_before, address: None })
    }

    /// Starts the process and waits until it is ready, at most `limit`.
    ///
    /// # Errors
    /// See [`StartError`]. A server that is late is killed.
    pub fn start(command: &ServerCommand, limit: Duration) -> Result<Self, StartError> {
        let mut server = Self::spawn(command)?;
        let started = Instant::now();
        loop {
            // The status is taken before the output is read: nothing is printed after the end.
            let ended = server.child.try_wait()?;
            let printed = server.printed()?;
            let ready = match &command.ready {
                Ready::Says(text) => address_after(&printed, text),
                Ready::Accepts(address) => TcpStream::connect(address).is_ok().then_some(*address),
            };
            if ready.is_some() {
                server.address = ready;
                return Ok(server);
            }
            if let Some(status) = ended {
                return Err(StartError::Ended { status, output: printed });
            }
            if started.elapsed() > limit {
                return Err(StartError::Late(limit, printed));
            }
            std::thread::sleep(POLL);
        }
    }

    /// The process's id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens; of a server that was only spawned, nothing is known.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// What it has printed since its start.
    ///
    /// # Errors
    /// When the output file cannot be read.
    pub fn printed(&self) -> io::Result<String> {
        let length = self.output.metadata()?.len().saturating_sub(self.printed_before);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.output.read_exact_at(&mut bytes, self.printed_before)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The most memory it ever had resident (VmHWM), in bytes; `None` where the system does not say.
    #[must_use]
    pub fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// SIGKILL, and the wait for the end.
    ///
    /// # Errors
    /// When the process cannot be killed or waited for.
    pub fn kill(mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and the wait for the end: its exit status, or `None` when it was still there after `limit` (it is killed
    /// then).
    ///
    /// # Errors
    /// When the process cannot be signalled or waited for.
    pub fn stop(mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("the process has no usable id"))?;
        kill_process(pid, Signal::TERM)?;
        let started = Instant::now();
        while started.elapsed() < limit {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(POLL);
        }
        Ok(None)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that follows `ready` in what was printed.
fn address_after(printed: &str, ready: &str) -> Option<SocketAddr> {
    let (_, rest) = printed.split_once(ready)?;
    let end = rest.find(|character: char| character.is_whitespace() || character == '/')?;
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_only_from_a_whole_line() {
        let ready = "listening on http://";
        assert_eq!(address_after("x\nlistening on http://127.0.0.1:45", ready), None);
        let expected = "127.0.0.1:4567".parse().ok();
        assert_eq!(address_after("x\nlistening on http://127.0.0.1:4567\n", ready), expected);
        assert_eq!(address_after("listening on http://127.0.0.1:4567/ y", ready), expected);
    }
}
