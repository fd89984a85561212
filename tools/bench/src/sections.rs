//! What is measured, section by section.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, stream};
use http::Method;
use serde_json::json;

use crate::{
    audit::Calls,
    bare::{Bare, BareLife, Template, Views, Write, make},
    client::{Caller, Object, paths},
    error::Error,
    load::{self, Lived, Pace, Times, throughput},
    process::Cpu,
    progress::Progress,
    quantiles::Quantiles,
    results::{Cost, Grants, Growth, Latency, Lives, OneByOne, Row, Run, Standing},
    world::{AT_ONCE, Ground, PATIENCE, World, eventually, request},
};

/// Time to come to rest before ends are measured.
const PAUSE: Duration = Duration::from_secs(5);
/// Requests in each namespace, where there are many.
const IN_EACH: usize = 100;

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Sizes {
    /// Approvals at fixed rates.
    pub paces: Vec<Pace>,
    /// Lives in the section of as many as go.
    pub lives: usize,
    /// At a time.
    pub at_once: usize,
    /// Requests that wait, and live grants, at the start that is measured.
    pub start: (usize, usize),
    /// Numbers of requests of the growth curves.
    pub growth: Vec<usize>,
    /// Live grants, how many end a second, and for how many seconds.
    pub grants: (usize, usize, usize),
    /// Calls of a kind in a row.
    pub calls: usize,
    /// How long rest is measured.
    pub rest: Duration,
    /// Whether less will do: shorter waits, and no bare client at the slowest pace.
    pub hasty: bool,
}

impl Sizes {
    /// What the report is made of.
    pub fn full() -> Self {
        let pace = |rate, lives, duration, waiting| Pace { rate, lives, duration, waiting };
        Self {
            paces: vec![pace(2.0, 60, 10, false), pace(5.0, 150, 10, false), pace(20.0, 200, 30, true)],
            lives: 300,
            at_once: 96,
            start: (10_000, 2_000),
            growth: vec![100, 300, 1_000, 3_000, 10_000, 20_000],
            grants: (10_000, 20, 30),
            calls: 150,
            rest: Duration::from_secs(20),
            hasty: false,
        }
    }

    /// A first impression.
    pub fn quick() -> Self {
        let pace = |rate, lives, duration, waiting| Pace { rate, lives, duration, waiting };
        Self {
            paces: vec![pace(2.0, 8, 5, false), pace(5.0, 20, 5, false), pace(20.0, 40, 7, true)],
            lives: 40,
            at_once: 40,
            start: (200, 50),
            growth: vec![],
            grants: (50, 20, 2),
            calls: 10,
            rest: Duration::from_secs(2),
            hasty: true,
        }
    }
}

/// A world with what the sections share.
pub struct Bench<'a> {
    /// The operator's binary.
    pub binary: &'a Path,
    /// Values of the chart besides its defaults: `operator.bindsAnyRole=true`.
    pub values: &'a [String],
    /// How much is measured.
    pub sizes: Sizes,
    /// Who waits.
    pub progress: &'a Progress,
    world: Option<World>,
    template: Option<Arc<Template>>,
    /// Requests that wait, and how many of the first of them have live access instead.
    standing: Option<(Ground, usize)>,
    /// Where the operator's lives are lived, and where those of the bare client.
    grounds: [Option<Ground>; 2],
    views: Views,
    /// The least that the processes took while nothing happened.
    rest: Option<Cpu>,
    prefixes: usize,
    lived: usize,
}

impl<'a> Bench<'a> {
    /// Nothing is started yet.
    pub fn new(binary: &'a Path, values: &'a [String], sizes: Sizes, progress: &'a Progress) -> Self {
        let (world, template, standing, grounds) = (None, None, None, [None, None]);
        Self {
            binary,
            values,
            sizes,
            progress,
            world,
            template,
            standing,
            grounds,
            views: Views::default(),
            rest: None,
            prefixes: 0,
            lived: 0,
        }
    }

    /// Ends the control plane: what comes next has one of its own.
    pub fn end_world(&mut self) {
        (self.world, self.template, self.standing, self.lived) = (None, None, None, 0);
        (self.grounds, self.views, self.rest) = ([None, None], Views::default(), None);
    }

