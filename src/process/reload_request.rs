//! How an operator or a service manager asks a process to reload and learns what came of it: `haring reload <pid>`.
//!
//! A signal tells nothing back. So the process listens on a name in the abstract name space (unix(7)) that its number
//! gives; both sides ask the kernel whom they talk to. One reload per connection: the process says what it was
//! started with, the asker reads for it what a load reads, since a process that has given up its rights or changed its
//! root directory cannot, and the answer is a line that says what came of it, then all that was found.

use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::args::{self, Command};
use super::files::{self, cause};
use super::recorded::{Began, Recorded};
use super::reload::{Outcome, Reloader};
use crate::config;
use crate::diag::Report;
use crate::state::Registry;
use crate::sys::process::{effective_user, peer_of};

/// The first lines of answers.
const SUCCESS: &str = "success\n";
const FAILURE: &str = "failure\n";
/// How long an answer is waited for: a large configuration takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often, and with what pause, a process that is starting is asked again.
const STARTING_LOOKS: u32 = 50;
const STARTING_PAUSE: Duration = Duration::from_millis(100);
/// Bytes of what was read for a process that it takes.
const RECORD_MAX: u64 = 1 << 30;
/// Bytes of an answer that are read.
const ANSWER_MAX: u64 = 1 << 20;
/// Askers that are heard at the same time.
const ASKERS_MAX: usize = 16;
/// Pause after an accept that failed.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

fn address(pid: u32) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("haring-reload-{pid}"))
}

/// Where this process is asked.
///
/// # Errors
/// The name is taken, or the system is short of descriptors.
pub(super) fn listen() -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&address(std::process::id())?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Answers askers for ever: the process's own user and root may ask.
pub(super) async fn answer(listener: UnixListener, reloader: Rc<Reloader>) {
    let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
    let slots = Arc::new(tokio::sync::Semaphore::new(ASKERS_MAX));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_BACKOFF).await;
            continue;
        };
        let user = peer_of(stream.as_raw_fd()).map(|(_, user)| user);
        if user.is_ok_and(|user| user == 0 || user == effective_user()) {
            // Beside each other: an asker that says nothing must not keep the others from it.
            let (reloader, slot) = (reloader.clone(), slots.clone().acquire_owned().await);
            tokio::task::spawn_local(async move {
                let _ = tokio::time::timeout(PATIENCE, converse(stream, &reloader)).await; // the asker may have left
                drop(slot);
            });
        }
    }
}

async fn converse(mut stream: tokio::net::UnixStream, reloader: &Reloader) -> io::Result<()> {
    let start = json!({
        "directory": reloader.directory,
        "arguments": reloader.options.arguments,
        "environment": reloader.environment,
    });
    stream.write_all(format!("{start}\n").as_bytes()).await?;
    let mut record = Vec::new();
    (&mut stream).take(RECORD_MAX).read_to_end(&mut record).await?;
    let recorded = Recorded::read(&record).ok_or(io::ErrorKind::InvalidData)?;
    drop(record);
    let Outcome { is_success, text } = reloader.run(recorded).await;
    let first = if is_success { SUCCESS } else { FAILURE };
    stream.write_all(format!("{first}{text}").as_bytes()).await?;
    stream.shutdown().await
}

/// Reads for a process that was started so.
fn read_for(start: &[u8]) -> Option<String> {
    let start: Value = serde_json::from_slice(start).ok()?;
    let arguments = start.get("arguments")?.as_array()?;
    let arguments: Vec<String> =
        arguments.iter().map(|argument| Some(argument.as_str()?.to_owned())).collect::<Option<_>>()?;
    let environment = start.get("environment")?.as_object()?;
    let environment =
        environment.iter().filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let Ok(Command::Run(options)) = args::parse(&arguments) else { return None };
    // Relative names count from there; one that is gone gives errors that say so.
    let _ = std::env::set_current_dir(start.get("directory")?.as_str()?);
    let world =
        Began { environment: environment.collect(), record: Some(RefCell::default()), ..Began::default() };
    let inputs = files::inputs(&options.files);
    if let Ok(inputs) = &inputs {
        // The process finds the same and tells it.
        let _ = config::load(inputs, &options.settings(), &Registry::new(1), &world, &mut Report::default());
    }
    let mut record = world.record?.into_inner();
    record.inputs = Some(inputs);
    Some(record.write())
}

/// Whether a process runs the program that this one runs.
fn is_ours(pid: i32) -> bool {
    let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    program("self").is_some_and(|own| program(&pid.to_string()) == Some(own))
}

/// Why nothing answers for a process.
fn absence(pid: i32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!(
            "'{}' is running under that number, and it is no Haring that can be reloaded; is the pid file an old one?",
            name.trim_end()
        ),
        Err(_) => "there is no such process; is the pid file an old one?".to_owned(),
    }
}

/// Asks a process to reload.
///
/// # Errors
/// It could not be asked, or did not answer; the text says why.
pub(super) fn ask(pid: i32) -> Result<Outcome, String> {
    let failed = |error: io::Error| format!("cannot ask process {pid} to reload: {}", cause(&error));
    let number = u32::try_from(pid).map_err(|_| format!("{pid} is no number of a process"))?;
    let address = address(number).map_err(failed)?;
    let mut connected = UnixStream::connect_addr(&address);
    for _ in 0..STARTING_LOOKS {
        let is_refused =
            connected.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if !is_refused || !is_ours(pid) {
            break;
        }
        std::thread::sleep(STARTING_PAUSE); // it binds and forks before it can be asked
        connected = UnixStream::connect_addr(&address);
    }
    let mut stream = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("cannot ask process {pid} to reload: {}", absence(pid)),
        _ => failed(error),
    })?;
    let (owner, _) = peer_of(stream.as_raw_fd()).map_err(failed)?;
    if owner != pid {
        return Err(format!("cannot ask process {pid} to reload: process {owner} answers in its place"));
    }
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let mut start = Vec::new();
    let mut reader = io::BufReader::new(stream.try_clone().map_err(failed)?);
    reader.read_until(b'\n', &mut start).map_err(failed)?;
    if start.is_empty() {
        return Err(format!(
            "cannot ask process {pid} to reload: it does not answer this user; its own user and root may ask it"
        ));
    }
    let record = read_for(&start).ok_or_else(|| {
        format!("process {pid} does not say what it was started with: another version asks")
    })?;
    stream.write_all(record.as_bytes()).and_then(|()| stream.shutdown(Shutdown::Write)).map_err(failed)?;
    let mut text = String::new();
    reader.take(ANSWER_MAX).read_to_string(&mut text).map_err(failed)?;
    match (text.strip_prefix(SUCCESS), text.strip_prefix(FAILURE)) {
        (Some(text), _) => Ok(Outcome { is_success: true, text: text.to_owned() }),
        (_, Some(text)) => Ok(Outcome { is_success: false, text: text.to_owned() }),
        _ => Err(format!("process {pid} gave no answer: it has ended, or another user's process is asked")),
    }
}
