//! Command line, start, signals.

/// The whole program.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
