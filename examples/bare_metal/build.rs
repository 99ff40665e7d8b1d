//! Writes the linker's description of the board's memory.

use std::path::PathBuf;
use std::{env, fs};

/// The flash and RAM of a mid-range board. An MPS2 has more of both.
const MEMORY: &str = "MEMORY { FLASH : ORIGIN = 0, LENGTH = 1M  RAM : ORIGIN = 0x20000000, LENGTH = 96K }\n";

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("memory.x"), MEMORY).expect("writes");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg=-Tlink.x");
}
