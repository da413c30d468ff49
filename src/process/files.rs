//! `-f`: configuration files and directories of them.

use std::fs;
use std::io;
use std::path::Path;

pub use crate::base::text::of_error as cause;
use crate::config::Input;

/// Reads every file named, and of every directory named its `*.cfg` files in order of their bytes,
/// hidden ones left out (management guide, section 3). The error is HAProxy's sentence.
pub fn inputs(paths: &[String]) -> Result<Vec<Input>, String> {
    let mut inputs = Vec::new();
    for path in paths {
        let failed =
            |error: io::Error| format!("Cannot load configuration file/directory {path} : {}", cause(&error));
        for name in expand(path).map_err(failed)? {
            let bytes = fs::read(&name)
                .map_err(|error| format!("Could not open configuration file {name} : {}", cause(&error)))?;
            inputs.push(Input { name, bytes });
        }
    }
    Ok(inputs)
}

/// The files that a path stands for.
fn expand(path: &str) -> io::Result<Vec<String>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_string()]);
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let file = Path::new(path).join(&name);
        if name.ends_with(".cfg") && !name.starts_with('.') && fs::metadata(&file)?.is_file() {
            names.push(file.to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_give_their_files_in_order() {
        let directory = std::env::temp_dir().join(format!("haring-files-{}", std::process::id()));
        fs::create_dir_all(directory.join("d.cfg")).unwrap();
        for (name, text) in [("b.cfg", "B"), ("a.cfg", "A"), ("Z.cfg", "Z"), (".h.cfg", "H"), ("c.txt", "C")]
        {
            fs::write(directory.join(name), text).unwrap();
        }
        let path = directory.to_string_lossy().into_owned();
        let inputs = inputs(&[path.clone(), format!("{path}/c.txt")]).unwrap();
        let texts: Vec<&[u8]> = inputs.iter().map(|input| input.bytes.as_slice()).collect();
        assert_eq!(texts, [b"Z", b"A", b"B", b"C"]);
        fs::remove_dir_all(directory).unwrap();
        assert_eq!(
            super::inputs(&["/nonexistent.cfg".into()]).unwrap_err(),
            "Cannot load configuration file/directory /nonexistent.cfg : No such file or directory"
        );
    }
}