    /// A control plane with the operator at work.
    async fn world(&mut self) -> Result<&mut World, Error> {
        let world = match self.world.take() {
            Some(world) => world,
            None => World::start(self.binary, self.values, self.sizes.hasty, self.progress).await?,
        };
        let world = self.world.insert(world);
        world.start_operator().await?;
        Ok(world)
    }

    async fn template(&mut self) -> Result<Arc<Template>, Error> {
        if let Some(template) = &self.template {
            return Ok(template.clone());
        }
        let progress = self.progress;
        let template = Arc::new(Template::record(self.world().await?, progress).await?);
        self.template = Some(template.clone());
        Ok(template)
    }

    /// A name for the next requests that nobody has had yet.
    fn next_prefix(&mut self, what: &str) -> String {
        self.prefixes += 1;
        format!("{what}{}", self.prefixes)
    }

    /// Approvals and ends at fixed rates, by the operator and then by the bare client.
    pub async fn latency(&mut self) -> Result<Latency, Error> {
        let mut runs = vec![];
        for bare in [false, true] {
            let skipped = usize::from(bare && self.sizes.hasty && self.sizes.paces.len() > 1);
            for pace in self.sizes.paces.clone().split_off(skipped) {
                let (who, how) = (who(bare), if pace.waiting { ", of requests that wait" } else { "" });
                let what = format!("{who}: {} approvals at {} a second{how}", pace.lives, pace.rate);
                runs.push(self.run(bare, pace.lives, &what, Load::Paced(pace)).await?);
            }
        }
        Ok(Latency { runs })
    }

    /// As many whole lives as go, by the operator and then by the bare client.
    pub async fn lives(&mut self) -> Result<Lives, Error> {
        let (lives, at_once) = (self.sizes.lives, self.sizes.at_once);
        let recorded = self.template().await?.writes();
        let what = |bare| format!("{}: {lives} whole lives, {at_once} at a time", who(bare));
        let operator = self.run(false, lives, &what(false), Load::Free { at_once }).await?;
        let memory = self.world().await?.memory();
        let seen = self.lived;
        let bare = self.run(true, lives, &what(true), Load::Free { at_once }).await?;
        Ok(Lives { operator, bare, at_once, recorded, memory, seen })
    }

    /// Namespaces for lives, as many as a provider's people would ask for in turn.
    async fn ground(&mut self, bare: bool) -> Result<Ground, Error> {
        if let Some(ground) = self.grounds[usize::from(bare)].take() {
            return Ok(ground);
        }
        let prefix = self.next_prefix(if bare { "bare" } else { "run" });
        let namespaces = self.sizes.lives.div_ceil(20).clamp(2, 10);
        self.world().await?.ground(&prefix, namespaces).await
    }

    async fn run(&mut self, bare: bool, lives: usize, what: &str, load: Load) -> Result<Run, Error> {
        let template = if bare { Some(self.template().await?) } else { None };
        // Owners of the namespaces are made by the operator before it stops.
        let mut ground = self.ground(bare).await?;
        let (progress, rest_for) = (self.progress, self.sizes.rest.min(Duration::from_secs(10)));
        let (views, known) = (self.views.clone(), self.rest.take());
        let world = self.world().await?;
        let client = match template {
            Some(template) => {
                world.stop_operator();
                Some(Bare::start(world, template, views, ground.prefix()).await?)
            }
            None => None,
        };
        let rest = world.calm(rest_for).await;
        let rest = known.map_or(rest.clone(), |known| rest.or_calmer(&known));
        let first = ground.take(lives);
        let work = progress.work(what, lives);
        let (mark, before) = (world.mark(), world.meter());
        let lived = match load {
            Load::Paced(pace) => world.at_pace(&ground, first, pace, &work).await,
            Load::Free { at_once } => world.as_many_as_go(&ground, first, lives, at_once, &work).await,
        };
        drop(work);
        world.settle(&rest).await;
        let (all, calls) = (world.meter().since(&before), world.calls(mark)?);
        let (mut good, mut bad) = (vec![], vec![]);
        for life in lived {
            match life {
                Ok(life) => good.push(life),
                Err(error) => bad.push(error.to_string()),
            }
        }
        let first_failure = client.as_ref().and_then(Bare::error).or_else(|| bad.first().cloned());
        if let Some(failure) = &first_failure {
            progress.say(&format!("{} of {lives} lives failed: {failure}", bad.len()));
        }
        if !bare {
            self.lived += lives;
        }
        (self.grounds[usize::from(bare)], self.rest) = (Some(ground), Some(rest.clone()));
        let (rate, waiting) = match load {
            Load::Paced(pace) => (pace.rate, pace.waiting),
            Load::Free { .. } => (0.0, false),
        };
        let run = Run { bare, rate, lives, waiting, failed: bad.len(), first_failure, ..Run::default() };
        Ok(measured(run, &good, all, rest, calls))
    }

