//! Code that the examples share: reads keys and files, and shows results and errors.
#![allow(dead_code, unreachable_pub, reason = "each example uses a part")]

use std::env::{self, VarError};
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::iter::successors;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zeroize::Zeroizing;

pub type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// Returns the value of a variable, or `None` if it is not set or empty.
pub fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        // The original error would show the variable's value.
        Err(VarError::NotUnicode(_)) => Err(format!("{name} is not text").into()),
    }
}

/// Returns the content of a file. An error names the file.
pub fn read(file: &Path) -> Result<Vec<u8>> {
    Ok(fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Returns the path with a suffix added to its name.
pub fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// A value with the name of the flag, the variable or the file that it comes from.
pub struct Named {
    pub source: String,
    pub text: Zeroizing<String>,
}

impl Named {
    /// Returns an argument, or else a variable. `None` if neither is set.
    pub fn given(argument: Option<&String>, flag: &str, name: &str) -> Result<Option<Self>> {
        let (source, text) = match argument {
            Some(argument) => (flag, Some(argument.clone())),
            None => (name, variable(name)?),
        };
        Ok(text.map(|text| Self { source: source.into(), text: Zeroizing::new(text) }))
    }

    /// Returns the text of a key: a file's, if one is given, or else a variable's. `None` if neither is set.
    ///
    /// A key is never an argument, because arguments show in process lists.
    pub fn key(file: Option<&Path>, name: &str) -> Result<Option<Self>> {
        let Some(file) = file else { return Self::given(None, "", name) };
        let source = file.display().to_string();
        let text = String::from_utf8(read(file)?).map_err(|_| format!("{source}: the file is not UTF-8 text"))?;
        Ok(Some(Self { source, text: Zeroizing::new(text) }))
    }

    /// Returns the text of a key that must be set.
    pub fn required_key(file: Option<&Path>, name: &str) -> Result<Self> {
        Ok(Self::key(file, name)?.ok_or_else(|| format!("not set: {name} (or --key-file)"))?)
    }

    /// Parses the text. An error names the source.
    pub fn parse<T, E: Error + 'static>(&self, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T> {
        parse(&self.text).map_err(|error| format!("{}: {}", self.source, sentence(&error)).into())
    }
}

/// Prints a result. A closed pipe is an error, not a panic.
pub fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}

/// Returns an error and all its sources as one sentence.
pub fn sentence(error: &(dyn Error + 'static)) -> String {
    successors(Some(error), |&error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The exit code of a failure that may pass without a repair, `EX_TEMPFAIL` of `sysexits.h`. Any other failure is 1.
const TEMPORARY_FAILURE: u8 = 75;

/// Ends a program. Prints an error as one sentence, and its remedy as another one.
pub fn exit(result: Result<()>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {}", sentence(&*error));
    match error.downcast_ref::<azure_iot_dps::Error>() {
        Some(error) => {
            eprintln!("what to do: {}", error.remedy());
            if error.is_transient() { TEMPORARY_FAILURE.into() } else { ExitCode::FAILURE }
        }
        None => ExitCode::FAILURE,
    }
}
