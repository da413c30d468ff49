//! The pages in `docs/` say what the tables of keywords say.

use std::process::Command;

#[test]
fn pages_are_as_the_program_makes_them() {
    for (option, page) in [("--reference", "reference.md"), ("--compatibility", "compatibility.md")] {
        let made = Command::new(env!("CARGO_BIN_EXE_haring"))
            .args(["doc", option])
            .output()
            .expect("the program runs");
        assert!(made.status.success(), "{option}");
        let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let kept = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let first = made.stdout.split(|b| *b == b'\n').zip(kept.split(|b| *b == b'\n')).find(|(a, b)| a != b);
        if let Some((made, kept)) = first {
            let (made, kept) = (String::from_utf8_lossy(made), String::from_utf8_lossy(kept));
            panic!("{path} is out of date ('{kept}' should be '{made}'): haring doc {option} > docs/{page}");
        }
        assert_eq!(made.stdout.len(), kept.len(), "{path} is out of date: haring doc {option} > docs/{page}");
    }
}
