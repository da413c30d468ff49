//! The proxy under test: the real binary in a folder of its own.
//!
//! In a configuration `@name@` stands for a listener of the test's (`bind @fe@`): the socket listens
//! already when the process starts, which inherits it as `fd@N`. `@dir@` stands for the folder.
//! `@addr:name@` in place of that gives the address alone.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Client, Driver, Folder, LIMIT, wait_until};

/// A configuration with the socket of the runtime API, and placeholders replaced.
fn written_out(config: &str, meanings: &[(String, String)]) -> String {
    let text = format!("global\n    stats socket @dir@/admin.sock level admin\n{config}\n");
    meanings.iter().fold(text, |text, (placeholder, meaning)| text.replace(placeholder, meaning))
}

/// Text a process wrote so far.
type Written = Arc<Mutex<Vec<u8>>>;

/// A running process, killed when dropped.
pub struct Proxy {
    child: Child,
    folder: Arc<Folder>,
    addresses: BTreeMap<String, SocketAddr>,
    /// What stands for each placeholder.
    meanings: Vec<(String, String)>,
    stdout: Written,
    stderr: Written,
    readers: Vec<JoinHandle<()>>,
    ready: UnixDatagram,
    _unread: Option<std::process::ChildStderr>,
}

/// How to start one.
pub struct Builder {
    driver: Driver,
    folder: Arc<Folder>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listeners: BTreeMap<String, TcpListener>,
    unread: bool,
    address_space: Option<u64>,
}

impl Builder {
    /// Bytes of address space that it may have (RLIMIT_AS).
    pub fn address_space(mut self, bytes: u64) -> Self {
        self.address_space = Some(bytes);
        self
    }

    /// More command line.
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable of its environment.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its standard error has no reader.
    pub fn stderr_unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// A listener of the test's own in place of one made for this name.
    pub fn listener(mut self, name: &str, listener: TcpListener) -> Self {
        self.listeners.insert(name.to_owned(), listener);
        self
    }

    /// Works in a folder that exists, as after a restart.
    pub fn folder(mut self, folder: &Arc<Folder>) -> Self {
        self.folder = folder.clone();
        self
    }

    /// Writes a file into its folder before the start.
    pub fn write(&self, name: &str, text: &str) {
        self.folder.write(name, text);
    }

    /// The path of a file in its folder.
    pub fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.directory())
    }

    /// Starts it and waits until it serves.
    pub fn start(self, config: &str) -> Proxy {
        match self.try_start(config) {
            Ok(proxy) => proxy,
            Err(message) => panic!("the proxy did not start: {message}"),
        }
    }

    /// The same where the start may fail: what the process said then.
    pub fn try_start(mut self, config: &str) -> Result<Proxy, String> {
        let mut addresses = BTreeMap::new();
        let mut meanings = vec![("@dir@".to_owned(), self.directory())];
        for name in placeholders(&config.replace("@dir@", "")) {
            let listener = self
                .listeners
                .entry(name.clone())
                .or_insert_with(|| TcpListener::bind("127.0.0.1:0").expect("a free port"));
            let address = listener.local_addr().expect("an address");
            meanings.push((format!("@addr:{name}@"), address.to_string()));
            meanings.push((format!("@{name}@"), format!("fd@{}", listener.as_raw_fd())));
            addresses.insert(name, address);
        }
        let text = written_out(config, &meanings);
        let file = self.folder.write("haring.cfg", &text);
        let ready = self.folder.path().join("ready.sock");
        let _ = std::fs::remove_file(&ready);
        let ready_socket = UnixDatagram::bind(&ready).expect("a socket for readiness");
        ready_socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
        // Long runs test an optimised build.
        let binary = std::env::var_os("HARING_BINARY");
        let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_haring").into()));
        command
            .args(&self.arguments)
            .args(["-f", &file])
            .env("HARING_DRIVER", self.driver.name())
            .env("NOTIFY_SOCKET", &ready)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        hand_over(&mut command, self.listeners.values().map(|listener| listener.as_raw_fd()).collect());
        if let Some(bytes) = self.address_space {
            limit_memory(&mut command, bytes);
        }
        let mut child = command.spawn().expect("the binary starts");
        let stdout = Written::default();
        let stderr = Written::default();
        let mut readers = vec![collect(child.stdout.take().expect("a pipe"), stdout.clone())];
        let mut unread = child.stderr.take();
        if !self.unread {
            readers.push(collect(unread.take().expect("a pipe"), stderr.clone()));
        }
        let mut proxy = Proxy {
            child,
            folder: self.folder,
            addresses,
            meanings,
            stdout,
            stderr,
            readers,
            ready: ready_socket,
            _unread: unread,
        };
        let deadline = Instant::now() + LIMIT;
        let mut message = [0; 512];
        loop {
            match proxy.ready.recv(&mut message) {
                Ok(length) if message[..length].starts_with(b"READY=1") => return Ok(proxy),
                _ => {}
            }
            if let Some(status) = proxy.child.try_wait().expect("the state of the child") {
                proxy.join_readers();
                return Err(format!("{status}\n{}\n{text}", proxy.stderr()));
            }
            if Instant::now() > deadline {
                return Err(format!("not ready in time\n{}\n{text}", proxy.stderr()));
            }
        }
    }

    fn directory(&self) -> String {
        self.folder.path().to_str().expect("a plain name").to_owned()
    }
}

