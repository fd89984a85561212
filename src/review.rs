//! `lockbox-operator activity`: what was done with an access, read from audit logs, without a cluster.

use std::{
    cell::Cell,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use lockbox_activity::{Format, LONGEST_LINE, Ledger, Unreadable, read, read_value, report};
use lockbox_api::{Activity, LockboxRequest, Moment, activity::Coverage};
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, json};

/// Bytes that one value of a list may have.
const LONGEST_VALUE: usize = 8 * LONGEST_LINE;
/// Bytes of a file with requests.
const LONGEST_REQUESTS: u64 = 64 * 1024 * 1024;
/// How often it is said how far the reading is.
const PROGRESS: Duration = Duration::from_secs(5);
/// The lists in which clouds and Kubernetes put events.
const LISTS: [&str; 4] = ["events", "logEvents", "records", "items"];

/// Options of `activity`.
#[derive(clap::Args, Debug)]
pub struct Review {
    /// Audit logs: files, or - for standard input. Several are read one after the other; give them in the order of time.
    /// Give all of the time of the access, from every API server, of everybody: who deleted what was left behind is in the
    /// events of others.
    #[arg(long = "audit-log", value_name = "FILE", default_value = "-")]
    logs: Vec<PathBuf>,
    /// Requests with their status, as kubectl get lbr NAME -o yaml writes them (a list is good too). May be repeated.
    #[arg(short, long = "request", alias = "requests", value_name = "FILE", required = true)]
    requests: Vec<PathBuf>,
    /// Who wrote the log.
    #[arg(long, value_enum, default_value_t = Form::Auto, value_name = "FORMAT")]
    format: Form,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = Output::Text, value_name = "FORMAT")]
    output: Output,
}

/// Who wrote the log.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Told apart line by line.
    Auto,
    /// The API server: events as lines, or lists of events.
    Kubernetes,
    /// Google Cloud Logging (gcloud logging read --format=json, sinks).
    Gke,
    /// Amazon CloudWatch Logs (aws logs filter-log-events, subscriptions, exports to S3).
    Eks,
    /// Azure diagnostic logs (storage accounts, event hubs), category kube-audit.
    Aks,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people.
    Text,
    /// One JSON object: what status.activity would hold, for each request.
    Json,
    /// One JSON object a line for each call that belongs to an access or to its time.
    Jsonl,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// A file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// A file is not what it should be.
    #[error("{0}: {1}")]
    Document(PathBuf, String),
    /// No request was approved.
    #[error("no request in the files was approved: give requests with their status (kubectl get lbr NAME -o yaml)")]
    NoAccess,
    /// Whoever reads has read enough.
    #[error("the output was closed")]
    Closed,
}

/// What is shown of one access.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    namespace: String,
    name: String,
    uid: String,
    requester: String,
    from: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Moment>,
    activity: Activity,
}

impl Review {
    /// Prints the answer. 0: the logs cover the time of every access; 1: they do not; 2: something could not be read.
    pub fn run(&self) -> ExitCode {
        match self.reviewed() {
            // Who closes the pipe has read enough.
            Ok(true) | Err(Error::Closed) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(1),
            Err(error) => {
                eprintln!("lockbox-operator activity: {error}");
                ExitCode::from(2)
            }
        }
    }

    fn reviewed(&self) -> Result<bool, Error> {
        let mut ledger = Ledger::default();
        let mut uids = vec![];
        for path in &self.requests {
            for mut request in requests(path)? {
                // What was recorded is not what these logs show.
                if let Some(status) = &mut request.status {
                    status.activity = None;
                }
                if ledger.follow(&request) {
                    uids.extend(request.metadata.uid);
                }
            }
        }
        if uids.is_empty() {
            return Err(Error::NoAccess);
        }
        let mut reader = Reader::new(ledger, self.format.into(), self.output == Output::Jsonl);
        for path in &self.logs {
            reader.read(path)?;
        }
        reader.flush()?;
        self.show(&reader, &uids)
    }