    /// Growth with the number of requests, and the start with many requests and grants on its way there.
    pub async fn growth(&mut self, growth: bool, start: bool) -> Result<(Option<Growth>, Option<Standing>), Error> {
        let mut points = if growth { self.sizes.growth.clone() } else { vec![] };
        let (requests, grants) = self.sizes.start;
        let (mut curve, mut started) = (vec![], None);
        points.sort_unstable();
        let (before, after) = points.split_at(points.partition_point(|&point| point <= requests));
        for &point in before {
            curve.push(self.standing(point, 0).await?);
        }
        if start {
            started = Some(self.standing(requests, grants).await?);
        }
        for &point in after {
            curve.push(self.standing(point, if start { grants } else { 0 }).await?);
        }
        // Of a hasty run, the start is all there is.
        if curve.is_empty() {
            curve.extend(started.clone());
        }
        Ok((growth.then_some(Growth { points: curve }), started))
    }

    /// Fills up to so many requests that wait and grants that are live, and starts the operator anew.
    async fn standing(&mut self, requests: usize, grants: usize) -> Result<Standing, Error> {
        let (rest_for, progress) = (self.sizes.rest, self.progress);
        let filled = self.fill(requests, grants).await?;
        let mut more = self.ground(false).await?;
        let world = self.world().await?;
        world.calm(Duration::from_secs(1)).await;
        progress.say(&format!("start the operator with {requests} requests and {grants} live grants"));
        world.stop_operator();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (mark, before) = (world.mark(), world.meter());
        let ready = world.start_operator().await?.as_secs_f64();
        // It is ready once it has read everything; it looks at each request after that, and at rest it writes nothing.
        quiet(world).await;
        let (start_cpu, start_calls) = (world.meter().since(&before), world.calls(mark)?);
        let mark = world.mark();
        let rest = world.rest(rest_for).await;
        let rest_calls = world.calls(mark)?;
        let memory = world.memory();
        let pace = Pace {
            rate: 2.0,
            lives: if rest_for > Duration::from_secs(5) { 20 } else { 4 },
            duration: 5,
            waiting: false,
        };
        let first = more.take(pace.lives);
        let work = progress.work("a few lives among them", pace.lives);
        let lived = world.at_pace(&more, first, pace, &work).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        drop(work);
        self.grounds[0] = Some(more);
        let Times { notified, answered, .. } = Times::of(&lived);
        Ok(Standing {
            requests,
            grants,
            ready,
            start_cpu,
            memory,
            start_calls,
            rest,
            rest_calls,
            notified,
            answered,
            filled,
        })
    }

    /// Makes requests until so many wait, and grants until so many are live. Returns how many requests were made a second.
    async fn fill(&mut self, requests: usize, grants: usize) -> Result<f64, Error> {
        let progress = self.progress;
        let prefix = self.next_prefix("standing");
        let (ground, live) = self.standing.take().unzip();
        let world = self.world().await?;
        let (had, live) = (ground.as_ref().map_or(0, Ground::used), live.unwrap_or_default());
        let mut ground = ground.unwrap_or_else(|| Ground::new(&prefix, IN_EACH));
        let total = requests + grants;
        world.widen(&mut ground, total.div_ceil(IN_EACH)).await?;
        let (started, made) = (Instant::now(), total.saturating_sub(had));
        if made > 0 {
            let work = progress.work(&format!("make {made} requests that wait"), made);
            let first = ground.take(made);
            each(first..first + made, async |number| {
                world.create(&ground, number, "24h").await?;
                world.notified(&ground, number).await?;
                work.done();
                Ok(())
            })
            .await?;
        }
        let filled = made as f64 / started.elapsed().as_secs_f64().max(0.001);
        if grants > live {
            let work = progress.work(&format!("approve {} of them", grants - live), grants - live);
            each(live..grants, async |number| {
                grant(world, &ground, number, None).await?;
                work.done();
                Ok(())
            })
            .await?;
        }
        self.standing = Some((ground, grants.max(live)));
        Ok(filled)
    }

