//! The sockets of the runtime API: accepts, reads requests, writes answers.
//!
//! Without a prompt a connection carries one line: every command's answer is followed by an empty
//! line, then the connection closes. That a client closes its sending side early means only that no
//! more will come; its commands are carried out all the same.

use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::line::{Reader, Request};
use super::{Flow, Grant, PART_BYTES, Session, Severity, Until, exec, hand_over};
use crate::base::clock;
use crate::control::Control;
use crate::control::servers::roster::{self, Obstacle};

/// A socket that listens already.
#[derive(Debug)]
pub enum AdminListener {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix stream socket.
    Unix(std::os::unix::net::UnixListener),
}

/// A connection of either kind.
pub(super) trait Duplex: AsyncRead + AsyncWrite + AsRawFd + Unpin {}
impl<S: AsyncRead + AsyncWrite + AsRawFd + Unpin> Duplex for S {}

/// How often a waiting command looks at its condition.
const WAIT_STEP: Duration = Duration::from_millis(20);
/// How long a closing connection may still send before it is cut.
const LINGER: Duration = Duration::from_millis(500);
/// Pause after an accept that failed, since the cause (no descriptor left) seldom goes at once.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Serves the runtime API on these sockets for ever; needs a `LocalSet`.
pub async fn serve(control: Rc<Control>, listeners: Vec<(AdminListener, Grant)>) {
    let maxconn = control.model().global.stats_maxconn.max(1) as usize;
    let slots = Arc::new(Semaphore::new(maxconn));
    // They end with this task, and their sockets with them; open connections stay.
    let mut tasks = tokio::task::JoinSet::new();
    for (listener, grant) in listeners {
        tasks.spawn_local(accept(control.clone(), listener, grant, slots.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

async fn accept(control: Rc<Control>, listener: AdminListener, grant: Grant, slots: Arc<Semaphore>) {
    match listener {
        AdminListener::Tcp(listener) => {
            let prepared =
                listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
            let Ok(listener) = prepared else { return };
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                };
                let control = control.clone();
                tokio::task::spawn_local(async move {
                    connection(control, stream, grant).await;
                    drop(slot);
                });
            }
        }
        AdminListener::Unix(listener) => {
            let prepared =
                listener.set_nonblocking(true).and_then(|()| tokio::net::UnixListener::from_std(listener));
            let Ok(listener) = prepared else { return };
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let Ok((stream, _)) = listener.accept().await else {
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                    continue;
                };
                let control = control.clone();
                tokio::task::spawn_local(async move {
                    connection(control, stream, grant).await;
                    drop(slot);
                });
            }
        }
    }
}

/// One connection from its first byte to its end. A failure on it concerns no other connection.
async fn connection<S: Duplex>(control: Rc<Control>, mut stream: S, grant: Grant) {
    let timeout_ms = control.model().global.stats_timeout_ms.max(1);
    let mut session = Session::new(grant, timeout_ms);
    let mut reader = Reader::default();
    let _ = converse(&control, &mut stream, &mut session, &mut reader).await;
    let _ = stream.shutdown().await;
    // Closing with bytes unread would reset the connection, and the answer could be lost.
    let mut rest = [0; 4096];
    let _ = timeout(LINGER, async { while matches!(stream.read(&mut rest).await, Ok(1..)) {} }).await;
}

async fn converse<S: Duplex>(
    control: &Rc<Control>,
    stream: &mut S,
    session: &mut Session,
    reader: &mut Reader,
) -> io::Result<()> {
    let mut chunk = vec![0; 16 * 1024];
    loop {
        match reader.take() {
            Ok(Some(request)) => {
                let quits = carry_out(control, stream, session, &request).await?;
                if quits || !session.interactive {
                    return Ok(());
                }
            }
            Ok(None) => {
                if reader.in_payload() && session.prompt {
                    send(stream, session, b"+ ").await?;
                }
                let idle = Duration::from_millis(session.timeout_ms);
                match timeout(idle, stream.read(&mut chunk)).await {
                    Ok(Ok(0)) => return Ok(()),
                    Ok(Ok(count)) => reader.feed(&chunk[..count]),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => return Ok(()),
                }
            }
            Err(too_long) => {
                let text = format!("{}{}\n\n", session.severity.prefix(Severity::Error), too_long.message());
                return send(stream, session, text.as_bytes()).await;
            }
        }
    }
}

/// Carries out the commands of a line; true if the client quits.
async fn carry_out<S: Duplex>(
    control: &Rc<Control>,
    stream: &mut S,
    session: &mut Session,
    request: &Request,
) -> io::Result<bool> {
    let last = request.commands.len() - 1;
    for (index, words) in request.commands.iter().enumerate() {
        // An empty command between or after others has no answer.
        if words.is_empty() && last > 0 {
            if index == last && session.prompt {
                send(stream, session, prompt(control, session).as_bytes()).await?;
            }
            continue;
        }
        let payload = request.payload.as_deref().filter(|_| index == last);
        let mut out = Vec::new();
        session.no_line_end = false;
        let mut flow = exec::run(control, session, words, payload, &mut out);
        while let Flow::Later(later) = flow {
            let (text, next) = later.get().await;
            out.extend_from_slice(&text);
            if out.len() >= PART_BYTES {
                send(stream, session, &out).await?;
                out.clear();
            }
            flow = next;
        }
        match flow {
            Flow::Done | Flow::Later(_) => {}
            Flow::Quit => {
                send(stream, session, &out).await?;
                return Ok(true);
            }
            Flow::GiveListeners => {
                hand_over::give(control, stream).await?;
                return Ok(true);
            }
            Flow::Wait { ms, until } => wait(control, session, ms, until, &mut out).await,
            Flow::Parts(mut parts) => {
                // Checks and logs have their turn between two parts, and a slow reader costs one part.
                while parts.fill(&mut out) {
                    send(stream, session, &out).await?;
                    out.clear();
                    tokio::task::yield_now().await;
                }
            }
            Flow::Follow { ring, from, end } => {
                send(stream, session, &out).await?;
                follow(control, stream, &ring, from, end).await?;
                return Ok(!session.interactive);
            }
        }
        if index < last || !session.prompt {
            if !session.no_line_end {
                out.push(b'\n');
            }
        } else {
            out.extend_from_slice(prompt(control, session).as_bytes());
        }
        send(stream, session, &out).await?;
        // Between commands others get their turn: checks and logs must not wait for a long line.
        tokio::task::yield_now().await;
    }
    Ok(false)
}

fn prompt(control: &Control, session: &Session) -> String {
    if !session.timed {
        return "\n> ".into();
    }
    let up = clock::read().mono_us.saturating_sub(control.started.mono_us) / 1_000_000;
    format!("\n[{}:{:02}:{:02}:{:02}]> ", up / 86400, up / 3600 % 24, up / 60 % 60, up % 60)
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, session: &Session, bytes: &[u8]) -> io::Result<()> {
    // The time-out guards against a client that stops reading, not against a long answer.
    for part in bytes.chunks(256 * 1024) {
        let limit = Duration::from_millis(session.timeout_ms);
        timeout(limit, stream.write_all(part)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    }
    Ok(())
}

/// Waits, and says how it ended.
async fn wait(control: &Rc<Control>, session: &Session, ms: u64, until: Option<Until>, out: &mut Vec<u8>) {
    let mut say = |severity: Severity, text: &str| {
        out.extend_from_slice(session.severity.prefix(severity).as_bytes());
        out.extend_from_slice(text.as_bytes());
    };
    let deadline = Instant::now() + Duration::from_millis(ms);
    let Some(until) = until else {
        tokio::time::sleep_until(deadline).await;
        return say(Severity::Info, "Done.\n");
    };
    let (severity, text) = loop {
        match holds(control, &until) {
            Ok(None) => break (Severity::Info, "Done.\n".to_owned()),
            Ok(Some(why)) if Instant::now() >= deadline => {
                break (Severity::Error, format!("Wait delay expired. {why}\n"));
            }
            Ok(Some(_)) => tokio::time::sleep_until(deadline.min(Instant::now() + WAIT_STEP)).await,
            Err(why) => break (Severity::Error, format!("Failed. {why}\n")),
        }
    };
    say(severity, &text);
}

/// Whether a condition holds: nothing, or why not yet; an error if it never can.
fn holds(control: &Control, until: &Until) -> Result<Option<&'static str>, &'static str> {
    let obstacle = match until {
        Until::ServerRemovable { backend, server } => {
            roster::removable_server(control, backend, server).err()
        }
        Until::BackendRemovable { backend } => roster::removable_backend(control, backend).err(),
    };
    match obstacle {
        None => Ok(None),
        Some(Obstacle::NotYet(why)) => Ok(Some(why)),
        Some(Obstacle::Never(why)) => Err(why),
    }
}

/// Shows new lines of a ring until the client sends a byte or leaves.
async fn follow<S: AsyncRead + AsyncWrite + Unpin>(
    control: &Rc<Control>,
    stream: &mut S,
    ring: &str,
    mut from: u64,
    end: u8,
) -> io::Result<()> {
    let mut byte = [0; 64];
    loop {
        let (news, mut out) = match control.admin.log.rings().get_mut(ring) {
            Some(ring) => {
                let mut out = Vec::new();
                from = ring.read(from, end, &mut out);
                (ring.news(), out)
            }
            None => return Ok(()),
        };
        if out.is_empty() {
            tokio::select! {
                biased;
                read = stream.read(&mut byte) => {
                    let _ = read?;
                    return Ok(());
                }
                () = news.notified() => {}
            }
        } else {
            stream.write_all(&out).await?;
            out.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::mock;
    use crate::model::bind::CliLevel;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::os::unix::net::UnixStream;

    /// Runs the sockets on this thread while `client` talks to them from another.
    fn with_server<T: Send + 'static>(
        level: CliLevel,
        client: impl FnOnce(std::net::SocketAddr) -> T + Send + 'static,
    ) -> T {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let control = mock::control();
            tokio::task::spawn_local(serve(control, vec![(AdminListener::Tcp(listener), level.into())]));
            tokio::task::spawn_blocking(move || client(address)).await.unwrap()
        })
    }

    fn talk(address: std::net::SocketAddr, bytes: &[u8], half_close: bool) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(bytes).unwrap();
        if half_close {
            stream.shutdown(Shutdown::Write).unwrap();
        }
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn one_line_then_the_end() {
        let asked: &[(&[u8], &str)] = &[
            (b"show version\n", "3.5-dev5-haring\n\n"),
            (b"show version; show cli level\n", "3.5-dev5-haring\n\nadmin\n\n"),
            (b"show version\nshow version\n", "3.5-dev5-haring\n\n"),
            (b"show backend\n", "# name\nbe\n\n"),
            (b"show backend", ""),
            (b"show cli level\ndisable server be/s1", "admin\n\n"),
            (b"add map x <<\na 1\n", ""),
            // What a browser can be made to send here is no command.
            (b"POST /;operator HTTP/1.1\r\nHost: x\r\n\r\nshow version\n", "Unknown command: 'POST'"),
            (b"operator; show cli level; disable server be/s1\n", "\noperator\n\nPermission denied\n\n"),
            (b"operator -; show cli level\n", "operator\n\n"),
            (b"echo a\\;b; echo c\n", "a;b\n\nc\n\n"),
            (b"\n", "\n"),
            (b"", ""),
            (b"quit; show version\n", ""),
            (b"wait 30; echo late\n", "Done.\n\nlate\n\n"),
        ];
        for (bytes, expected) in asked {
            let (bytes, expected) = (bytes.to_vec(), (*expected).to_owned());
            let text = with_server(CliLevel::Admin, move |address| talk(address, &bytes, true));
            match expected.ends_with('\'') {
                true => assert!(text.starts_with(&*expected), "{text}"),
                false => assert_eq!(text, expected),
            }
        }
        // Without closing its side, the client still sees the end after the answer.
        let text = with_server(CliLevel::User, |address| talk(address, b"show cli level\n", false));
        assert_eq!(text, "user\n\n");
    }

    #[test]
    fn rings_are_followed_and_servers_waited_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let control = mock::control_with(|model| {
                let settings = crate::model::RingSettings { size: 1000, ..Default::default() };
                model.rings.insert("buf".into(), settings);
            });
            tokio::task::spawn_local(serve(
                control.clone(),
                vec![(AdminListener::Tcp(listener), CliLevel::Admin.into())],
            ));
            let follower = tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(b"show events buf -w\n").unwrap();
                let mut bytes = [0; 8];
                stream.read_exact(&mut bytes).unwrap();
                stream.write_all(b"x").unwrap();
                let mut rest = Vec::new();
                stream.read_to_end(&mut rest).unwrap();
                (String::from_utf8_lossy(&bytes).into_owned(), rest.len())
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            for line in ["one", "two"] {
                control.admin.log.rings().get_mut("buf").unwrap().push(line.as_bytes());
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(follower.await.unwrap(), ("one\ntwo\n".into(), 0));

            let state = control.model().proxies[1].servers[0].state.clone();
            state.set_admin(crate::state::server::admin::FMAINT);
            state.served.store(1, std::sync::atomic::Ordering::Release);
            let waiter = tokio::task::spawn_blocking(move || {
                let asked = b"wait 5s srv-removable be/s1; wait 5s srv-removable be/s2; wait 20 be-removable be; \
                    wait 1ms be-removable fe\n";
                talk(address, asked, true)
            });
            tokio::time::sleep(Duration::from_millis(50)).await;
            state.served.store(0, std::sync::atomic::Ordering::Release);
            let text = waiter.await.unwrap();
            assert_eq!(
                text,
                "Done.\n\nFailed. Only servers in maintenance mode can be deleted.\n\n\
                 Failed. This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n\n\
                 Failed. No such backend.\n\n"
            );
        });
    }

    #[test]
    fn prompts_follow_answers() {
        for (bytes, expected) in [
            (&b"prompt\nshow version\nquit\n"[..], "\n> 3.5-dev5-haring\n\n> "),
            (b"prompt; show version; show cli level\nquit\n", "\n3.5-dev5-haring\n\nuser\n\n> "),
            (b"prompt i\nshow version\n", "\n3.5-dev5-haring\n\n"),
            (b"prompt\nprompt\n", "\n> \n"),
            (b"prompt\n\nquit\n", "\n> \n> "),
            (b"prompt\nadd map x <<\na 1\n\nquit\n", "\n> + + Permission denied\n\n> "),
        ] {
            let text = with_server(CliLevel::User, move |address| {
                let mut stream = TcpStream::connect(address).unwrap();
                // Line by line, as a person types, so that prompts are not left out.
                for line in bytes.split_inclusive(|byte| *byte == b'\n') {
                    stream.write_all(line).unwrap();
                    std::thread::sleep(Duration::from_millis(40));
                }
                stream.shutdown(Shutdown::Write).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).unwrap();
                text
            });
            assert_eq!(text, expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn unix_sockets_serve_many_at_once() {
        let path = std::env::temp_dir().join(format!("haring-cli-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let answers = local.block_on(&runtime, async {
            let control = mock::control_with(|model| model.global.stats_maxconn = 3);
            tokio::task::spawn_local(serve(
                control,
                vec![(AdminListener::Unix(listener), CliLevel::User.into())],
            ));
            let mut clients = Vec::new();
            // More clients than `stats maxconn`: the others wait for their turn.
            for _ in 0..8 {
                let path = path.clone();
                clients.push(tokio::task::spawn_blocking(move || {
                    let mut stream = UnixStream::connect(path).unwrap();
                    stream.write_all(b"show cli level\n").unwrap();
                    stream.shutdown(Shutdown::Write).unwrap();
                    let mut text = String::new();
                    stream.read_to_string(&mut text).unwrap();
                    text
                }));
            }
            let mut answers = Vec::new();
            for client in clients {
                answers.push(client.await.unwrap());
            }
            answers
        });
        std::fs::remove_file(&path).unwrap();
        assert_eq!(answers, vec!["user\n\n"; 8]);
    }
}
