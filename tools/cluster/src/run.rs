//! Running commands to their end.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::Error;

/// Runs a command with nothing on standard input and returns its standard output; a failure tells the command line,
/// the status and what it wrote to standard error.
pub fn output(mut command: Command) -> Result<String, Error> {
    let program = Path::new(command.get_program()).to_owned();
    let result = command.stdin(Stdio::null()).output().map_err(Error::io("run", &program))?;
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let words = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
    Err(Error::Command {
        command: std::iter::once(name).chain(words).collect::<Vec<_>>().join(" "),
        status: result.status.to_string(),
        stderr: String::from_utf8_lossy(&result.stderr).trim().to_owned(),
    })
}
