//! `map-writeback`: changes of maps at run time go back to their files.
//!
//! A change marks its map; a tenth of a second later every marked map is written beside its file
//! and renamed over it, so that a reader, or a crash, meets the old file or the new one and never
//! half of one. A file that cannot be written costs a message and is tried again until it can be; the map in
//! memory stays as it is.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Control, log_sink};
use crate::diag::Level;
use crate::model::global::MapWriteback;
use crate::state::maps::{LiveMap, Rendered};

/// Changes that come within this time are written together.
const DELAY: Duration = Duration::from_millis(100);
/// How long after a failure a map is tried again, at first and at last.
const RETRY: Duration = if cfg!(test) { Duration::from_millis(200) } else { Duration::from_secs(1) };
const RETRY_MAX: Duration = Duration::from_secs(30);
/// Syslog level of a file that could not be written.
const LEVEL_ERROR: u8 = 3;

/// Maps that wait to be written.
#[derive(Debug, Default)]
pub struct Pending {
    maps: Vec<Arc<LiveMap>>,
    /// A task will write them.
    scheduled: bool,
    /// What was said of a map last, by its name: the same is not said again with each attempt.
    said: HashMap<Box<str>, String>,
}

/// One writer at a time, so that an older text never lands on a newer one.
static WRITING: Mutex<()> = Mutex::new(());

/// A map was changed at run time: writes it back soon, if that is configured.
pub fn changed(control: &Rc<Control>, map: &Arc<LiveMap>) {
    if is_wanted(&control.model().global.map_writeback, &map.name) {
        mark(control, map, DELAY);
    }
}

fn mark(control: &Rc<Control>, map: &Arc<LiveMap>, delay: Duration) {
    let mut pending = control.admin.pending.borrow_mut();
    if !pending.maps.iter().any(|other| Arc::ptr_eq(other, map)) {
        pending.maps.push(map.clone());
    }
    // Without a runtime (at stop, in tests) the flush writes them.
    if !pending.scheduled && tokio::runtime::Handle::try_current().is_ok() {
        pending.scheduled = true;
        drop(pending);
        tokio::task::spawn_local(write_soon(control.clone(), delay));
    }
}

/// Writes every marked map now (at stop).
pub fn flush(control: &Control) {
    for map in take(control) {
        let outcome = write(&map);
        report(control, &map, &outcome);
    }
}

async fn write_soon(control: Rc<Control>, delay: Duration) {
    tokio::time::sleep(delay).await;
    let mut failed = Vec::new();
    for map in take(&control) {
        // Rendering and syncing a large map takes a while; checks must not wait for it.
        let writing = map.clone();
        let outcome = tokio::task::spawn_blocking(move || write(&writing)).await;
        let outcome = outcome.unwrap_or_else(|error| Err(io::Error::other(error)));
        report(&control, &map, &outcome);
        if outcome.is_err() {
            map.set_dirty();
            failed.push(map);
        }
    }
    let next = if delay < RETRY { RETRY } else { (2 * delay).min(RETRY_MAX) };
    for map in failed {
        mark(&control, &map, next);
    }
}

fn take(control: &Control) -> Vec<Arc<LiveMap>> {
    let mut pending = control.admin.pending.borrow_mut();
    pending.scheduled = false;
    std::mem::take(&mut pending.maps)
}

/// Says what is wrong with a map's file, once as long as it is the same.
fn report(control: &Control, map: &LiveMap, outcome: &io::Result<Rendered>) {
    let text = match outcome {
        Err(error) => Some(format!("Cannot write map '{}' back to its file: {error}.", map.name)),
        Ok(Rendered { left_out: 0, .. }) => None,
        Ok(Rendered { left_out, example, .. }) => Some(format!(
            "Map '{}' was written back without {left_out} entries that no line of a file can say (key '{}').",
            map.name,
            example.as_deref().unwrap_or_default().escape_ascii()
        )),
    };
    let mut pending = control.admin.pending.borrow_mut();
    let Some(text) = text else {
        pending.said.remove(&map.name);
        return;
    };
    if pending.said.get(&map.name) != Some(&text) {
        log_sink::say(control, LEVEL_ERROR, &text);
        log_sink::tell(control, Level::Warning, &text);
        pending.said.insert(map.name.clone(), text);
    }
}