    /// Many live grants, of which some end each second.
    pub async fn grants(&mut self) -> Result<Grants, Error> {
        let (live, rate, seconds) = self.sizes.grants;
        let (rest_for, progress) = (self.sizes.rest, self.progress);
        let started = Instant::now();
        let already = self.standing.as_ref().map_or(0, |(_, live)| *live);
        self.fill(0, live.max(already)).await?;
        let filled = live.saturating_sub(already) as f64 / started.elapsed().as_secs_f64();
        let ends = rate * seconds;
        let mut ground = self.ground(false).await?;
        let world = self.world().await?;
        let rest = world.calm(rest_for).await;
        let first_number = ground.take(ends);
        let memory = world.memory();
        // Each is approved for as long as it takes until its turn, so that so many end each second.
        let work = progress.work(&format!("{live} live grants, and {rate} that end each second"), ends);
        let begun = Instant::now();
        each(first_number..first_number + ends, async |number| {
            world.create(&ground, number, "1h").await?;
            world.notified(&ground, number).await
        })
        .await?;
        // As long as it took to make the others, and a third more; what remains is to come to rest.
        let pace = if filled > 0.0 { (filled * 0.75).clamp(0.4, 20.0) } else { 3.0 };
        let first = Instant::now() + (begun.elapsed() * 2).max(Duration::from_secs_f64(ends as f64 / pace)) + PAUSE;
        let approved = stream::iter(0..ends).map(async |number| {
            let at = first + Duration::from_secs((number / rate) as u64);
            let left = at.saturating_duration_since(Instant::now()).as_secs().max(1);
            let lived = grant(world, &ground, first_number + number, Some(left)).await;
            work.done();
            (first_number + number, lived)
        });
        let approved: Vec<_> = approved.buffer_unordered(8).collect().await;
        drop(work);
        progress.say("wait for the ends");
        let (mut seen, mut lived) = (vec![], vec![]);
        for (number, approved) in approved {
            // On a busy machine an access may be over before it was made; a few do not matter.
            let Ok(granted) = approved else { continue };
            lived.push(granted);
            let (namespace, name, _) = ground.place(number);
            let mut life = world.tracker.life(namespace, &name);
            life.wait_past_the_end("gone", PATIENCE * 20, |seen| seen.gone.is_some()).await?;
            seen.push(life.seen());
        }
        if seen.len() * 10 < ends * 9 {
            return Err(Error::Said(format!("{} of {ends} grants could not be made in time", ends - seen.len())));
        }
        let answered = Times::of(&lived).answered;
        self.grounds[0] = Some(ground);
        Ok(Grants { live, rate, gone: load::gone(&seen), answered, memory, rest, filled })
    }

    /// What calls cost one by one, with the policies and without.
    pub async fn calls(&mut self) -> Result<OneByOne, Error> {
        let template = self.template().await?;
        let count = self.sizes.calls;
        let progress = self.progress;
        let prefixes = [self.next_prefix("with"), self.next_prefix("without")];
        let world = self.world().await?;
        let mut rows: Vec<Row> = vec![];
        let mut grounds = vec![];
        for prefix in &prefixes {
            grounds.push((world.ground(prefix, 1).await?, format!("{prefix}-000")));
        }
        world.stop_operator();
        for (n, (ground, namespace)) in grounds.iter().enumerate() {
            if n == 1 {
                progress.say("take the bindings of the validating policies away");
                forget_policies(world, namespace).await?;
            }
            let work = progress.work(if n == 0 { "calls, one by one" } else { "the same without policies" }, 14);
            let costs = one_by_one(world, &template, ground, count, || work.done()).await?;
            for (at, (call, a_life, cost)) in costs.into_iter().enumerate() {
                if n == 0 {
                    rows.push(Row { call, a_life, with: cost, without: Cost::default() });
                } else {
                    rows[at].without = cost;
                }
            }
        }
        // Without policies nothing else can be measured here.
        self.end_world();
        Ok(OneByOne { count, rows })
    }
}

