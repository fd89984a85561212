//! Builds etcd, kube-apiserver, kube-controller-manager, kubectl and helm from their Go modules.

use std::fmt::Write as _;
use std::fs::{self, File, TryLockError};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cache;
use crate::go::Go;
use crate::guard::{Guard, Spec};
use crate::version::Release;
use crate::{Error, Version};

/// Without a terminal, how often a build says that it goes on.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// Longer than any build should take, so that a hanging download ends with an error.
const BUILT_WITHIN: Duration = Duration::from_hours(2);

/// Builds the binaries of a version unless they are there already, and returns their folder.
///
/// The folder's name holds a hash of module files, flags, Go version and platform, so a change of any of them builds
/// anew and nothing else does. What is built, how long it takes and how far it is goes to standard error. Two
/// processes never build at the same time: the second says that it waits, and then uses what the first has built.
pub fn build(version: Version) -> Result<PathBuf, Error> {
    let release = version.release();
    let product = Product {
        name: "Kubernetes",
        folder: "kubernetes",
        modules: release.number.to_owned(),
        number: release.number,
        go_mod: release.go_mod,
        go_sum: release.go_sum,
        flags: ldflags(release),
        binaries: release.binaries,
        costs: format!("{} minutes on two cores, 4 GB in Go's build cache and 1 GB of modules", release.minutes),
    };
    product.build()
}

/// What one module file builds.
pub(crate) struct Product {
    /// Such as `Kubernetes`.
    pub(crate) name: &'static str,
    /// Its folder in the cache.
    pub(crate) folder: &'static str,
    /// The beginning of its module folder's name.
    pub(crate) modules: String,
    /// Such as `1.37.2`.
    pub(crate) number: &'static str,
    pub(crate) go_mod: &'static str,
    pub(crate) go_sum: &'static str,
    /// For the linker.
    pub(crate) flags: String,
    /// What `go build tool` calls each binary, and what we call it.
    pub(crate) binaries: &'static [(&'static str, &'static str)],
    /// What a first build takes.
    pub(crate) costs: String,
}

impl Product {
    /// Name and number.
    fn title(&self) -> String {
        format!("{} {}", self.name, self.number)
    }

    /// Builds it unless it is there already, and returns the folder of its binaries.
    pub(crate) fn build(&self) -> Result<PathBuf, Error> {
        let cache = cache::folder()?;
        let modules = self.write_modules(&cache)?;
        let go = Go::find(&modules, &self.title())?;
        let key = cache::digest(&[self.go_mod, self.go_sum, &self.flags, &go.identity]);
        let folder = cache.join(self.folder).join(format!("{}-{key}", self.number));
        if folder.is_dir() {
            return Ok(folder);
        }
        let _lock = self.lock(&cache)?;
        // Another process may have built it while this one waited.
        if !folder.is_dir() {
            Build { product: self, go: &go, modules: &modules, folder: &folder }.run()?;
        }
        Ok(folder)
    }

    /// Writes the module files where Go can read them; never into the checkout, which may be read-only.
    fn write_modules(&self, cache: &Path) -> Result<PathBuf, Error> {
        let key = cache::digest(&[self.go_mod, self.go_sum]);
        let modules = cache.join("modules").join(format!("{}-{key}", self.modules));
        // Written last, and each whole: when go.sum is there, both are complete.
        if !modules.join("go.sum").is_file() {
            cache::create(&modules)?;
            cache::replace(&modules.join("go.mod"), self.go_mod)?;
            cache::replace(&modules.join("go.sum"), self.go_sum)?;
        }
        Ok(modules)
    }

    /// One build of a product at a time on this machine: two of them would only take each other's cores.
    fn lock(&self, cache: &Path) -> Result<File, Error> {
        let path = cache.join(self.folder).with_extension("lock");
        cache::create(&cache.join(self.folder))?;
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => {
                say(&format!(
                    "Another process is building {} (it holds {}); waiting for it.",
                    self.name,
                    path.display()
                ));
                lock.lock().map_err(Error::io("lock", &path))?;
                Ok(lock)
            }
            Err(TryLockError::Error(error)) => Err(Error::io("lock", &path)(error)),
        }
    }
}

/// Binaries without a stamp call themselves v0.0.0, and Helm's kubeVersion check then refuses the cluster.
fn ldflags(release: &Release) -> String {
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", format!("v{}", release.number).as_str()),
            ("gitMajor", "1"),
            ("gitMinor", release.minor),
            ("gitTreeState", "clean"),
        ] {
            let _ = write!(flags, " -X {package}.{name}={value}");
        }
    }
    flags
}

/// Not `eprintln!`: the test harness would hide it, and a test that builds looks as if it hung.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

struct Build<'a> {
    product: &'a Product,
    go: &'a Go,
    modules: &'a Path,
    folder: &'a Path,
}