fn is_wanted(setting: &MapWriteback, name: &str) -> bool {
    file_of(name).is_some()
        && match setting {
            MapWriteback::Off => false,
            MapWriteback::All => true,
            MapWriteback::Files(files) => {
                files.iter().any(|file| file == name || file_of(file) == file_of(name))
            }
        }
}

/// The file behind a map's name; a `virt@` map has none.
fn file_of(name: &str) -> Option<&Path> {
    if name.starts_with("virt@") {
        return None;
    }
    Some(Path::new(name.strip_prefix("file@").or_else(|| name.strip_prefix("opt@")).unwrap_or(name)))
}

fn write(map: &LiveMap) -> io::Result<Rendered> {
    let _one = WRITING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let Some(path) = file_of(&map.name) else { return Ok(Rendered::default()) };
    // Whatever changes after this is marked again.
    map.take_dirty();
    let rendered = map.render();
    replace(path, &rendered.text)?;
    Ok(Rendered { text: Vec::new(), ..rendered })
}

/// Puts a file in the place of another in one step, keeping its mode and, where allowed, its owner.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: the file it names is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let temporary = temporary_name(&path);
    let written = write_beside(&path, &temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
        return written;
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn write_beside(path: &Path, temporary: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(temporary)?;
    if let Ok(old) = fs::metadata(path) {
        use std::os::unix::fs::MetadataExt as _;
        file.set_permissions(old.permissions())?;
        // Only root may give files away; the content matters more than the owner.
        let _ = chown(temporary, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::mock;
    use crate::model::bind::CliLevel::Admin;
    use std::sync::atomic::Ordering::Relaxed;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("haring-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn only_the_maps_asked_for() {
        let files = MapWriteback::Files(vec!["/a.map".into(), "file@/b.map".into()]);
        for (setting, name, expected) in [
            (&MapWriteback::Off, "/a.map", false),
            (&MapWriteback::All, "/a.map", true),
            (&MapWriteback::All, "virt@a", false),
            (&files, "/a.map", true),
            (&files, "/b.map", true),
            (&files, "/c.map", false),
        ] {
            assert_eq!(is_wanted(setting, name), expected, "{name}");
        }
    }

    #[test]
    fn changes_reach_the_file_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = folder("writeback");
        let path = folder.join("hosts.map");
        fs::write(&path, "# kept\na 1\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let name = path.to_str().unwrap();
        let control = mock::control_with(|model| model.global.map_writeback = MapWriteback::All);
        let map = control.model().registry.map(name, true).0;
        map.load_text(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(mock::ask(&control, Admin, &format!("set map {name} b 2")), "");
        assert_eq!(fs::read_to_string(&path).unwrap(), "# kept\na 1\n", "not yet");
        flush(&control);
        assert_eq!(fs::read_to_string(&path).unwrap(), "# kept\na 1\nb 2\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no temporary file is left");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_map_alone() {
        let control = mock::control_with(|model| model.global.map_writeback = MapWriteback::All);
        let map = control.model().registry.map("/nowhere/at/all.map", true).0;
        map.load_text(b"a 1\n").unwrap();
        assert_eq!(mock::ask(&control, Admin, "set map #0 a 2"), "");
        flush(&control);
        assert_eq!(map.render().text, b"a 2\n");
    }

    #[test]
    fn a_failed_write_is_tried_again_and_told_once() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let local = tokio::task::LocalSet::new();
        let folder = folder("retry");
        let path = folder.join("later/hosts.map");
        let control = mock::control_with(|model| model.global.map_writeback = MapWriteback::All);
        let map = control.model().registry.map(path.to_str().unwrap(), true).0;
        map.load_text(b"a 1\n").unwrap();
        local.block_on(&runtime, async {
            map.set(b"a", b"2").unwrap();
            changed(&control, &map);
            while control.process.warnings.load(Relaxed) == 0 || !map.is_dirty() {
                tokio::time::sleep(DELAY / 10).await;
            }
            // Once more in vain.
            tokio::time::sleep(2 * RETRY).await;
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            while !fs::read(&path).is_ok_and(|text| text == b"a 2\n") {
                tokio::time::sleep(DELAY / 10).await;
            }
        });
        assert_eq!(control.process.warnings.load(Relaxed), 1);
        fs::remove_dir_all(&folder).unwrap();
    }
}