/// How lives come.
#[derive(Clone, Copy)]
enum Load {
    Paced(Pace),
    Free { at_once: usize },
}

fn who(bare: bool) -> &'static str {
    if bare { "bare client" } else { "operator" }
}

fn measured(run: Run, lived: &[Lived], cpu_all: Cpu, cpu_rest: Cpu, calls: Calls) -> Run {
    let Times { answered, sent, due, notified, gone } = Times::of(lived);
    let throughput = throughput(lived);
    let cpu = cpu_all.each(lived.len(), &cpu_rest);
    Run { answered, sent, due, notified, gone, throughput, cpu, cpu_all, cpu_rest, calls, ..run }
}

/// Does something for each number, some at a time, and stops at the first failure.
async fn each(
    numbers: impl IntoIterator<Item = usize>,
    one: impl AsyncFn(usize) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut done = std::pin::pin!(stream::iter(numbers).map(|number| one(number)).buffer_unordered(AT_ONCE));
    while let Some(result) = done.next().await {
        result?;
    }
    Ok(())
}

/// Approves a request and waits for the access.
async fn grant(world: &World, ground: &Ground, number: usize, shorter: Option<u64>) -> Result<Lived, Error> {
    let (namespace, name, _) = ground.place(number);
    let mut life = world.tracker.life(namespace, &name);
    let (sent, answered) = world.approve(ground, number, shorter).await?;
    life.wait("granted", PATIENCE, |seen| seen.bound).await?;
    Ok(Lived { sent: Some(sent), due: Some(sent), answered: Some(answered), created: None, seen: life.seen() })
}

/// Waits until the operator takes next to nothing for three seconds in a row, two minutes at most.
async fn quiet(world: &World) {
    let mut calm = 0;
    for _ in 0..120 {
        let second = world.rest(Duration::from_secs(1)).await;
        calm = if second.rate("operator") < 20.0 { calm + 1 } else { 0 };
        if calm == 3 {
            return;
        }
    }
}

