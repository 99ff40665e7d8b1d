//! Writes the linker's description of each board's memory.

use std::path::PathBuf;
use std::{env, fs};

const RISCV: &str = "\
MEMORY { FLASH : ORIGIN = 0x80000000, LENGTH = 1M  RAM : ORIGIN = 0x80100000, LENGTH = 64K }
REGION_ALIAS(\"REGION_TEXT\", FLASH); REGION_ALIAS(\"REGION_RODATA\", FLASH); REGION_ALIAS(\"REGION_DATA\", RAM);
REGION_ALIAS(\"REGION_BSS\", RAM); REGION_ALIAS(\"REGION_HEAP\", RAM); REGION_ALIAS(\"REGION_STACK\", RAM);
";
const MICROBIT: &str = "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K  RAM : ORIGIN = 0x20000000, LENGTH = 16K }\n";
const MPS2: &str = "MEMORY { FLASH : ORIGIN = 0, LENGTH = 256K  RAM : ORIGIN = 0x20000000, LENGTH = 32K }\n";

fn main() {
    let target = env::var("TARGET").expect("cargo sets it");
    let (memory, script) = match target.as_str() {
        target if target.starts_with("riscv32") => (RISCV, "-Tmemory.x"),
        target if target.starts_with("thumbv6m") => (MICROBIT, ""),
        _ => (MPS2, ""),
    };
    println!("cargo:rustc-check-cfg=cfg(microbit)");
    if target.starts_with("thumbv6m") {
        println!("cargo:rustc-cfg=microbit");
    }
    if !script.is_empty() {
        println!("cargo:rustc-link-arg={script}");
    }
    println!("cargo:rustc-link-arg=-Tlink.x");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("memory.x"), memory).expect("writes");
    println!("cargo:rustc-link-search={}", out.display());
}
