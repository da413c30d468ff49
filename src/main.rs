//! The `haring` binary: everything is in the library.

#[global_allocator]
static ALLOCATOR: haring::sys::memory::Allocator = haring::sys::memory::Allocator;

fn main() -> std::process::ExitCode {
    haring::process::main()
}
