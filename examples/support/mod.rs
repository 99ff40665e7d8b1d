//! What the examples share: where keys and devices come from, and how errors and progress are told.
#![allow(dead_code, unreachable_pub, reason = "each example uses a part")]

pub mod demo_certificates;
#[cfg(all(feature = "bundled-roots", feature = "https"))]
pub mod device;
pub mod http;
#[cfg(all(feature = "bundled-roots", feature = "https"))]
pub mod hub;
pub mod progress;
pub mod report;

use std::env::{self, VarError};
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zeroize::Zeroizing;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// A variable. One that is set to nothing is as good as not set, as shells have it.
pub fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // The error itself would show what the variable holds.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not text").into()),
    }
}

/// A file's content; an error names the file.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    Ok(fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Another file with the same name and this behind it.
pub fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The text of a key: a file's, if one is given, or else a variable's. `None` where there is neither.
///
/// Never an argument: arguments show in process lists.
pub fn key_text(file: Option<&Path>, name: &str) -> Result<Option<Zeroizing<String>>> {
    let Some(file) = file else { return Ok(variable(name)?.map(Zeroizing::new)) };
    let text = String::from_utf8(read(file)?).map_err(|_| format!("{}: not text", file.display()))?;
    Ok(Some(Zeroizing::new(text)))
}

/// The same where there must be a key.
pub fn required_key_text(file: Option<&Path>, name: &str) -> Result<Zeroizing<String>> {
    Ok(key_text(file, name)?.ok_or_else(|| format!("not set: {name} (or --key-file)"))?)
}

/// Prints a result. A reader that has gone away is an error like any other.
pub fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// An error in one sentence, with all that lies behind it.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Ends a program: an error is told in one sentence, and what to do about it in another.
pub fn exit(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {}", sentence(&*error));
    if let Some(error) = error.downcast_ref::<azure_iot_dps::Error>() {
        eprintln!("what to do: {}", error.remedy());
    }
    ExitCode::FAILURE
}
