//! The report, made from the results alone.

use std::fmt::Write as _;

use crate::{
    plot::Plot,
    quantiles::Quantiles,
    results::{Grants, Growth, Latency, Lives, Machine, OneByOne, Results, Run, Stamped, Standing},
};

/// The processes whose CPU counts, in their order.
const PROCESSES: [&str; 5] = ["kube-apiserver", "etcd", "kube-controller-manager", "operator", "load generator"];

/// The report as Markdown.
pub fn report(results: &Results, plots: &[Plot]) -> String {
    let mut text = String::from(INTRODUCTION);
    machines(results, &mut text);
    if let Some(latency) = &results.latency {
        heading(&mut text, "Approvals and ends at fixed rates", latency);
        rates(&latency.result, &mut text);
        images(plots, &["approve-to-binding", "until-to-gone"], &mut text);
    }
    if let Some(lives) = &results.lives {
        heading(&mut text, "Whole lives", lives);
        whole_lives(&lives.result, &mut text);
    }
    if let Some(start) = &results.start {
        heading(&mut text, "A start with many requests and grants", start);
        starts(&start.result, &mut text);
    }
    if let Some(grants) = &results.grants {
        heading(&mut text, "Ends among many live grants", grants);
        many_grants(&grants.result, &mut text);
    }
    if let Some(growth) = &results.growth {
        heading(&mut text, "Growth with the number of requests", growth);
        curves(&growth.result, &mut text);
        images(plots, &["growth-memory", "growth-time", "growth-rest"], &mut text);
    }
    if let Some(calls) = &results.calls {
        heading(&mut text, "Calls one by one, and what the policies cost", calls);
        one_by_one(&calls.result, &mut text);
    }
    text
}

const INTRODUCTION: &str = "# Results of the benchmarks

Made by `make bench`; do not edit. [tools/bench/README.md](../tools/bench/README.md) says what is measured and how.

- One **life**: an engineer creates a request, an approver approves it, access begins, its own deadline ends it, and \
everything about it is told (Events, history). Engineers and approvers call with client certificates of their own.
- The **bare client** makes the same writes with the operator's account, rights and concurrency, on the same control \
plane in the same run, and decides nothing. Slower than it is what the operator adds.
- kube-apiserver collects garbage as Go does by default and writes an audit log (level Metadata); etcd does not wait for \
the disk. Servers, operator and load generator share the machine.
- CPU is that of the whole process (`/proc/PID/stat`), less what it takes at rest; that of kube-apiserver includes the \
two watches by which the load generator sees what happens.
";

fn machines(results: &Results, text: &mut String) {
    let mut all: Vec<(&Machine, &str)> = vec![];
    let mut add = |machine, commit| {
        if !all.iter().any(|(_, known)| *known == commit) {
            all.push((machine, commit));
        }
    };
    macro_rules! each {
        ($($section:ident)*) => { $(if let Some(section) = &results.$section { add(&section.machine, section.commit.as_str()); })* };
    }
    each!(latency lives start grants growth calls);
    for (machine, commit) in all {
        let Machine { cores, model, memory, kernel, kubernetes, load } = machine;
        let _ = write!(
            text,
            "\nCommit {commit}: {cores} cores ({model}), {memory} GB of memory, Linux {kernel}, {kubernetes}; load of the \
             machine before: {load:.1}.\n"
        );
    }
}

fn heading<T>(text: &mut String, title: &str, section: &Stamped<T>) {
    let Stamped { at, commit, took, quick, .. } = section;
    let _ = write!(text, "\n## {title}\n\n{}, commit {commit}, took {took} s.", at.format("%Y-%m-%d %H:%M UTC"));
    text.push_str(if *quick { " **Quick: smaller than the full measurement.**\n\n" } else { "\n\n" });
}

fn images(plots: &[Plot], files: &[&str], text: &mut String) {
    for plot in plots.iter().filter(|plot| files.contains(&plot.file)) {
        let _ = write!(text, "\n![{}](plots/{}.svg)\n", plot.title, plot.file);
    }
}

/// Median, p99 and maximum.
fn times(quantiles: &Quantiles) -> String {
    if quantiles.count == 0 {
        return "– | – | –".into();
    }
    format!("{} | {} | {}", ms(quantiles.p50), ms(quantiles.p99), ms(quantiles.max))
}

fn ms(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "**not met**" }
}

fn at_most(value: f64, target: f64) -> &'static str {
    verdict(value <= target)
}

