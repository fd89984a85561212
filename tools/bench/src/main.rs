//! `lockbox-bench`: measures Lockbox on real control planes.

#![forbid(unsafe_code)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and milliseconds are far from where that matters"
)]

mod audit;
mod bare;
mod client;
mod error;
mod load;
mod plot;
mod process;
mod progress;
mod quantiles;
mod render;
mod results;
mod sections;
mod tracker;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use chrono::Utc;
use clap::{Parser, ValueEnum};

use crate::{
    error::Error,
    load::Pace,
    progress::Progress,
    results::{Machine, Results, Stamped, commit, write},
    sections::{Bench, Sizes},
    world::repository,
};

/// Measures Lockbox on real Kubernetes control planes and writes the report.
///
/// Starts etcd, kube-apiserver and kube-controller-manager on loopback (they are built once), installs the chart, runs the
/// operator beside them, and acts as engineers and approvers with client certificates. A bare client with the operator's
/// account makes the same writes in the same run, for comparison.
///
/// Results go to FOLDER/results.json, section by section: a section that is measured again takes the place of the last one.
/// FOLDER/RESULTS.md and FOLDER/plots/*.svg are made from that file alone.
///
/// Nothing else should run on the machine meanwhile. A full run of all sections takes about an hour on two cores, --quick three
/// minutes. Nothing is left running, however it ends; an interrupted run keeps the sections that were complete.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Cli {
    /// What to measure.
    #[arg(value_enum, default_value = "all", value_name = "SECTION")]
    sections: Vec<Section>,
    /// A tenth of it or less, for a first impression; written to target/bench-quick unless --folder says otherwise.
    #[arg(long)]
    quick: bool,
    /// The operator. [default: lockbox-operator beside this program]
    #[arg(long, value_name = "FILE")]
    operator: Option<PathBuf>,
    /// A value of the chart in place of its default, such as operator.bindsAnyRole=true; may be given several times. The report
    /// says so beside the commit.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    values: Vec<String>,
    /// Where results, report and plots go. [default: benches of the repository]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// What is printed to standard output at the end: the report, or everything that was measured.
    #[arg(long, value_enum, default_value = "text", value_name = "FORM")]
    output: Output,
    /// Approvals a second in `latency`, in place of 2, 5 and 20; may be given several times. Above 5 all requests wait before
    /// the first is approved; else lives of 10 s come at that rate.
    #[arg(long = "rate", value_name = "NUMBER", value_parser = rate)]
    rates: Vec<f64>,
    /// How many lives each rate has in `latency`, and how many there are in `lives`.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=5000))]
    lives: Option<u32>,
    /// How many lives go on at a time in `lives`.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    at_once: Option<u32>,
    /// Requests that wait in `start`.
    #[arg(long, value_name = "COUNT")]
    requests: Option<usize>,
    /// Live grants in `start`.
    #[arg(long, value_name = "COUNT")]
    grants: Option<usize>,
    /// Live grants in `grants`.
    #[arg(long, value_name = "COUNT")]
    live: Option<usize>,
    /// Grants that end each second in `grants`.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=200))]
    ends: Option<u32>,
    /// Numbers of requests in `growth`, with commas between.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',')]
    points: Vec<usize>,
    /// Calls of a kind in a row in `calls`.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=400))]
    calls: Option<u32>,
}

const EXAMPLES: &str = "Examples:
  make bench                              everything, about an hour
  make bench QUICK=1                      everything, small, three minutes
  lockbox-bench latency --rate 10         approvals and ends at 10 a second
  lockbox-bench start --requests 1000     a start with 1,000 requests
  lockbox-bench render                    the report again, from the results that are there