/// Deletes the bindings of the chart's validating policies, and waits until they are not in force.
async fn forget_policies(world: &World, namespace: &str) -> Result<(), Error> {
    let all = format!("{}?labelSelector=app.kubernetes.io%2Fname%3Dlockbox", paths::POLICY_BINDINGS);
    world.admin.delete(&all).await?;
    let forged = request("forged", Some("mallory@provider.example"), "8h");
    let dry = format!("{}?dryRun=All", paths::requests(namespace));
    // The mutating policies stamp who asks; that somebody else may not ask is for a validating one.
    eventually("the policies are not in force", async || world.admin.post(&dry, &forged).await.ok().map(drop)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    Ok(())
}

/// Name of a kind of call, how many of them a life has, and what one costs.
type Costs = Vec<(String, Option<usize>, Cost)>;

/// Kinds of calls in a row: each for every one of some requests, which go through their lives together.
async fn one_by_one(
    world: &World,
    template: &Template,
    ground: &Ground,
    count: usize,
    done: impl Fn(),
) -> Result<Costs, Error> {
    let operator = Caller::new(&world.account.kubeconfig).await?;
    let rest = world.calm(Duration::from_secs(if count < 100 { 2 } else { 5 })).await;
    let mut costs: Costs = vec![];
    let mut lives: Vec<BareLife> = vec![];

    let (namespace, _, engineer) = ground.place(0);
    let requests = paths::requests(namespace);
    let bodies: Vec<_> = (0..count).map(|n| request(&ground.place(n).1, None, "1h")).collect();
    let made = in_a_row(world, &rest, count, async |n| engineer.post(&requests, &bodies[n]).await).await?;
    lives.extend(made.1.iter().map(|object| BareLife::of(&object.metadata, "somebody@provider.example").longer(3600)));
    costs.push(("create a request (engineer)".into(), Some(1), made.0));
    done();

    let name = |write: &Write| match write.resource.as_str() {
        "lockboxrequests/status" => "PUT the status of a request (operator)".to_owned(),
        "jobs" => "create a Job (operator)".to_owned(),
        "roles" => "create a Role (operator)".to_owned(),
        "rolebindings" => "create or delete a RoleBinding (operator)".to_owned(),
        "events" => "create an Event (operator)".to_owned(),
        other => format!("write {other} (operator)"),
    };
    let own = |part: &'static str| match part {
        "asked" => &template.asked,
        "granted" => &template.granted,
        _ => &template.ended,
    };
    let all: Vec<&Write> = ["asked", "granted", "ended"].into_iter().flat_map(own).collect();
    let in_a_life = |resource: &str| all.iter().filter(|write| write.resource == resource && !write.is_view()).count();
    let mut measured = std::collections::BTreeSet::new();
    for part in ["asked", "granted", "ended"] {
        if part == "granted" {
            let forged = json!({
                "metadata": {"labels": {"trial.lockbox.dev/forged": "true"}},
                "spec": {"decisions": {"nobody@lockbox.invalid": {"verdict": "Approve"}}},
            });
            let trial = in_a_row(world, &rest, count, async |n| {
                let path = format!("{}?dryRun=All", paths::request(namespace, &ground.place(n).1));
                // With the policies it is refused, as it should be.
                let _ = operator.patch(&path, &forged).await;
                Ok(Object::default())
            });
            costs.push(("forged decision, dry run (operator)".into(), None, trial.await?.0));
            done();
            let approval = json!({"spec": {"decision": {"verdict": "Approve", "reason": "maintenance window agreed"}}});
            let approved = in_a_row(world, &rest, count, async |n| {
                world.alice.patch(&paths::request(namespace, &ground.place(n).1), &approval).await
            });
            let (cost, answers) = approved.await?;
            costs.push(("approve (approver)".into(), Some(1), cost));
            lives.iter_mut().zip(answers).for_each(|(life, answer)| life.approve(answer.metadata.resource_version));
            done();
        }
        for write in own(part) {
            if write.is_view() {
                continue;
            }
            let call = match (write.is_delete(), write.resource.as_str()) {
                (true, "rolebindings") => "delete a RoleBinding (operator)".to_owned(),
                (false, "rolebindings") => "create a RoleBinding (operator)".to_owned(),
                _ => name(write),
            };
            let again = !measured.insert(call.clone());
            let lives_now = &lives;
            if again && write.resource != "lockboxrequests/status" {
                continue;
            }
            let (cost, answers) =
                in_a_row(world, &rest, count, async |n| make(&operator, template, write, &lives_now[n]).await).await?;
            lives.iter_mut().zip(&answers).for_each(|(life, answer)| life.take(write, answer));
            if !again {
                let number = if write.resource == "rolebindings" { 1 } else { in_a_life(&write.resource) };
                costs.push((call, Some(number), cost));
                done();
            }
        }
    }
    for (call, path) in
        [("GET the settings (operator)", paths::SETTINGS), ("list assignments (operator)", paths::ALL_ASSIGNMENTS)]
    {
        let read = in_a_row(world, &rest, count, async |_| {
            operator.call::<Object>(&Method::GET, path, vec![]).await.map_err(Error::call(path))
        });
        costs.push((call.into(), None, read.await?.0));
        done();
    }
    Ok(costs)
}

/// Calls in a row by one client, and what each cost. What the cluster's controllers do because of them counts as well, as far
/// as they do it within a second.
async fn in_a_row(
    world: &World,
    rest: &Cpu,
    count: usize,
    call: impl AsyncFn(usize) -> Result<Object, Error>,
) -> Result<(Cost, Vec<Object>), Error> {
    let (mut answers, mut times) = (vec![], vec![]);
    let before = world.meter();
    for n in 0..count {
        let started = Instant::now();
        answers.push(call(n).await?);
        times.push(started.elapsed());
    }
    tokio::time::sleep(Duration::from_millis(if count < 100 { 300 } else { 1000 })).await;
    let all = world.meter().since(&before);
    let cpu = all.each(count, rest);
    let of = |name: &str| cpu.get(name).copied().unwrap_or_default();
    let cost = Cost { apiserver: of("kube-apiserver"), etcd: of("etcd"), time: Quantiles::of(times) };
    Ok((cost, answers))
}
