//! Calls of one user, counted in the API server's audit log.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// Calls by what they did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calls {
    /// What was to be stored: create, update, patch, delete.
    pub writes: u64,
    /// Dry runs: nothing is stored.
    pub trials: u64,
    /// All others.
    pub reads: u64,
    /// Answers that say no, conflicts among them; a dry run of something forged is meant to fail and is no failure.
    pub failed: u64,
    /// How often each was called, such as `create jobs` or `trial patch lockboxrequests`.
    pub words: BTreeMap<String, u64>,
}

/// A line of the log.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    #[serde(rename = "auditID")]
    id: String,
    /// The path, with its query.
    #[serde(rename = "requestURI")]
    pub uri: String,
    /// What RBAC calls it.
    pub verb: String,
    /// Who called.
    pub user: LineUser,
    #[serde(default)]
    object_ref: ObjectRef,
    response_status: Option<ResponseStatus>,
    /// What was sent, where the policy says so.
    pub request_object: Option<Value>,
}

/// Who called.
#[derive(Clone, Debug, Deserialize)]
pub struct LineUser {
    /// The user's name.
    pub username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ObjectRef {
    #[serde(default)]
    resource: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    name: String,
    subresource: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

impl Line {
    /// Whether nothing was to be stored.
    pub fn dry(&self) -> bool {
        self.uri.contains("dryRun=")
    }

    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection") && !self.dry()
    }

    /// The namespace; empty for what belongs to none.
    pub fn namespace(&self) -> &str {
        &self.object_ref.namespace
    }

    /// The object's name; empty where the call has none.
    pub fn name(&self) -> &str {
        &self.object_ref.name
    }

    /// The resource, with its subresource: `lockboxrequests/status`.
    pub fn resource(&self) -> String {
        let ObjectRef { resource, subresource, .. } = &self.object_ref;
        subresource.as_ref().map_or_else(|| resource.clone(), |sub| format!("{resource}/{sub}"))
    }

    fn words(&self) -> String {
        let name = self.name();
        // What tries the safety net has the kinds of a grant, and is none.
        let of = if name.starts_with("lockbox-canary-") {
            " (safety net)"
        } else if name.starts_with("lockbox-view-") {
            " (views)"
        } else if name.starts_with("lockbox-people-") {
            " (people)"
        } else {
            ""
        };
        format!("{}{} {}{of}", if self.dry() { "trial " } else { "" }, self.verb, self.resource())
    }
}

/// Where the log ends now.
pub fn mark(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |file| file.len())
}

/// The calls since a mark that were answered, in the order of their answers, each once.
pub fn since(log: &Path, mark: u64, mut each: impl FnMut(Line)) -> Result<(), Error> {
    let what = || format!("read {}", log.display());
    let mut file = File::open(log).map_err(Error::io(what()))?;
    file.seek(SeekFrom::Start(mark)).map_err(Error::io(what()))?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut line, mut seen) = (String::new(), HashSet::new());
    loop {
        line.clear();
        // The last line may be half written.
        if reader.read_line(&mut line).map_err(Error::io(what()))? == 0 || !line.ends_with('\n') {
            return Ok(());
        }
        let call: Line = serde_json::from_str(&line).map_err(Error::json(what()))?;
        if seen.insert(call.id.clone()) {
            each(call);
        }
    }
}

/// The calls of a user since a mark.
pub fn calls(log: &Path, mark: u64, user: &str) -> Result<Calls, Error> {
    let mut calls = Calls::default();
    since(log, mark, |line| {
        if line.user.username == user {
            calls.count(&line);
        }
    })?;
    Ok(calls)
}

impl Calls {
    fn count(&mut self, line: &Line) {
        if line.dry() {
            self.trials += 1;
        } else if line.writes() {
            self.writes += 1;
        } else {
            self.reads += 1;
        }
        if !line.dry() && line.response_status.as_ref().is_some_and(|status| status.code >= 400) {
            self.failed += 1;
        }
        *self.words.entry(line.words()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: u32, user: &str, verb: &str, uri: &str, resource: &str, name: &str, code: u16) -> String {
        let event = json!({
            "auditID": id.to_string(), "requestURI": uri, "verb": verb, "user": {"username": user},
            "objectRef": {"resource": resource, "namespace": "shop", "name": name}, "responseStatus": {"code": code},
        });
        format!("{event}\n")
    }

    #[test]
    fn calls_are_told_apart_and_a_watch_counts_once() {
        let log = std::env::temp_dir().join(format!("lockbox-bench-audit-{}", std::process::id()));
        let first = event(1, "op", "create", "/jobs", "jobs", "lockbox-grant-1", 201);
        let text = [
            first.clone(),
            event(2, "op", "create", "/jobs", "jobs", "lockbox-canary-1", 201),
            event(3, "op", "patch", "/x?dryRun=All", "lockboxrequests", "sr-1", 403),
            event(4, "op", "watch", "/x", "jobs", "", 200),
            event(4, "op", "watch", "/x", "jobs", "", 200),
            event(5, "kim", "create", "/x", "lockboxrequests", "sr-1", 201),
            event(6, "op", "update", "/x", "lockboxrequests", "sr-1", 409),
            "{\"half".to_owned(),
        ]
        .concat();
        std::fs::write(&log, &text).unwrap();
        let counted = calls(&log, u64::try_from(first.len()).unwrap(), "op").unwrap();
        std::fs::remove_file(&log).unwrap();
        let words = ["create jobs (safety net)", "trial patch lockboxrequests", "update lockboxrequests", "watch jobs"];
        assert_eq!(counted.words.keys().collect::<Vec<_>>(), words);
        assert_eq!((counted.writes, counted.trials, counted.reads, counted.failed), (2, 1, 1, 1));
    }
}