    /// Returns whether the logs cover everything.
    fn show(&self, reader: &Reader, uids: &[String]) -> Result<bool, Error> {
        let ledger = &reader.ledger;
        let known = || uids.iter().filter_map(|uid| ledger.access(uid).zip(ledger.activity(uid)));
        let counters = ledger.counters();
        let text = match self.output {
            Output::Jsonl => String::new(),
            Output::Text => known().map(|(access, activity)| report(access, &activity)).collect::<Vec<_>>().join("\n"),
            Output::Json => {
                let shown: Vec<Shown> = known()
                    .map(|(access, activity)| Shown {
                        namespace: access.namespace.clone(),
                        name: access.name.clone(),
                        uid: access.uid.clone(),
                        requester: access.requester.clone(),
                        from: access.from,
                        to: access.to,
                        activity,
                    })
                    .collect();
                let whole = json!({
                    "requests": shown,
                    "read": {"events": counters.events, "belonging": counters.taken, "repeated": counters.repeated, "unreadable": counters.unreadable, "other": reader.other},
                });
                serde_json::to_string_pretty(&whole).unwrap_or_default() + "\n"
            }
        };
        if counters.unreadable > 0 || counters.events == 0 {
            eprintln!(
                "lockbox-operator activity: {} events read, {} lines unreadable, {} of something else",
                counters.events, counters.unreadable, reader.other
            );
        }
        io::stdout().lock().write_all(text.as_bytes()).map_err(|_| Error::Closed)?;
        Ok(known().all(|(_, activity)| activity.coverage == Coverage::Covered))
    }
}

impl From<Form> for Format {
    fn from(form: Form) -> Self {
        match form {
            Form::Auto => Self::Auto,
            Form::Kubernetes => Self::Kubernetes,
            Form::Gke => Self::Gke,
            Form::Eks => Self::Eks,
            Form::Aks => Self::Aks,
        }
    }
}

/// The requests of a file: documents, or lists.
fn requests(path: &Path) -> Result<Vec<LockboxRequest>, Error> {
    let file = |error| Error::File(path.to_owned(), error);
    let mut text = String::new();
    File::open(path).map_err(file)?.take(LONGEST_REQUESTS).read_to_string(&mut text).map_err(file)?;
    let bad = |error: &dyn std::fmt::Display| Error::Document(path.to_owned(), error.to_string());
    let mut requests = vec![];
    for document in serde_yaml_ng::Deserializer::from_str(&text) {
        let value = Value::deserialize(document).map_err(|error| bad(&error))?;
        let values = match value {
            Value::Object(mut list) if list.contains_key("items") => match list.remove("items") {
                Some(Value::Array(items)) => items,
                _ => vec![],
            },
            other => vec![other],
        };
        for value in values.into_iter().filter(|value| value["kind"] == "LockboxRequest") {
            requests.push(serde_json::from_value(value).map_err(|error| bad(&error))?);
        }
    }
    Ok(requests)
}

/// Reads logs into a ledger.
struct Reader {
    ledger: Ledger,
    format: Format,
    /// Where records go, as they come.
    records: Option<io::BufWriter<io::Stdout>>,
    /// Values that are no audit events.
    other: u64,
    bytes: u64,
    said: Instant,
}

impl Reader {
    fn new(ledger: Ledger, format: Format, records: bool) -> Self {
        let records = records.then(|| io::BufWriter::new(io::stdout()));
        Self { ledger, format, records, other: 0, bytes: 0, said: Instant::now() }
    }

