//! What the examples share: where keys come from, and how an error is told.
#![allow(dead_code, unreachable_pub, reason = "each example uses a part")]

use std::env::{self, VarError};
use std::error::Error;
use std::fs;
use std::iter::successors;
use std::path::Path;
use std::process::ExitCode;

use zeroize::Zeroizing;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The text of a key: a file's, if one is given, or else a variable's. `None` where there is neither.
///
/// Never an argument: arguments show in process lists.
pub fn key_text(file: Option<&Path>, variable: &str) -> Result<Option<Zeroizing<String>>> {
    if let Some(file) = file {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        return Ok(Some(Zeroizing::new(text)));
    }
    match env::var(variable) {
        // A variable that is set to nothing is as good as not set, as shells have it.
        Ok(text) => Ok(Some(Zeroizing::new(text)).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // The error would show what the variable holds.
        Err(VarError::NotUnicode(_)) => Err(format!("{variable} is not text").into()),
    }
}

/// The same where there must be a key.
pub fn required_key_text(file: Option<&Path>, variable: &str) -> Result<Zeroizing<String>> {
    Ok(key_text(file, variable)?.ok_or_else(|| format!("not set: {variable} (or --key-file)"))?)
}

/// Ends a program: an error is told in one sentence, with all that lies behind it.
pub fn exit(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    let sentence: Vec<String> = successors(Some(&*error), |&error| error.source()).map(ToString::to_string).collect();
    eprintln!("error: {}", sentence.join(": "));
    ExitCode::FAILURE
}