fn both(quantiles: &Quantiles, p50: f64, p99: f64) -> String {
    let met = quantiles.count > 0 && quantiles.p50 <= p50 && quantiles.p99 <= p99;
    format!("p50 ≤ {p50:.0}, p99 ≤ {p99:.0} | {}", verdict(met))
}

fn rate(run: &Run) -> String {
    match (run.rate > 0.0, run.waiting) {
        (false, _) => "as many as go".into(),
        (true, false) => format!("{} a second, {} lives", run.rate, run.lives),
        (true, true) => format!("{} a second, {} lives that waited", run.rate, run.lives),
    }
}

fn who(run: &Run) -> &'static str {
    if run.bare { "bare client" } else { "operator" }
}

/// Median and p99 that are asked for at a rate.
fn approval_target(rate: f64) -> (f64, f64) {
    if rate <= 2.0 {
        (50.0, 150.0)
    } else if rate <= 5.0 {
        (60.0, 200.0)
    } else {
        (150.0, 500.0)
    }
}

fn rates(latency: &Latency, text: &mut String) {
    let table = |text: &mut String, title: &str, what: fn(&Run) -> &Quantiles, target: &dyn Fn(&Run) -> String| {
        let _ = write!(
            text,
            "{title}\n\n| approvals | by | p50 ms | p99 ms | max ms | target | |\n|---|---|---|---|---|---|---|\n"
        );
        for run in &latency.runs {
            let target = if run.bare { " | ".into() } else { target(run) };
            let _ = writeln!(text, "| {} | {} | {} | {target} |", rate(run), who(run), times(what(run)));
        }
        text.push('\n');
    };
    let approvals = |run: &Run| {
        let (p50, p99) = approval_target(run.rate);
        both(&run.answered, p50, p99)
    };
    let none = |_: &Run| " | ".to_owned();
    table(
        text,
        "**Approval → binding**, from the answer to the approver's PATCH until a watch on RoleBindings has the new one. What \
         was there before the answer counts as 0:",
        |run| &run.answered,
        &approvals,
    );
    table(text, "The same from sending the PATCH:", |run| &run.sent, &none);
    table(text, "The same from when the PATCH was due, whatever became of those before it:", |run| &run.due, &none);
    table(
        text,
        "**accessUntil → gone**, from the end that is written on the binding (whole seconds) until a watch has its \
         deletion; with 20 approvals a second, 20 ends are due in the same moment:",
        |run| &run.gone,
        &|run| {
            if run.rate >= 5.0 { both(&run.gone, 40.0, 150.0) } else { " | ".into() }
        },
    );
    table(
        text,
        "Request → the customer is asked, from sending the request until a watch has the status:",
        |run| &run.notified,
        &none,
    );
    cpu(latency.runs.iter(), text);
}

fn cpu<'a>(runs: impl Iterator<Item = &'a Run>, text: &mut String) {
    text.push_str(
        "**CPU of a life** in ms, and the calls that the operator or the bare client made for it:\n\n| lives | by |",
    );
    for process in PROCESSES {
        let _ = write!(text, " {process} |");
    }
    text.push_str(" writes | reads | trials | refused | failed lives |\n|---|---|");
    text.push_str(&"---|".repeat(PROCESSES.len() + 5));
    text.push('\n');
    for run in runs {
        let _ = write!(text, "| {} | {} |", rate(run), who(run));
        for process in PROCESSES {
            let value = run.cpu.get(process).map_or_else(|| "–".into(), |&value| ms(value));
            let _ = write!(text, " {value} |");
        }
        let calls = &run.calls;
        for count in [calls.writes, calls.reads, calls.trials, calls.failed] {
            let _ = write!(text, " {:.1} |", run.each(count));
        }
        let _ = writeln!(text, " {} |", run.failed);
    }
    text.push('\n');
}