Exit status: 0 when everything was measured, whatever came of it; 1 when something could not be; 2 for wrong options.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Section {
    /// Approval until binding and end until gone at fixed rates, beside the bare client; CPU and calls of a life.
    Latency,
    /// Whole lives a second beside the bare client; CPU, calls and memory.
    Lives,
    /// A start with 10,000 requests that wait and 2,000 live grants: time, memory, writes, CPU at rest.
    Start,
    /// 10,000 live grants of which 20 end each second.
    Grants,
    /// Memory, times and CPU at rest from 100 to 20,000 requests.
    Growth,
    /// CPU of kube-apiserver for each kind of call, with the chart's policies and without.
    Calls,
    /// All of them.
    All,
    /// Nothing: makes the report and the plots from the results that are there.
    Render,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    /// The report (Markdown).
    Text,
    /// The results (JSON).
    Json,
    /// Nothing.
    None,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(&cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Error> {
    let folder = cli
        .folder
        .clone()
        .unwrap_or_else(|| repository().join(if cli.quick { "target/bench-quick" } else { "benches" }));
    let file = folder.join("results.json");
    let mut results = Results::load(&file)?;
    let wanted = |section| cli.sections.contains(&section) || cli.sections.contains(&Section::All);
    let sections = [Section::Latency, Section::Lives, Section::Calls, Section::Growth, Section::Start, Section::Grants];
    if sections.into_iter().any(wanted) {
        measure(cli, &wanted, &file, &mut results).await?;
    }
    let report = write_report(&results, &folder)?;
    match cli.output {
        Output::Text => println!("{report}"),
        Output::Json => {
            println!("{}", serde_json::to_string_pretty(&results).map_err(Error::json("print the results"))?);
        }
        Output::None => {}
    }
    Ok(())
}

fn write_report(results: &Results, folder: &Path) -> Result<String, Error> {
    let plots = plot::draw_all(results, &folder.join("plots"))?;
    let report = render::report(results, &plots);
    write(&folder.join("RESULTS.md"), &report)?;
    Ok(report)
}

async fn measure(cli: &Cli, wanted: &dyn Fn(Section) -> bool, file: &Path, results: &mut Results) -> Result<(), Error> {
    let progress = Progress::new();
    let binary = operator(cli)?;
    if std::env::var_os("GOGC").is_some() {
        return Err(Error::Said("GOGC is set: the servers would not run as they do by default; unset it".into()));
    }
    let mut bench = Bench::new(&binary, &cli.values, sizes(cli), &progress);
    let stamp = Stamp {
        machine: Machine::here(kubernetes()),
        commit: [vec![commit()], cli.values.clone()].concat().join(", "),
        quick: cli.quick,
    };
    // In a quick run all share one control plane; otherwise those that fill one have it for themselves.
    let quick = cli.quick;
    if wanted(Section::Latency) {
        let started = Instant::now();
        results.latency = Some(stamp.on(bench.latency().await?, started));
        results.save(file)?;
    }
    if wanted(Section::Lives) {
        let started = Instant::now();
        results.lives = Some(stamp.on(bench.lives().await?, started));
        results.save(file)?;
    }
    if wanted(Section::Calls) && !quick {
        let started = Instant::now();
        results.calls = Some(stamp.on(bench.calls().await?, started));
        results.save(file)?;
    }
    if wanted(Section::Growth) || wanted(Section::Start) {
        if !quick {
            bench.end_world();
        }
        let started = Instant::now();
        let (growth, start) = bench.growth(wanted(Section::Growth), wanted(Section::Start)).await?;
        if let Some(growth) = growth {
            results.growth = Some(stamp.on(growth, started));
        }
        if let Some(start) = start {
            results.start = Some(stamp.on(start, started));
        }
        results.save(file)?;
    }
    if wanted(Section::Grants) {
        if !quick {
            bench.end_world();
        }
        let started = Instant::now();
        results.grants = Some(stamp.on(bench.grants().await?, started));
        results.save(file)?;
    }
    if wanted(Section::Calls) && quick {
        let started = Instant::now();
        results.calls = Some(stamp.on(bench.calls().await?, started));
        results.save(file)?;
    }
    progress.say("done");
    Ok(())
}

/// Where, what and how is measured.
struct Stamp {
    machine: Machine,
    commit: String,
    quick: bool,
}

impl Stamp {
    fn on<T>(&self, result: T, started: Instant) -> Stamped<T> {
        Stamped {
            at: Utc::now(),
            commit: self.commit.clone(),
            quick: self.quick,
            took: started.elapsed().as_secs(),
            machine: self.machine.clone(),
            result,
        }
    }
}

/// What is measured against.
fn kubernetes() -> String {
    format!("Kubernetes {}", lockbox_cluster::Version::default().number())
}

fn operator(cli: &Cli) -> Result<PathBuf, Error> {
    let beside = || std::env::current_exe().map(|own| own.with_file_name("lockbox-operator"));
    let path = match &cli.operator {
        Some(path) => path.clone(),
        None => beside().map_err(Error::io("find this program"))?,
    };
    if path.is_file() {
        return std::path::absolute(&path).map_err(Error::io(format!("find {}", path.display())));
    }
    Err(Error::Said(format!("{} is not there: `make bench` builds it, and --operator names another", path.display())))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a number is needed")?;
    if (0.1..=200.0).contains(&rate) { Ok(rate) } else { Err("from 0.1 to 200".into()) }
}

fn sizes(cli: &Cli) -> Sizes {
    let mut sizes = if cli.quick { Sizes::quick() } else { Sizes::full() };
    if !cli.rates.is_empty() {
        let pace = |&rate: &f64| {
            let (seconds, waiting) = (if cli.quick { 5.0 } else { 30.0 }, rate > 5.0);
            let seconds = if waiting { seconds / 3.0 } else { seconds };
            Pace {
                rate,
                lives: (rate * seconds).ceil().max(1.0) as usize,
                duration: if waiting { 30 } else { 10 },
                waiting,
            }
        };
        sizes.paces = cli.rates.iter().map(pace).collect();
    }
    if let Some(lives) = cli.lives {
        sizes.lives = lives as usize;
        sizes.paces.iter_mut().for_each(|pace| pace.lives = lives as usize);
    }
    let set = |size: &mut usize, given: Option<usize>| *size = given.unwrap_or(*size);
    set(&mut sizes.at_once, cli.at_once.map(|count| count as usize));
    set(&mut sizes.start.0, cli.requests);
    set(&mut sizes.start.1, cli.grants);
    set(&mut sizes.grants.0, cli.live);
    set(&mut sizes.grants.1, cli.ends.map(|count| count as usize));
    set(&mut sizes.calls, cli.calls.map(|count| count as usize));
    if !cli.points.is_empty() {
        sizes.growth.clone_from(&cli.points);
    }
    if cli.quick {
        sizes.rest = sizes.rest.min(Duration::from_secs(3));
    }
    sizes
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn options_change_the_sizes_and_nothing_else() {
        let given = |options: &[&str]| sizes(&Cli::parse_from([&["lockbox-bench"], options].concat()));
        assert_eq!(format!("{:?}", given(&[])), format!("{:?}", Sizes::full()));
        assert_eq!(format!("{:?}", given(&["--quick"])), format!("{:?}", Sizes::quick()));
        let small = given(&["--rate", "10", "--requests", "1000", "--points", "10,20", "--live", "5"]);
        assert_eq!((small.paces.len(), small.paces[0].lives, small.paces[0].waiting), (1, 100, true));
        assert_eq!((small.start, small.growth, small.grants.0), ((1000, 2000), vec![10, 20], 5));
        assert!(Cli::try_parse_from(["lockbox-bench", "--rate", "0"]).is_err());
    }
}
