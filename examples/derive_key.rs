//! Derives the keys of an enrollment group's devices, as a factory line does.
//!
//! The group's key comes from `PROVISIONING_GROUP_KEY` or `--key-file`. For one registration ID it
//! prints the key alone. For several, or `-` for standard input, it prints CSV lines
//! `registration_id,device_key`.

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use azure_iot_dps::{GroupKey, KeyDerivation, RegistrationId};
use clap::Parser;
use support::{Named, Result};

/// Derives the keys of an enrollment group's devices.
///
/// The group's key comes from `PROVISIONING_GROUP_KEY` or --key-file, never from an argument,
/// because process lists show arguments. Keep it in the factory, never on a device.
#[derive(Parser)]
struct Arguments {
    /// The registration IDs; `-` reads them from standard input, one per line
    #[arg(required = true, value_name = "REGISTRATION_ID")]
    registration_ids: Vec<String>,
    /// A file with the group's key in base64
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Write the keys to this file, which only its owner can read; on an error the file is
    /// unchanged
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// The length from which a line is skipped, in bytes. It is far longer than any registration ID.
const LONGEST_LINE: u64 = 4096;

fn main() -> ExitCode {
    support::exit(run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<()> {
    let key = Named::required_key(arguments.key_file.as_deref(), "PROVISIONING_GROUP_KEY")?;
    let derivation = KeyDerivation::new(&key.parse(GroupKey::from_base64)?);
    match &arguments.output {
        None => derive(&derivation, arguments, &mut BufWriter::new(io::stdout().lock())),
        Some(path) => {
            let mut file = NewFile::create(path)?;
            derive(&derivation, arguments, &mut file.writer)?;
            Ok(file.put_in_place()?)
        }
    }
}

/// Writes the keys of all valid IDs. Returns an error if some IDs are not valid.
fn derive(derivation: &KeyDerivation, arguments: &Arguments, output: &mut impl Write) -> Result<()> {
    let mut list = List { derivation, output, bad: 0, progress: Progress::new() };
    match &arguments.registration_ids[..] {
        [only] if only == "-" => list.read(io::stdin().lock())?,
        [only] => {
            let registration_id = RegistrationId::new(only.as_str())?;
            writeln!(list.output, "{}", derivation.derive_base64(&registration_id).as_str())?;
        }
        several => {
            for (number, text) in (1..).zip(several) {
                list.line(number, text)?;
            }
        }
    }
    list.output.flush()?;
    list.progress.end();
    match list.bad {
        0 => Ok(()),
        1 => Err("1 registration ID is not valid".into()),
        bad => Err(format!("{bad} registration IDs are not valid").into()),
    }
}

/// A list of keys that is being written.
struct List<'a, W> {
    derivation: &'a KeyDerivation,
    output: &'a mut W,
    bad: u64,
    progress: Progress,
}

impl<W: Write> List<'_, W> {
    /// Reads one ID per line. Ignores blank lines and carriage returns.
    fn read(&mut self, mut input: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if (&mut input).take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if line.len() as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
                input.skip_until(b'\n')?;
                self.refuse(number, &"the line is far too long");
                continue;
            }
            match str::from_utf8(line.trim_ascii()) {
                Ok("") => {}
                Ok(text) => self.line(number, text)?,
                Err(_) => self.refuse(number, &"the line is not UTF-8"),
            }
            self.progress.show(number);
        }
        Ok(())
    }

    fn line(&mut self, number: u64, text: &str) -> io::Result<()> {
        match RegistrationId::new(text) {
            Err(error) => self.refuse(number, &error),
            Ok(registration_id) => {
                let key = self.derivation.derive_base64(&registration_id);
                for part in [registration_id.as_str(), ",", key.as_str(), "\n"] {
                    self.output.write_all(part.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, number: u64, problem: &dyn std::fmt::Display) {
        self.progress.end();
        eprintln!("line {number}: {problem}");
        self.bad += 1;
    }
}

/// Shows the progress of a long run on a terminal.
struct Progress {
    on: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    const INTERVAL: Duration = Duration::from_millis(500);

    fn new() -> Self {
        Self { on: io::stderr().is_terminal(), next: Instant::now() + Self::INTERVAL, shown: false }
    }

    fn show(&mut self, lines: u64) {
        // Do not read the clock for every line.
        if self.on && lines.is_multiple_of(1024) && Instant::now() >= self.next {
            eprint!("\r{lines} lines ");
            self.shown = true;
            self.next = Instant::now() + Self::INTERVAL;
        }
    }

    fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            eprint!("\r{:32}\r", "");
        }
    }
}

/// A temporary file that replaces another file when it is complete.
struct NewFile<'a> {
    path: &'a Path,
    temporary: PathBuf,
    writer: BufWriter<File>,
    complete: bool,
}

impl<'a> NewFile<'a> {
    fn create(path: &'a Path) -> Result<Self> {
        let name = path.file_name().ok_or_else(|| format!("{}: not a file", path.display()))?;
        let temporary = path.with_file_name(format!(".{}.{}.tmp", name.display(), std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&temporary).map_err(|error| format!("{}: {error}", temporary.display()))?;
        Ok(Self { path, temporary, writer: BufWriter::new(file), complete: false })
    }

    fn put_in_place(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, self.path)?;
        self.complete = true;
        // The new name is on disk when the folder is synced. Not every platform can open folders.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = File::open(folder) {
            folder.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.complete {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