    fn read(&mut self, path: &Path) -> Result<(), Error> {
        let file = |error| Error::File(path.to_owned(), error);
        let input: Box<dyn Read> =
            if path == Path::new("-") { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(file)?) };
        let mut input = BufReader::with_capacity(1 << 18, input);
        let mut line = vec![];
        // The first line says whether each line is a value of its own, or all of it is one.
        let whole = next_line(&mut input, &mut line).map_err(file)?;
        if !whole && !line.is_empty() || is_open(&line) {
            let document = io::Cursor::new(std::mem::take(&mut line)).chain(input);
            return self.document(document).map_err(|error| Error::Document(path.to_owned(), error));
        }
        while !line.is_empty() {
            self.line(&line)?;
            loop {
                line.clear();
                if next_line(&mut input, &mut line).map_err(file)? {
                    break;
                }
                // Too long: what is left of it is skipped.
                self.ledger.lost(1);
                skip_line(&mut input).map_err(file)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.progress(line.len());
        let line = String::from_utf8_lossy(line);
        if line.trim().is_empty() {
            return Ok(());
        }
        self.calls(read(&line, self.format))
    }

    fn calls(&mut self, calls: Result<Vec<lockbox_activity::Call>, Unreadable>) -> Result<(), Error> {
        match calls {
            Ok(calls) => {
                for call in calls {
                    for record in self.ledger.take(&call) {
                        if let Some(out) = &mut self.records {
                            let line = serde_json::to_string(&record).unwrap_or_default();
                            writeln!(out, "{line}").map_err(|_| Error::Closed)?;
                        }
                    }
                }
            }
            Err(Unreadable::Other) => self.other += 1,
            Err(Unreadable::Json | Unreadable::TooLong) => self.ledger.lost(1),
        }
        Ok(())
    }

    /// One or several values over many lines, each looked at as soon as it is complete.
    fn document(&mut self, input: impl Read) -> Result<(), String> {
        let left = Rc::new(Cell::new(LONGEST_VALUE));
        let limited = Limited { input: BufReader::new(input), left: left.clone() };
        let mut json = serde_json::Deserializer::from_reader(limited);
        let mut closed = Ok(());
        loop {
            let mut begun = false;
            let mut take = |value: Value| {
                left.set(LONGEST_VALUE);
                self.progress(0);
                let calls = read_value(&value, self.format);
                if closed.is_ok() {
                    closed = self.calls(calls);
                }
            };
            match (Values { take: &mut take, begun: &mut begun }).deserialize(&mut json) {
                Ok(()) => {}
                Err(error) if error.is_eof() && !begun => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn progress(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.said.elapsed() >= PROGRESS {
            self.said = Instant::now();
            eprintln!(
                "lockbox-operator activity: {} events read, {} MB",
                self.ledger.counters().events,
                self.bytes / 1_000_000
            );
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.records.as_mut().map_or(Ok(()), |out| out.flush().map_err(|_| Error::Closed))
    }
}

/// Reads a line of a bounded length. Returns whether it is whole.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let most = LONGEST_LINE + 1;
    let read = input.take(most as u64).read_until(b'\n', line)?;
    Ok(read < most || line.ends_with(b"\n"))
}

/// Skips to the next line.
fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if done {
            return Ok(());
        }
    }
}

/// Whether a line begins a value that goes on in the next one, or is a list.
fn is_open(line: &[u8]) -> bool {
    let begins = |byte: u8| line.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&byte);
    let is_whole = || serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
    begins(b'[') || (begins(b'{') && !is_whole())
}

/// Bytes until the next value at most: a value that never ends fills no memory.
struct Limited<R> {
    input: R,
    left: Rc<Cell<usize>>,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other("one value of it is too large to be an event"));
        }
        let most = buffer.len().min(left);
        let read = self.input.read(&mut buffer[..most])?;
        self.left.set(left - read);
        Ok(read)
    }
}

/// Hands on the values of a list, or of the lists in an object, one by one; another object as it is.
struct Values<'a> {
    take: &'a mut dyn FnMut(Value),
    begun: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        *self.begun = true;
        while let Some(value) = seq.next_element::<Value>()? {
            (self.take)(value);
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        *self.begun = true;
        let mut other = Map::new();
        let mut listed = false;
        while let Some(key) = map.next_key::<String>()? {
            if LISTS.contains(&key.as_str()) {
                listed = true;
                let mut take = |value: Value| (self.take)(if key == "items" { event(value) } else { value });
                map.next_value_seed(Values { take: &mut take, begun: self.begun })?;
            } else {
                let value = map.next_value()?;
                other.insert(key, value);
            }
        }
        if !listed {
            (self.take)(Value::Object(other));
        }
        Ok(())
    }
}

/// Events in an `EventList` do not say of what kind they are.
fn event(mut value: Value) -> Value {
    if let Some(event) = value.as_object_mut().filter(|event| !event.contains_key("apiVersion")) {
        event.insert("apiVersion".into(), "audit.k8s.io/v1".into());
        event.insert("kind".into(), "Event".into());
    }
    value
}
