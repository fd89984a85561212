//! The Go toolchain of this machine.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Error;

/// The oldest Go that builds the newest Kubernetes (the `go` line of its module file).
const MINIMUM: (u32, u32) = (1, 26);
const MINIMUM_TEXT: &str = "1.26";

/// A usable `go`.
pub(crate) struct Go {
    pub(crate) program: PathBuf,
    /// Version and platform, such as `go1.26.8 linux/amd64`: binaries made by another toolchain are others.
    pub(crate) identity: String,
}

impl Go {
    /// Finds `go` and asks it, in the folder of the module file, which toolchain it would use there (`GOTOOLCHAIN=auto`
    /// fetches a newer one when the module file asks for it).
    pub(crate) fn find(modules: &Path, product: &str) -> Result<Go, Error> {
        let path = env::var_os("PATH").unwrap_or_default();
        // Where Go's own archive goes; it asks people to add that to PATH, which not every CI does.
        let places = env::split_paths(&path).chain([PathBuf::from("/usr/local/go/bin")]);
        Go::find_in(places, modules, product)
    }

    fn find_in(places: impl Iterator<Item = PathBuf>, modules: &Path, product: &str) -> Result<Go, Error> {
        let program = places
            .map(|folder| folder.join("go"))
            .find(|program| program.is_file())
            .ok_or_else(|| Error::GoMissing { product: product.to_owned(), minimum: MINIMUM_TEXT })?;
        let ask = |folder: &Path| {
            Command::new(&program)
                .args(["env", "GOVERSION", "GOHOSTOS", "GOHOSTARCH"])
                .current_dir(folder)
                .env("GOWORK", "off")
                .stdin(Stdio::null())
                .output()
                .map_err(Error::io("run", &program))
        };
        let told = ask(modules)?;
        let text = String::from_utf8_lossy(&told.stdout);
        let mut lines = text.lines();
        let version = lines.next().unwrap_or_default().to_owned();
        let too_old = |found: String, detail: String| Error::GoTooOld {
            found,
            product: product.to_owned(),
            minimum: MINIMUM_TEXT,
            detail,
        };
        if !told.status.success() {
            // It refuses the module file; outside of it, it still tells its version.
            let outside = ask(Path::new("/"))?;
            let found = String::from_utf8_lossy(&outside.stdout).lines().next().unwrap_or("this Go").to_owned();
            return Err(too_old(found, format!(" (it said: {})", String::from_utf8_lossy(&told.stderr).trim())));
        }
        if !is_recent_enough(&version) {
            return Err(too_old(version, String::new()));
        }
        let identity = format!("{version} {}/{}", lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        Ok(Go { program, identity })
    }
}

/// `go1.26.8`, `go1.27rc1` and `devel go1.28-0123abc` are; `go1.19.8` is not.
fn is_recent_enough(version: &str) -> bool {
    let Some(numbers) = version.split_whitespace().find_map(|word| word.strip_prefix("go")) else { return false };
    let mut numbers = numbers.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= MINIMUM
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with a `go` that prints what is given.
    fn fake(name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let folder = env::temp_dir().join(format!("lockbox-go-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("go"), format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(folder.join("go"), std::fs::Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn a_missing_go_is_named_with_the_way_out() {
        let error =
            Go::find_in([PathBuf::from("/nowhere")].into_iter(), Path::new("/"), "Kubernetes 1.37.2").err().unwrap();
        let text = error.to_string();
        assert!(text.contains("`go` was not found") && text.contains("Install Go 1.26 or later"), "{text}");
    }

    #[test]
    fn a_go_that_is_too_old_or_refuses_the_module_file_is_named_with_the_way_out() {
        let old = fake("old", "printf 'go1.19.8\\nlinux\\namd64\\n'");
        let refusing = fake(
            "refusing",
            "[ \"$PWD\" = / ] && echo go1.22.1 && exit; echo 'go.mod requires go >= 1.26.0' >&2; exit 1",
        );
        for (folder, found) in [(old, "go1.19.8"), (refusing, "go1.22.1")] {
            let error = Go::find_in([folder.clone()].into_iter(), &folder, "Kubernetes 1.37.2").err().unwrap();
            let text = error.to_string();
            assert!(text.starts_with(&format!("{found} is too old")) && text.contains("1.26"), "{text}");
            std::fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn an_old_go_is_told_from_a_recent_one() {
        for version in ["go1.26", "go1.26.8", "go1.27rc1", "devel go1.28-0123abc", "go2.0", "go1.26.8 X:foo"] {
            assert!(is_recent_enough(version), "{version}");
        }
        for version in ["go1.19.8", "go1.25.9", "", "1.26"] {
            assert!(!is_recent_enough(version), "{version}");
        }
    }
}