impl Build<'_> {
    fn run(&self) -> Result<(), Error> {
        let names: Vec<&str> = self.product.binaries.iter().map(|(_, name)| *name).collect();
        say(&format!(
            "Building {}: {}, from their Go modules with {}.\n\
             The first time this takes about {}; the result is kept in {}.",
            self.product.title(),
            names.join(", "),
            self.go.identity,
            self.product.costs,
            self.folder.display()
        ));
        let started = Instant::now();
        let parent = self.folder.parent().unwrap_or(self.folder);
        remove_leftovers(parent);
        let work = parent.join(format!("building-{}", std::process::id()));
        let out = work.join("out");
        cache::create(&out)?;

        let mut progress = Progress::new(started);
        let list = self.go(&work, "list", &["list", "-mod=readonly", "-deps", "tool"], &mut progress)?;
        progress.packages = list.lines().filter(|line| !line.starts_with("go: ")).count();
        let target = format!("{}/", out.display());
        self.go(
            &work,
            "build",
            &[
                "build",
                "-mod=readonly",
                "-buildvcs=false",
                "-trimpath",
                "-v",
                "-ldflags",
                &self.product.flags,
                "-o",
                &target,
                "tool",
            ],
            &mut progress,
        )?;
        progress.end();

        for (built, name) in self.product.binaries {
            let from = out.join(built);
            fs::rename(&from, out.join(name)).map_err(Error::io("find the built", &from))?;
        }
        fs::rename(&out, self.folder).map_err(Error::io("move the binaries to", self.folder))?;
        let _ = fs::remove_dir_all(&work);
        let took = started.elapsed().as_secs();
        say(&format!("Built {} in {} min {:02} s.", self.product.title(), took / 60, took % 60));
        Ok(())
    }

    /// Runs `go` to its end and returns what it wrote. When this process is killed, `go` and its compilers end too.
    fn go(&self, work: &Path, name: &str, args: &[&str], progress: &mut Progress) -> Result<String, Error> {
        let guard = Guard::spawn(&Spec {
            name,
            program: self.go.program.clone(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            envs: vec![
                // One static binary each, whatever C compiler there is.
                ("CGO_ENABLED", "0".to_owned()),
                ("GOWORK", "off".to_owned()),
                // Empty means this machine's.
                ("GOOS", String::new()),
                ("GOARCH", String::new()),
            ],
            data: work,
            cwd: self.modules,
            remove: true,
            lock: None,
        })?;
        let log = guard.log().to_owned();
        // The guard appends; whoever comes first creates it.
        let mut reader =
            File::options().read(true).append(true).create(true).open(&log).map_err(Error::io("open", &log))?;
        let mut output = String::new();
        let deadline = Instant::now() + BUILT_WITHIN;
        loop {
            let ended = guard.wait(Duration::from_millis(250)) || Instant::now() > deadline;
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).map_err(Error::io("read", &log))?;
            output.push_str(&String::from_utf8_lossy(&bytes));
            progress.show(&output);
            if ended {
                break;
            }
        }
        if guard.has_ended() && guard.status().is_some_and(|status| status.success()) {
            return Ok(output);
        }
        progress.end();
        // The work folder goes; its log is what the reader of the error needs.
        let kept = self.folder.with_extension("log");
        cache::write(&kept, &output)?;
        let _ = fs::remove_dir_all(work);
        let errors: Vec<&str> =
            output.lines().filter(|line| line.contains(' ') && !line.starts_with("go: downloading ")).collect();
        let tail = errors[errors.len().saturating_sub(20)..].join("\n");
        Err(Error::Build { product: self.product.title(), log: kept, tail, folder: self.folder.to_owned() })
    }
}

/// Work folders of builds that were killed together with their guard. Only called under the lock.
fn remove_leftovers(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("building-") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// How far a build is: one line that is written over on a terminal, else a line every 30 s.
struct Progress {
    started: Instant,
    reported: Instant,
    terminal: bool,
    /// In all; 0 as long as it is not known.
    packages: usize,
}

impl Progress {
    fn new(started: Instant) -> Progress {
        Progress { started, reported: started, terminal: io::stderr().is_terminal(), packages: 0 }
    }

    fn show(&mut self, output: &str) {
        if !self.terminal && self.reported.elapsed() < REPORT_EVERY {
            return;
        }
        self.reported = Instant::now();
        let elapsed = self.started.elapsed().as_secs();
        let what = if self.packages == 0 {
            format!("{} modules downloaded", output.lines().filter(|line| line.starts_with("go: downloading ")).count())
        } else {
            // Packages that Go's build cache still holds are not compiled again, so this may end early.
            let done = output.lines().filter(|line| !line.contains(' ')).count();
            format!("{done} of at most {} packages compiled", self.packages)
        };
        let line = format!("  {:>2}:{:02}  {what}", elapsed / 60, elapsed % 60);
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K{line}");
        } else {
            say(&line);
        }
    }

    fn end(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_packages_that_tell_a_version_are_stamped() {
        let flags = ldflags(Version::Oldest.release());
        assert!(flags.contains("-X k8s.io/component-base/version.gitVersion=v1.33.13 "), "{flags}");
        assert!(flags.contains("-X k8s.io/client-go/pkg/version.gitMinor=33 "), "{flags}");
    }
}
