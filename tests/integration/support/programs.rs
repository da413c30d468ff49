//! Programs people use around a proxy: curl, socat, load generators, nginx, Python.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::{Folder, LIMIT, own_address, wait_until};

/// The command of a program, or none with a reason printed.
pub fn program(name: &str) -> Option<Command> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&places)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")])
        .map(|place| place.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("-- skipped: {name} is not installed");
    }
    found.map(Command::new)
}

/// Runs it to its end and returns both outputs as one text.
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("a program runs");
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// An origin that is a program; killed when dropped.
pub struct ProgramOrigin {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl ProgramOrigin {
    /// nginx answering `body` everywhere, none where it is not installed.
    pub fn nginx(body: &str) -> Option<Self> {
        Self::nginx_listening("", body)
    }

    /// The same with words behind the address of `listen`; `body` may name nginx's variables.
    pub fn nginx_listening(options: &str, body: &str) -> Option<Self> {
        let mut command = program("nginx")?;
        let folder = Folder::new();
        let address = free_address();
        let place = folder.path().display();
        let config = folder.write(
            "nginx.conf",
            &format!(
                "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log;\n\
                 events {{ worker_connections 512; }}\n\
                 http {{ access_log off; client_body_temp_path {place}/b; proxy_temp_path {place}/p;\n\
                 fastcgi_temp_path {place}/f; uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
                 keepalive_requests 1000000;\n\
                 server {{ listen {address} {options}; default_type text/plain;\n\
                 location / {{ add_header X-Served-By \"{body}\"; return 200 \"{body}\"; }} }} }}\n"
            ),
        );
        command.args(["-e", "stderr", "-c", &config]).arg("-p").arg(folder.path());
        Some(Self::run(command, address, folder))
    }

    /// Python's file server with a file `index.html`, none where it is not installed.
    pub fn python(body: &str) -> Option<Self> {
        let mut command = program("python3")?;
        let folder = Folder::new();
        let address = free_address();
        folder.write("index.html", body);
        folder.write("status", "up");
        command
            .args(["-m", "http.server", "--bind", &address.ip().to_string(), &address.port().to_string()])
            .current_dir(folder.path());
        Some(Self::run(command, address, folder))
    }

    /// HAProxy itself with a configuration that listens on the address given, none where it is not installed.
    pub fn haproxy(config: impl FnOnce(SocketAddr) -> String) -> Option<Self> {
        let mut command = program("haproxy")?;
        let folder = Folder::new();
        let address = free_address();
        let file = folder.write("haproxy.cfg", &config(address));
        command.args(["-db", "-f", &file]);
        Some(Self::run(command, address, folder))
    }

    /// A TLS server whose certificate is of `name`, none where OpenSSL is not installed.
    pub fn tls(name: &str) -> Option<Self> {
        let mut command = program("openssl")?;
        let folder = Folder::new();
        let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("certificate.pem"));
        let mut make = program("openssl")?;
        make.args(["req", "-x509", "-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        output(&mut make);
        let address = free_address();
        command.args(["s_server", "-quiet", "-www", "-accept", &address.to_string(), "-key"]);
        command.arg(&key).arg("-cert").arg(&certificate);
        Some(Self::run(command, address, folder))
    }

    fn run(mut command: Command, address: SocketAddr, folder: Folder) -> Self {
        let log = std::fs::File::create(folder.path().join("output")).expect("a file of the test");
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second descriptor"))
            .stderr(log)
            .spawn()
            .expect("an origin starts");
        let origin = ProgramOrigin { child, address, folder };
        let ready = wait_until(LIMIT, || TcpStream::connect(address).is_ok());
        let said = std::fs::read_to_string(origin.folder.path().join("output")).unwrap_or_default();
        assert!(ready, "{command:?} does not listen: {said}");
        origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ProgramOrigin {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of the test's own with a port that no other program can have taken.
pub fn free_address() -> SocketAddr {
    SocketAddr::new(own_address(), 18_080)
}
