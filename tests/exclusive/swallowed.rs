//! Connections to the API server that are swallowed: nothing comes through any more, and nobody closes them. What the
//! operator shows of itself is looked at on the way.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use lockbox_cluster::User;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener as Listener, TcpStream},
    sync::watch,
};

use crate::{
    proxy::Proxy,
    support::{World, eventually, operator::Operator},
    turn,
};

/// By when an access that was revoked has ended, whatever became of the connections.
const NOTICED: Duration = Duration::from_secs(30);

/// Hands on bytes, until it is told to swallow those of all connections that there are.
struct Swallower {
    address: SocketAddr,
    swallow: Arc<watch::Sender<u64>>,
    open: watch::Receiver<usize>,
    _runtime: tokio::runtime::Runtime,
}

impl Swallower {
    fn before(target: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(Listener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (swallow, (opened, open)) = (Arc::new(watch::Sender::new(0)), watch::channel(0));
        let (swallows, opened, target) = (swallow.clone(), Arc::new(opened), target.to_owned());
        runtime.spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let (mut swallowed, opened, target) = (swallows.subscribe(), opened.clone(), target.clone());
                tokio::spawn(async move {
                    let Ok(mut server) = TcpStream::connect(&target).await else { return };
                    opened.send_modify(|count| *count += 1);
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = swallowed.changed() => {
                            // Read and thrown away: the sender's kernel hears that everything arrived.
                            let (mut bin, mut void) = ([0; 4096], [0; 4096]);
                            loop {
                                tokio::select! {
                                    got = client.read(&mut bin) => if matches!(got, Ok(0) | Err(_)) { break },
                                    got = server.read(&mut void) => if matches!(got, Ok(0) | Err(_)) {
                                        std::future::pending::<()>().await;
                                    },
                                }
                            }
                        }
                    }
                    opened.send_modify(|count| *count -= 1);
                    let _ = client.shutdown().await;
                });
            }
        });
        Self { address, swallow, open, _runtime: runtime }
    }

    /// From now on nothing comes through the connections that there are; new ones work. Returns how many there are.
    fn swallow(&self) -> usize {
        let open = *self.open.borrow();
        self.swallow.send_modify(|times| *times += 1);
        open
    }

    /// `user`, whose calls take this way.
    fn user(&self, user: &User, server: &str, folder: &Path) -> User {
        let text = std::fs::read_to_string(&user.kubeconfig).unwrap();
        assert!(text.contains(server), "{text}");
        let kubeconfig = folder.join(format!("swallowed-{}.kubeconfig", self.address.port()));
        std::fs::write(&kubeconfig, text.replace(server, &self.address.to_string())).unwrap();
        User { kubeconfig, ..user.clone() }
    }
}

/// A free port of this machine.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// What the operator answers: the status line's code, and the body.
fn ask(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// The value of a series.
fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not in\n{metrics}")).parse().unwrap()
}

/// Starts the operator as it was before, whatever became of the test.
struct Back<'a>(&'a World);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.start_operator();
    }
}

/// Runs the operator by this way while `act` acts, and then as before.
fn by_way_of(world: &World, account: &User, act: impl FnOnce(SocketAddr)) {
    world.kill_operator();
    let _back = Back(world);
    let address = free();
    let operator = Operator::start(account, world.cluster.data(), &["--listen", &address.to_string()]);
    eventually("the operator is ready", || (ask(address, "/readyz")?.0 == 200).then_some(()));
    act(address);
    drop(operator);
}

/// Kim gets access, everything is swallowed, Alice revokes the access: when has it ended?
fn revoked_while_swallowed(world: &World, swallower: &Swallower, here: &str) {
    world.subscription(here);
    world.grant(here, "sr-1");
    assert!(world.kim_reads(here, "shop-settings"));
    let open = swallower.swallow();
    assert!(open > 0, "nothing goes this way");
    let begun = Instant::now();
    world.patch(&world.alice(), here, "sr-1", &json!({"spec": {"revocation": {"reason": "enough"}}})).unwrap();
    eventually("the access has ended", || (!world.kim_reads(here, "shop-settings")).then_some(()));
    let took = begun.elapsed();
    println!("{open} connections swallowed; the access ended after {took:?}");
    assert!(took < NOTICED, "it took {took:?}");
    world.wait_for_phase(here, "sr-1", "Revoked");
}

#[test]
fn a_revocation_is_heard_although_every_connection_is_swallowed() {
    let (world, _turn) = turn();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let server = world.cluster.server().trim_start_matches("https://").to_owned();
    let swallower = Swallower::before(&server);
    let account = swallower.user(&account, &server, world.cluster.data());
    by_way_of(world, &account, |address| {
        // All calls and watches are streams of one connection, or of two that were opened at the same time.
        let open = *swallower.open.borrow();
        assert!((1..=2).contains(&open), "{open} connections");
        revoked_while_swallowed(world, &swallower, "swallowed");
        let (code, why) = ask(address, "/readyz").unwrap();
        assert_eq!(code, 200, "{why}");
    });
}

