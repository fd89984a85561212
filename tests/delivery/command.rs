//! `lockbox-operator notify --test`.

use std::process::Command;

use lockbox_cluster::mailpit::Mailpit;
use serde_json::Value;

use crate::{Mounted, SERVER, arrived, receiver::Receiver};

/// With a configuration for a server, on which everything is right.
fn mounted(server: &Mailpit) -> Mounted {
    let mounted = Mounted::of(server);
    let smtp = format!(
        "smtp: {{host: localhost, port: {}, from: Lockbox <lockbox@contoso.example>, authentication: Plain}}",
        server.smtp()
    );
    mounted.set("notifications.yaml", &smtp);
    mounted
}

fn notify(mounted: &Mounted, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockbox-operator"));
    command.args(["notify", "--test"]).args(arguments);
    command.env("LOCKBOX_NOTIFICATIONS_CONFIG", mounted.path().join("notifications.yaml"));
    command.env("LOCKBOX_NOTIFICATIONS_SECRETS", mounted.path());
    command
}

/// Exit code, and what it wrote.
fn run(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_message_shows_each_step_and_arrives() {
    let mounted = mounted(&SERVER);
    let (code, said, complaint) = run(notify(&mounted, &["--to", "test@contoso.example"]));
    assert_eq!((code, complaint.as_str()), (0, ""), "{said}");
    let steps: Vec<&str> =
        said.lines().filter_map(|line| Some(line.strip_prefix("ok      ")?.split(':').next().unwrap())).collect();
    let expected = [
        "configuration",
        "credentials",
        "resolve",
        "connect",
        "greeting",
        "TLS",
        "authentication",
        "sender",
        "recipient",
        "content",
    ];
    assert_eq!(steps, expected, "{said}");
    assert!(said.ends_with("\ndelivered\n") && !said.contains(crate::PASSWORD), "{said}");
    assert_eq!(arrived(&SERVER, "test@contoso.example").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_names_the_step_the_words_and_what_to_do() {
    let mounted = mounted(&SERVER);
    mounted.set("smtp-password", "wrong");
    let (code, said, _) = run(notify(&mounted, &["--to", "test@contoso.example"]));
    assert_eq!(code, 1, "{said}");
    let end = said.split_once("FAILED  authentication: 535").unwrap_or_else(|| panic!("{said}")).1;
    assert!(end.contains("to do:  check smtp-username, smtp-password") && end.contains("tries again"), "{said}");

    let (code, said, _) = run(notify(&mounted, &["--to", "test@contoso.example", "--output", "json"]));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &said["delivered"]), (1, &Value::from(false)));
    assert_eq!(said["failed"]["step"], "Authentication");
    assert_eq!(said["failed"]["again"], true);
    assert_eq!(said["steps"].as_array().unwrap().last().unwrap()["step"], "Tls");

    mounted.set("notifications.yaml", "smtp: {host: 'https://mail', from: a@b.example}");
    let (code, said, _) = run(notify(&mounted, &["--to", "test@contoso.example"]));
    assert!(
        code == 1 && said.contains("FAILED  configuration: ") && said.contains("smtp.host: write a DNS name"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_tried_with_what_the_secret_has() {
    let receiver = Receiver::start().await;
    let mounted = mounted(&SERVER);
    mounted.set("ca.crt", &receiver.loopback.ca_pem);
    mounted.set("webhook-ops-secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    for (status, code, last) in [("200", 0, "delivered"), ("410", 1, "gives up")] {
        mounted.set("webhook-ops-url", &receiver.url(status));
        let (ended, said, complaint) = run(notify(&mounted, &["--webhook", "ops"]));
        assert_eq!((ended, complaint.as_str()), (code, ""), "{said}");
        assert!(said.contains(last) && !said.contains(&receiver.url("")), "{said}");
    }
    let body: Value = serde_json::from_slice(&receiver.received()[0].body).unwrap();
    assert_eq!(body["type"], "dev.lockbox.test");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_goes_through_the_proxy_of_the_environment() {
    let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut socket, _) = proxy.accept().await.unwrap();
        let mut line = vec![0; 512];
        let length = socket.read(&mut line).await.unwrap();
        socket.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&line[..length]).into_owned()
    });
    let mounted = mounted(&SERVER);
    mounted.set("webhook-ops-url", "https://hooks.contoso.example/x");
    mounted.set("webhook-ops-secret", "unsigned");
    let mut command = notify(&mounted, &["--webhook", "ops"]);
    command.env("HTTPS_PROXY", format!("http://{address}")).env_remove("NO_PROXY").env_remove("no_proxy");
    let (code, said, _) = run(command);
    assert!(code == 1 && said.contains("FAILED  connect: "), "{said}");
    assert!(asked.await.unwrap().starts_with("CONNECT hooks.contoso.example:443 "));
}

#[test]
fn a_command_that_makes_no_sense_is_refused_with_code_2() {
    let mounted = Mounted::new();
    for arguments in [&[][..], &["--to", "a@b.example", "--webhook", "ops"]] {
        let (code, _, complaint) = run(notify(&mounted, arguments));
        assert_eq!(code, 2, "{complaint}");
    }
}