impl Proxy {
    /// Starts one with a configuration.
    pub fn start(driver: Driver, config: &str) -> Proxy {
        Proxy::build(driver).start(config)
    }

    /// For the cases that need more than a configuration.
    pub fn build(driver: Driver) -> Builder {
        Builder {
            driver,
            folder: Arc::new(Folder::new()),
            arguments: Vec::new(),
            environment: Vec::new(),
            listeners: BTreeMap::new(),
            unread: false,
            address_space: None,
        }
    }

    /// Writes another configuration over that of the start, for a reload.
    pub fn rewrite(&self, config: &str) {
        self.folder.write("haring.cfg", &written_out(config, &self.meanings));
    }

    /// Reloads as a service manager does: whether it succeeded, and what was said.
    pub fn ask_reload(&self) -> (bool, String) {
        let asked = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["reload", &self.pid().to_string()])
            .output()
            .expect("the binary runs");
        (asked.status.success(), String::from_utf8_lossy(&asked.stderr).into_owned())
    }

    /// Reloads; what was said of it.
    pub fn reload(&self) -> String {
        let (succeeded, said) = self.ask_reload();
        assert!(succeeded, "{said}");
        said
    }

    /// Where the listener of this name is.
    pub fn address(&self, name: &str) -> SocketAddr {
        *self.addresses.get(name).unwrap_or_else(|| panic!("no listener '{name}'"))
    }

    /// `http://address` of a listener, and a path.
    pub fn url(&self, name: &str, path: &str) -> String {
        format!("http://{}{path}", self.address(name))
    }

    /// A connection to a listener.
    pub fn client(&self, name: &str) -> Client {
        Client::connect(self.address(name))
    }

    /// The next message to the service manager, if one comes.
    pub fn notified(&self) -> Option<String> {
        let mut message = [0; 512];
        let mut length = None;
        wait_until(LIMIT, || {
            length = self.ready.recv(&mut message).ok();
            length.is_some()
        });
        length.map(|length| String::from_utf8_lossy(&message[..length]).into_owned())
    }

    /// Its folder, for another start.
    pub fn folder(&self) -> &Arc<Folder> {
        &self.folder
    }

    /// The Unix socket of the runtime API.
    pub fn admin_path(&self) -> std::path::PathBuf {
        self.folder.path().join("admin.sock")
    }

    /// Sends commands to the runtime API and returns the answer.
    pub fn admin(&self, command: &str) -> String {
        admin(&self.admin_path(), command)
    }

    /// One field of `show stat` of a proxy's row.
    pub fn stat(&self, proxy: &str, service: &str, field: &str) -> String {
        let table = self.admin("show stat");
        let mut lines = table.lines();
        let head = lines.next().unwrap_or_default().trim_start_matches("# ");
        let column =
            head.split(',').position(|name| name == field).unwrap_or_else(|| panic!("no field '{field}'"));
        lines
            .map(|line| line.split(',').collect::<Vec<_>>())
            .find(|row| row.len() > column && row[0] == proxy && row[1] == service)
            .map(|row| row[column].to_owned())
            .unwrap_or_else(|| panic!("no row {proxy}/{service} in\n{table}"))
    }

    /// Waits until `show stat` tells this status of a server.
    pub fn wait_status(&self, proxy: &str, server: &str, status: &str) {
        let mut last = String::new();
        let reached = wait_until(LIMIT, || {
            last = self.stat(proxy, server, "status");
            last == status || last.starts_with(&format!("{status} "))
        });
        assert!(reached, "{proxy}/{server} is '{last}', not '{status}'\n{}", self.stderr());
    }

    /// What it wrote to the standard output so far.
    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    /// What it wrote to the standard error so far.
    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Waits until it has written all of these to the standard error.
    #[track_caller]
    pub fn wait_stderr(&self, parts: &[&str]) {
        let all = || parts.iter().all(|part| self.stderr().contains(part));
        assert!(wait_until(LIMIT, all), "{parts:?}: {}", self.stderr());
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Stops the process and waits until each of its threads has stopped (proc(5), the state in `stat`): the
    /// signal alone leaves them some time.
    pub fn freeze(&self) {
        self.signal(libc::SIGSTOP);
        let is_stopped = |task: std::fs::DirEntry| {
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
        };
        let tasks = || std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("it is there");
        assert!(super::wait_until(super::LIMIT, || tasks().flatten().all(is_stopped)), "it does not stop");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        // SAFETY: no memory is involved, and the child was not waited for, so the pid is still its own.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "the signal could not be sent");
    }

    /// Whether it runs still.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the state of the child").is_none()
    }

    /// Waits for the end: the exit code, none for a signal or when the limit passed.
    pub fn wait_exit(&mut self, limit: Duration) -> Option<i32> {
        let mut status = None;
        wait_until(limit, || {
            status = self.child.try_wait().expect("the state of the child");
            status.is_some()
        });
        if status.is_some() {
            self.join_readers();
        }
        status.and_then(|status| status.code())
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_readers();
        if std::thread::panicking() {
            println!("the proxy's standard error:\n{}", self.stderr());
        }
    }
}

