//! How binaries are built: with a stand-in for `go`, since the real one takes minutes; the last test uses the real one.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use common::{eventually, succeed, tool};

/// Answers as `go` does, notes each build, and builds as long as the file `wait` is there.
const GO: &str = r#"#!/bin/sh
here=$(dirname "$0")
case $1 in
env) printf 'go1.26.8\nlinux\namd64\n' ;;
list) printf 'go: downloading example.com/module v1.0.0\nexample.com/module\nexample.com/module/cmd\n' ;;
build)
  echo "$PWD $CGO_ENABLED $*" >>"$here/builds"
  echo example.com/module
  if [ -e "$here/fail" ]; then echo 'module/file.go:7: undefined: nothing' >&2; exit 1; fi
  while [ -e "$here/wait" ]; do sleep 0.05; done
  while [ "$1" != -o ]; do shift; done
  for name in server kube-apiserver kube-controller-manager kubectl helm; do echo binary >"$2$name"; done ;;
esac
"#;

struct Place {
    folder: PathBuf,
}

impl Place {
    fn new(name: &str) -> Place {
        let folder = common::folder(name);
        fs::write(folder.join("go"), GO).unwrap();
        fs::set_permissions(folder.join("go"), Permissions::from_mode(0o755)).unwrap();
        Place { folder }
    }

    fn build(&self) -> Command {
        let mut command = tool();
        command.args(["build", "--kubernetes", "newest"]);
        command.env("LOCKBOX_CACHE", self.folder.join("cache"));
        command.env("PATH", format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap()));
        command
    }

    fn builds(&self) -> usize {
        fs::read_to_string(self.folder.join("builds")).unwrap_or_default().lines().count()
    }

    fn set(&self, file: &str) {
        fs::write(self.folder.join(file), "").unwrap();
    }

    fn unset(&self, file: &str) {
        fs::remove_file(self.folder.join(file)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn spawn(mut command: Command) -> (Child, impl Iterator<Item = String>) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = |stderr: ChildStderr| BufReader::new(stderr).lines().map(Result::unwrap);
    let stderr = lines(child.stderr.take().unwrap());
    (child, stderr)
}

#[test]
fn a_second_build_is_not_one() {
    let place = Place::new("twice");
    let first = succeed(place.build(), &[]);
    let second = place.build().output().unwrap();
    assert_eq!(place.builds(), 1);
    assert_eq!(String::from_utf8(second.stdout).unwrap(), first);
    assert_eq!(String::from_utf8(second.stderr).unwrap(), "", "nothing to say");
    let folder = Path::new(first.trim());
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm"] {
        assert!(folder.join(name).is_file(), "{name}");
    }
    let line = fs::read_to_string(place.folder.join("builds")).unwrap();
    for text in ["/cache/modules/1.37.2-", " 0 build -mod=readonly ", "component-base/version.gitVersion=v1.37.2 "] {
        assert!(line.contains(text), "{text}: {line}");
    }
}

#[test]
fn a_build_says_beforehand_what_it_builds_and_how_long_that_takes() {
    let place = Place::new("says");
    let told = String::from_utf8(place.build().output().unwrap().stderr).unwrap();
    let first = told.lines().take(2).collect::<String>();
    for text in ["Kubernetes 1.37.2", "etcd, kube-apiserver", "helm", "about 11 minutes", "/cache/kubernetes/1.37.2-"] {
        assert!(first.contains(text), "{text}: {told}");
    }
}

#[test]
fn two_processes_build_once_and_the_second_says_that_it_waits() {
    let place = Place::new("both");
    place.set("wait");
    let (mut first, mut told) = spawn(place.build());
    assert!(told.next().unwrap().starts_with("Building Kubernetes 1.37.2"));
    eventually("the first build", || (place.builds() == 1).then_some(()));
    let (mut second, mut waits) = spawn(place.build());
    let line = waits.next().unwrap();
    assert!(line.starts_with("Another process is building Kubernetes"), "{line}");
    place.unset("wait");
    assert!(first.wait().unwrap().success());
    assert!(second.wait().unwrap().success());
    assert_eq!(place.builds(), 1);
}

#[test]
fn a_killed_build_takes_its_compilers_along_and_the_next_one_starts_anew() {
    let place = Place::new("killed");
    place.set("wait");
    let (mut first, _told) = spawn(place.build());
    eventually("the first build", || (place.builds() == 1).then_some(()));
    first.kill().unwrap();
    first.wait().unwrap();
    let script = place.folder.join("go");
    eventually("no stand-in for go", || common::processes_with(&script.to_string_lossy()).is_empty().then_some(()));
    place.unset("wait");
    let folder = succeed(place.build(), &[]);
    assert_eq!(place.builds(), 2);
    let beside: Vec<_> = fs::read_dir(Path::new(folder.trim()).parent().unwrap()).unwrap().flatten().collect();
    assert_eq!(beside.len(), 1, "no work folder is left: {beside:?}");
}

#[test]
fn a_failed_build_shows_the_error_and_leaves_nothing_that_looks_built() {
    let place = Place::new("fails");
    place.set("fail");
    let error = lockbox_cluster::output(place.build()).unwrap_err().to_string();
    assert!(error.contains("building Kubernetes 1.37.2 failed"), "{error}");
    assert!(error.contains("undefined: nothing"), "{error}");
    let log = error.split_once("the last lines of ").unwrap().1.split_once(":\n").unwrap().0;
    assert!(fs::read_to_string(log).unwrap().contains("undefined: nothing"));
    place.unset("fail");
    succeed(place.build(), &[]);
    assert_eq!(place.builds(), 2);
}

#[test]
fn the_real_binaries_are_found_again() {
    let first = succeed(tool(), &["build"]);
    let second = tool().arg("build").output().unwrap();
    assert_eq!(String::from_utf8(second.stdout).unwrap(), first);
    assert_eq!(String::from_utf8(second.stderr).unwrap(), "");
    assert_eq!(first.lines().count(), 3, "a folder for each version, and Mailpit's: {first}");
}