fn whole_lives(lives: &Lives, text: &mut String) {
    let Lives { operator, bare, at_once, recorded, memory, seen } = lives;
    let ratio = if bare.throughput > 0.0 { operator.throughput / bare.throughput } else { 0.0 };
    let apiserver = operator.cpu.get("kube-apiserver").copied().unwrap_or_default();
    let calls = &operator.calls;
    let shared: u64 = calls.words.iter().filter(|(call, _)| is_shared(call)).map(|(_, count)| count).sum();
    let writes = operator.each(calls.writes);
    let all = operator.each((calls.writes + calls.reads + calls.trials).saturating_sub(shared));
    let _ = write!(
        text,
        "{} lives of 5 s, {at_once} at a time, each approved as soon as the customer is asked.\n\n\
         | what | value | target | |\n|---|---|---|---|\n\
         | whole lives a second, operator | {:.1} | | |\n\
         | whole lives a second, bare client | {:.1} | | |\n\
         | operator / bare client | {ratio:.2} | ≥ 0.8 | {} |\n\
         | CPU of kube-apiserver for a life | {} ms | ≤ 145 ms | {} |\n\
         | writes of the operator for a life | {writes:.1} | ≤ 14 | {} |\n\
         | all its calls for a life, without those that requests share | {all:.1} | ≤ 18 | {} |\n\
         | calls that requests share, for a life | {:.1} | | |\n\
         | memory of the operator after {seen} lives | {:.0} MB (at most {:.0}) | ≤ 25 MB | {} |\n\n\
         One life alone in a namespace that its requester has asked for before has {recorded} writes.\n\n",
        operator.lives,
        operator.throughput,
        bare.throughput,
        verdict(ratio >= 0.8),
        ms(apiserver),
        at_most(apiserver, 145.0),
        at_most(writes, 14.0),
        at_most(all, 18.0),
        operator.each(shared),
        memory.now,
        memory.peak,
        at_most(memory.now, 25.0),
    );
    cpu([operator, bare].into_iter(), text);
    text.push_str("Calls of the operator, by what they are (of all lives together):\n\n");
    words(&operator.calls.words, text);
}

/// Whether requests share such a call: it tries for a while to come whether access could be made in a namespace, or whether
/// the policies are in force.
fn is_shared(call: &str) -> bool {
    let of_one_request = ["trial patch lockboxrequests", "trial update lockboxrequests/status"].contains(&call);
    (call.starts_with("trial ") && !of_one_request)
        || call.starts_with("list validatingadmissionpolic")
        || call.ends_with("(safety net)")
}

fn words(words: &std::collections::BTreeMap<String, u64>, text: &mut String) {
    text.push_str("| call | times |\n|---|---|\n");
    let mut sorted: Vec<_> = words.iter().collect();
    sorted.sort_by(|one, other| other.1.cmp(one.1).then(one.0.cmp(other.0)));
    for (call, times) in sorted {
        let _ = writeln!(text, "| {call} | {times} |");
    }
    text.push('\n');
}

fn starts(start: &Standing, text: &mut String) {
    let (writes, at_rest) = (writes_of_lives(start), start.rest_calls.writes);
    let _ = write!(
        text,
        "{} requests wait, {} grants are live; the operator is killed and started again.\n\n\
         | what | value | target | |\n|---|---|---|---|\n\
         | start until ready | {:.1} s | ≤ 10 s | {} |\n\
         | memory at rest | {:.0} MB | < 80 MB | {} |\n\
         | most memory since the start | {:.0} MB | | |\n\
         | writes because of the start (without those that try the safety net) | {writes} | 0 | {} |\n\
         | Events because of the start | {} | 0 | {} |\n\
         | reads because of the start | {} | | |\n\
         | trials (dry runs) because of the start | {} | | |\n\
         | CPU of the operator from its start until at rest | {} ms | | |\n\
         | writes at rest, in {:.0} s | {at_rest} | 0 | {} |\n\
         | CPU of the operator at rest | {} ms a second | | |\n\
         | CPU of kube-apiserver at rest | {} ms a second | | |\n\
         | one more request → the customer is asked | {} ms (p50) | | |\n\
         | its approval → binding | {} ms (p50) | | |\n\
         | requests made and waited for, while filling | {:.1} a second | | |\n\n",
        start.requests,
        start.grants,
        start.ready,
        at_most(start.ready, 10.0),
        start.memory.now,
        verdict(start.memory.now < 80.0),
        start.memory.peak,
        verdict(writes == 0),
        events(start),
        verdict(events(start) == 0),
        start.start_calls.reads,
        start.start_calls.trials,
        ms(start.start_cpu.ms.get("operator").copied().unwrap_or_default()),
        start.rest.seconds,
        verdict(at_rest == 0),
        ms(start.rest.rate("operator")),
        ms(start.rest.rate("kube-apiserver")),
        ms(start.notified.p50),
        ms(start.answered.p50),
        start.filled,
    );
    text.push_str("Calls because of the start:\n\n");
    words(&start.start_calls.words, text);
}