/// Sends one line to a runtime API socket and reads all of the answer.
pub fn admin(path: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(path).expect("the runtime API accepts");
    stream.set_read_timeout(Some(LIMIT)).expect("a timeout");
    stream.write_all(format!("{command}\n").as_bytes()).expect("a command is sent");
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Lets exactly these descriptors pass the `exec` of this command and of no other.
fn hand_over(command: &mut Command, descriptors: Vec<RawFd>) {
    let clear = move || {
        for descriptor in &descriptors {
            // SAFETY: a plain system call that is allowed between fork and exec.
            if unsafe { libc::fcntl(*descriptor, libc::F_SETFD, 0) } < 0 {
                return Err(std::io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: the closure does nothing but system calls: no allocation, no lock.
    unsafe { command.pre_exec(clear) };
}

/// Bounds the address space of what a command starts.
fn limit_memory(command: &mut Command, bytes: u64) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: a plain system call, which is allowed between fork and exec; the limit lives in the closure.
    let set = move || match unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    };
    // SAFETY: the closure does nothing but that.
    unsafe { command.pre_exec(set) };
}

/// The names between `@` and `@` in a configuration, `addr:` taken off.
fn placeholders(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(start) = rest.find('@') {
            rest = &rest[start + 1..];
            let Some(end) = rest.find('@') else { break };
            let name = rest[..end].trim_start_matches("addr:");
            if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                names.push(name.to_owned());
                rest = &rest[end + 1..];
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn collect(mut pipe: impl Read + Send + 'static, into: Written) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut part) {
            into.lock().expect("no panic while writing").extend_from_slice(&part[..length]);
        }
    })
}

fn text(written: &Written) -> String {
    String::from_utf8_lossy(&written.lock().expect("no panic while writing")).into_owned()
}