#[test]
fn a_revocation_is_heard_although_every_connection_is_swallowed_where_something_in_between_speaks_http_1_alone() {
    let (world, _turn) = turn();
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(&account.kubeconfig).unwrap();
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Proxy::start(Client::try_from(config).unwrap()).await
    });
    let account = proxy.user(&account, world.cluster.data());
    let plain = std::fs::read_to_string(&account.kubeconfig).unwrap();
    let plain: Value = serde_json::from_str(&plain).unwrap();
    let server = plain["clusters"][0]["cluster"]["server"].as_str().unwrap().trim_start_matches("http://").to_owned();
    let swallower = Swallower::before(&server);
    let account = swallower.user(&account, &server, world.cluster.data());
    by_way_of(world, &account, |_| revoked_while_swallowed(world, &swallower, "swallowed-plain"));
}

#[test]
fn what_becomes_of_a_request_shows_in_the_metrics_and_by_its_uid_in_the_log() {
    let (world, _turn) = turn();
    let here = "measured";
    world.subscription(here);
    let account = world.cluster.service_account("lockbox-system", "lockbox-operator").unwrap();
    by_way_of(world, &account, |address| {
        assert_eq!(ask(address, "/healthz").unwrap(), (200, "ok\n".into()));
        world.grant(here, "sr-measured");
        eventually("the access shows", || {
            let (_, during) = ask(address, "/metrics").unwrap();
            (value(&during, r#"lockbox_requests{phase="AccessGranted"}"#) >= 1.0).then_some(())
        });
        world
            .patch(&world.alice(), here, "sr-measured", &json!({"spec": {"revocation": {"reason": "enough"}}}))
            .unwrap();
        let closed = world.wait_until_closed(here, "sr-measured");
        // What is counted of the end comes a moment after it.
        let after = eventually("nothing waits any more", || {
            let (_, after) = ask(address, "/metrics").unwrap();
            let waits = [r#"lockbox_queue_length{kind="request"}"#, "lockbox_events_waiting"];
            waits.iter().all(|series| value(&after, series) <= 0.0).then_some(after)
        });
        for (series, least) in [
            (r#"lockbox_decisions_total{verdict="Approve"}"#, 1.0),
            (r#"lockbox_decision_duration_seconds_count{verdict="Approve"}"#, 1.0),
            ("lockbox_approval_to_access_seconds_count", 1.0),
            (r#"lockbox_requests_ended_total{phase="Revoked"}"#, 1.0),
            (r#"lockbox_history_entries_total{action="GrantAccess"}"#, 1.0),
            (r#"lockbox_api_calls_total{verb="create",resource="rolebindings",code="201"}"#, 1.0),
            (r#"lockbox_api_call_duration_seconds_count{verb="update",resource="lockboxrequests/status"}"#, 1.0),
            (r#"lockbox_queue_wait_seconds_count{kind="request"}"#, 1.0),
            (r#"lockbox_proof{proof="enforced"}"#, 1.0),
            ("lockbox_ready", 1.0),
        ] {
            assert!(value(&after, series) >= least, "{series}\n{after}");
        }
        // It was measured finely: an approval becomes access in much less than a second.
        assert!(value(&after, "lockbox_approval_to_access_seconds_sum") < 5.0, "{after}");
        assert!(value(&after, r#"lockbox_watch_age_seconds{resource="lockboxrequests"}"#) <= 90.0, "{after}");
        for watched in ["lockboxsettings", "roleassignments", "rolebindings", "validatingadmissionpolicies"] {
            value(&after, &format!("lockbox_watch_age_seconds{{resource=\"{watched}\"}}"));
        }
        // No label says whom or what it is about.
        assert!(!after.contains(here) && !after.contains("sr-measured") && !after.contains('@'), "{after}");

        let uid = closed["metadata"]["uid"].as_str().unwrap();
        let log = world.operator_log();
        let about: Vec<&str> = log.lines().filter(|line| line.contains("sr-measured")).collect();
        assert!(about.len() >= 4, "{log}");
        for line in about {
            let line: Value = serde_json::from_str(line).unwrap();
            assert!(line["uid"] == uid || line["span"]["uid"] == uid, "{line}");
        }
        // What names no request is found by the work that it belongs to.
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let calls: Vec<Value> = lines.filter(|line| line["span"]["uid"] == uid).collect();
        for (verb, resource) in [("create", "jobs"), ("create", "rolebindings"), ("delete", "rolebindings")] {
            assert!(
                calls.iter().any(|call| call["verb"] == verb && call["resource"] == resource),
                "{verb} {resource}: {calls:#?}"
            );
        }
    });
}