/// The safety net is tried at every start.
fn writes_of_lives(start: &Standing) -> u64 {
    let tries = start.start_calls.words.iter().filter(|(call, _)| call.ends_with("(safety net)") && is_write(call));
    start.start_calls.writes.saturating_sub(tries.map(|(_, count)| count).sum())
}

fn is_write(call: &str) -> bool {
    ["create ", "update ", "patch ", "delete "].iter().any(|verb| call.starts_with(verb))
}

fn events(start: &Standing) -> u64 {
    start.start_calls.words.get("create events").copied().unwrap_or_default()
}

fn many_grants(grants: &Grants, text: &mut String) {
    let Grants { live, rate, gone, answered, memory, rest, filled } = grants;
    let _ = write!(
        text,
        "{live} grants are live, and {rate} others end each second.\n\n\
         | what | p50 ms | p99 ms | max ms | target | |\n|---|---|---|---|---|---|\n\
         | accessUntil → gone | {} | {} |\n\
         | approval → binding, among so many | {} | | |\n\n\
         | what | value |\n|---|---|\n\
         | memory of the operator | {:.0} MB (at most {:.0}) |\n\
         | CPU of the operator at rest | {} ms a second |\n\
         | CPU of kube-apiserver at rest | {} ms a second |\n\
         | grants made, while filling | {} |\n",
        times(gone),
        both(gone, 40.0, 150.0),
        times(answered),
        memory.now,
        memory.peak,
        ms(rest.rate("operator")),
        ms(rest.rate("kube-apiserver")),
        if *filled > 0.0 { format!("{filled:.1} a second") } else { "–".into() },
    );
}

fn curves(growth: &Growth, text: &mut String) {
    text.push_str(
        "| requests | grants | ready s | memory MB | peak MB | operator at rest ms/s | kube-apiserver at rest ms/s | writes at \
         rest | writes of a start | asked ms (p50) | binding ms (p50) | filled a second |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for point in &growth.points {
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.0} | {:.0} | {} | {} | {} | {} | {} | {} | {:.1} |",
            point.requests,
            point.grants,
            point.ready,
            point.memory.now,
            point.memory.peak,
            ms(point.rest.rate("operator")),
            ms(point.rest.rate("kube-apiserver")),
            point.rest_calls.writes,
            writes_of_lives(point),
            ms(point.notified.p50),
            ms(point.answered.p50),
            point.filled,
        );
    }
}

fn one_by_one(calls: &OneByOne, text: &mut String) {
    let _ = write!(
        text,
        "{} calls of a kind in a row, by one client. CPU in ms a call, with what the cluster's controllers make of it; *policies* \
         is what the ValidatingAdmissionPolicies take, measured as the difference to the same calls without their bindings.\n\n\
         | call | in a life | kube-apiserver | without policies | policies | etcd | p50 ms | p99 ms | max ms |\n\
         |---|---|---|---|---|---|---|---|---|\n",
        calls.count
    );
    let (mut with, mut without) = (0.0, 0.0);
    for row in &calls.rows {
        let a_life = row.a_life.map_or_else(String::new, |count| count.to_string());
        let (all, bare) = (row.with.apiserver, row.without.apiserver);
        let count = row.a_life.unwrap_or_default() as f64;
        with += count * all;
        without += count * bare;
        let etcd = row.with.etcd;
        let _ = writeln!(
            text,
            "| {} | {a_life} | {all:.2} | {bare:.2} | {:.2} | {etcd:.2} | {} |",
            row.call,
            all - bare,
            times(&row.with.time)
        );
    }
    let _ = writeln!(
        text,
        "| all of a life that are listed here | | {with:.1} | {without:.1} | {:.1} | | | | |",
        with - without
    );
}

#[cfg(test)]
mod tests {
    use crate::{plot, results::Results};

    /// The results are made up; `UPDATE=1 cargo test -p lockbox-bench` writes the report after a change.
    #[test]
    fn the_report_of_known_results_is_as_it_was() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let results = Results::load(&folder.join("results.json")).unwrap();
        let plots = plot::plots(&results);
        let made = super::report(&results, &plots);
        let golden = folder.join("RESULTS.md");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&golden, &made).unwrap();
        }
        assert_eq!(made, std::fs::read_to_string(&golden).unwrap());
    }

    #[test]
    fn without_results_there_is_the_introduction_alone() {
        assert_eq!(super::report(&Results::default(), &[]), super::INTRODUCTION);
    }
}
