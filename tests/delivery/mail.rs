//! E-mail to a real server.

use futures::{StreamExt as _, stream};
use lockbox::notify::{Authentication, DeliveryStep, Letter, Security, Sent, Smtp};
use lockbox_cluster::mailpit::{Mailpit, Options, Tls};
use serde_json::json;

use crate::{
    Mounted, SERVER, arrived, assert_later, assert_never, config, header, headers, http, letter, options, read,
    relay::Relay,
};

#[tokio::test]
async fn every_way_to_encrypt_and_to_sign_in_delivers() {
    let implicit = Mailpit::start(&options(Tls::Implicit)).unwrap();
    let open = Mailpit::start(&Options::default()).unwrap();
    for (server, security, authentication) in [
        (&*SERVER, Security::StartTLS, Authentication::Plain),
        (&*SERVER, Security::StartTLS, Authentication::Login),
        (&implicit, Security::TLS, Authentication::Plain),
        (&implicit, Security::TLS, Authentication::Login),
        (&open, Security::Plaintext, Authentication::None),
    ] {
        let mounted = Mounted::of(server);
        let to = format!("{security:?}-{authentication:?}@contoso.example").to_lowercase();
        let smtp = Smtp::new(config(server.smtp(), security, authentication), mounted.secrets());
        assert_eq!(smtp.send(&letter(&to)).await, Sent::Delivered, "{to}");
        let messages = arrived(server, &to).await;
        assert_eq!(messages.len(), 1, "{to}");
        assert_eq!(messages[0]["From"], json!({"Name": "Lockbox", "Address": "lockbox@contoso.example"}));
        assert_eq!(messages[0]["Subject"], "A request waits for you");
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_nothing_is_sent() {
    let implicit = Mailpit::start(&options(Tls::Implicit)).unwrap();
    for (server, security) in [(&*SERVER, Security::StartTLS), (&implicit, Security::TLS)] {
        let mounted = Mounted::of(server);
        mounted.remove("ca.crt");
        let smtp = Smtp::new(config(server.smtp(), security, Authentication::Plain), mounted.secrets());
        let to = "unknown-authority@contoso.example";
        assert_later(&smtp.send(&letter(to)).await, DeliveryStep::Tls, "UnknownIssuer");
        assert!(arrived(server, to).await.is_empty());
        // An authority that is put into the Secret counts at once.
        mounted.set("ca.crt", server.ca_pem());
        assert_eq!(smtp.send(&letter(to)).await, Sent::Delivered);
    }
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let mounted = Mounted::of(&SERVER);
    let relay = Relay::start("127.0.0.2", SERVER.smtp()).await;
    let mut elsewhere = config(relay.address.port(), Security::StartTLS, Authentication::Plain);
    elsewhere.host = "127.0.0.2".into();
    let sent = Smtp::new(elsewhere, mounted.secrets()).send(&letter("elsewhere@contoso.example")).await;
    assert_later(&sent, DeliveryStep::Tls, "not valid for");
    assert_eq!(relay.connections(), 1);
}

#[tokio::test]
async fn a_server_that_offers_no_starttls_gets_nothing() {
    let open = Mailpit::start(&Options::default()).unwrap();
    let smtp = Smtp::new(config(open.smtp(), Security::StartTLS, Authentication::None), Mounted::of(&open).secrets());
    assert_later(&smtp.send(&letter("plain@contoso.example")).await, DeliveryStep::Tls, "STARTTLS");
    assert!(arrived(&open, "plain@contoso.example").await.is_empty());
}

#[tokio::test]
async fn a_password_that_is_rotated_counts_at_once_and_the_old_connection_no_longer() {
    let mounted = Mounted::of(&SERVER);
    mounted.set("smtp-password", "wrong");
    let relay = Relay::start("127.0.0.1", SERVER.smtp()).await;
    let address = config(relay.address.port(), Security::StartTLS, Authentication::Plain);
    let smtp = Smtp::new(address, mounted.secrets());
    let letter = letter("rotated@contoso.example");
    assert_later(&smtp.send(&letter).await, DeliveryStep::Authentication, "535");
    mounted.set("smtp-password", crate::PASSWORD);
    assert_eq!(smtp.send(&letter).await, Sent::Delivered);
    assert_eq!(smtp.send(&letter).await, Sent::Delivered);
    assert_eq!(relay.connections(), 2, "the second letter took the first one's connection");
    // Revoked here: a connection that was opened with the right one must not be used any more.
    mounted.set("smtp-password", "wrong");
    assert_later(&smtp.send(&letter).await, DeliveryStep::Authentication, "535");
    mounted.remove("smtp-password");
    assert_later(&smtp.send(&letter).await, DeliveryStep::Credentials, "smtp-password is not in the Secret");
    assert_eq!(arrived(&SERVER, &letter.to).await.len(), 2);
}

#[tokio::test]
async fn a_refusal_is_for_now_or_for_good_by_who_can_put_it_right() {
    let server = Mailpit::start(&Options { args: vec!["--enable-chaos".into()], ..options(Tls::Required) }).unwrap();
    let mounted = Mounted::of(&server);
    let chaos = async |trigger: &str, code: u16| {
        let body = json!({trigger: {"ErrorCode": code, "Probability": 100}}).to_string();
        let url = format!("{}/api/v1/chaos", server.api());
        let answer = http().put(url).body(body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    };
    let config = config(server.smtp(), Security::StartTLS, Authentication::Plain);
    let (kept, to) = (Smtp::new(config.clone(), mounted.secrets()), "chaos@contoso.example");
    for (trigger, code, step, is_final) in [
        ("Recipient", 451, DeliveryStep::Recipient, false),
        ("Recipient", 550, DeliveryStep::Recipient, true),
        ("Sender", 451, DeliveryStep::Sender, false),
        // The sender is in the configuration: whoever installs Lockbox can put that right.
        ("Sender", 550, DeliveryStep::Sender, false),
        ("Sender", 552, DeliveryStep::Content, true),
        ("Authentication", 454, DeliveryStep::Authentication, false),
        ("Authentication", 535, DeliveryStep::Authentication, false),
    ] {
        chaos(trigger, code).await;
        // A login is not repeated on a connection that is kept.
        let fresh = Smtp::new(config.clone(), mounted.secrets());
        let sent = if trigger == "Authentication" { &fresh } else { &kept }.send(&letter(to)).await;
        let check = if is_final { assert_never } else { assert_later };
        check(&sent, step, &code.to_string());
    }
    assert!(arrived(&server, to).await.is_empty());
    // The same connection is good for the next letter.
    chaos("Recipient", 451).await;
    assert_later(&kept.send(&letter(to)).await, DeliveryStep::Recipient, "451");
    let calm = json!({"Recipient": {"ErrorCode": 451, "Probability": 0}}).to_string();
    http().put(format!("{}/api/v1/chaos", server.api())).body(calm).send().await.unwrap();
    assert_eq!(kept.send(&letter(to)).await, Sent::Delivered);
    assert_eq!(arrived(&server, to).await.len(), 1);
}

#[tokio::test]
async fn no_text_adds_a_header_or_a_recipient() {
    let mounted = Mounted::of(&SERVER);
    let smtp = Smtp::new(config(SERVER.smtp(), Security::StartTLS, Authentication::Plain), mounted.secrets());
    let names = async |to: &str| {
        let messages = arrived(&SERVER, to).await;
        assert_eq!(messages.len(), 1, "{to}");
        let headers = headers(&SERVER, &messages[0]).await;
        headers.iter().map(|line| line.split(':').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(smtp.send(&letter("usual@contoso.example")).await, Sent::Delivered);
    let usual = names("usual@contoso.example").await;
    let hostile = "x\r\nBcc: eve@evil.example\r\n\r\n.\r\nMAIL FROM:<eve@evil.example>\r\n";
    let letter = Letter {
        subject: hostile.into(),
        text: hostile.into(),
        html: hostile.into(),
        ..letter("hostile@contoso.example")
    };
    assert_eq!(smtp.send(&letter).await, Sent::Delivered);
    assert_eq!(names("hostile@contoso.example").await, usual);
    assert!(arrived(&SERVER, "eve@evil.example").await.is_empty());
    let message = read(&SERVER, &arrived(&SERVER, "hostile@contoso.example").await[0]).await;
    assert_eq!(message["Bcc"], json!([]));
    // A line of a single dot is a line, and not the end.
    assert!(message["Text"].as_str().unwrap().contains("\r\n.\r\nMAIL FROM:<eve@evil.example>"), "{message:#}");
}

#[tokio::test]
async fn letters_of_all_scripts_arrive_as_they_were_written() {
    let mounted = Mounted::of(&SERVER);
    let mut config = config(SERVER.smtp(), Security::StartTLS, Authentication::Plain);
    config.from = "Großer Tresor – 承認 <lockbox@contoso.example>".parse().unwrap();
    let smtp = Smtp::new(config, mounted.secrets());
    for to in ["ada.größe@contoso.example", "ada@bücher.example"] {
        let letter = Letter {
            subject: "Zugriff für Größe: 承認 🔒".into(),
            text: "Kim möchte zugreifen – 承認?\n".into(),
            html: "<p>Kim möchte zugreifen – 承認?</p>\n".into(),
            ..letter(to)
        };
        assert_eq!(smtp.send(&letter).await, Sent::Delivered, "{to}");
        let messages = arrived(&SERVER, &to.replace("bücher", "xn--bcher-kva")).await;
        assert_eq!(messages.len(), 1, "{to}");
        let message = read(&SERVER, &messages[0]).await;
        assert_eq!(message["Subject"], letter.subject);
        assert_eq!(message["From"]["Name"], "Großer Tresor – 承認");
        assert_eq!(message["Text"].as_str().unwrap().trim(), letter.text.trim());
        assert_eq!(message["HTML"].as_str().unwrap().trim(), letter.html.trim());
    }
}

#[tokio::test]
async fn a_letter_that_is_sent_twice_has_the_same_id_and_date() {
    let mounted = Mounted::of(&SERVER);
    let letter = letter("twice@contoso.example");
    for _ in 0..2 {
        let config = config(SERVER.smtp(), Security::StartTLS, Authentication::Plain);
        assert_eq!(Smtp::new(config, mounted.secrets()).send(&letter).await, Sent::Delivered);
    }
    let messages = arrived(&SERVER, &letter.to).await;
    assert_eq!(messages.len(), 2);
    for message in &messages {
        let headers = headers(&SERVER, message).await;
        assert_eq!(header(&headers, "Message-ID"), "<sr-2611.twice@contoso.example>");
        assert_eq!(header(&headers, "Date"), "Sat, 28 Nov 2026 12:00:00 +0000");
        assert_eq!(header(&headers, "Auto-Submitted"), "auto-generated");
        assert!(header(&headers, "Content-Type").starts_with("multipart/alternative"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_letters_take_few_connections() {
    let mounted = Mounted::of(&SERVER);
    let relay = Relay::start("127.0.0.1", SERVER.smtp()).await;
    let address = config(relay.address.port(), Security::StartTLS, Authentication::Plain);
    let smtp = Smtp::new(address, mounted.secrets());
    let sent: Vec<Sent> = stream::iter(0..500)
        .map(|number| {
            let smtp = smtp.clone();
            async move { smtp.send(&letter(&format!("one-of-many-{number}@many.example"))).await }
        })
        .buffer_unordered(500)
        .collect()
        .await;
    assert!(
        sent.iter().all(|sent| *sent == Sent::Delivered),
        "{:?}",
        sent.iter().find(|sent| **sent != Sent::Delivered)
    );
    assert_eq!(arrived(&SERVER, "@many.example").await.len(), 500);
    // A hundred letters each, and up to four at once.
    assert!((5..=8).contains(&relay.connections()), "{} connections", relay.connections());
}

#[tokio::test]
async fn a_connection_that_has_ended_meanwhile_costs_no_attempt() {
    let mounted = Mounted::of(&SERVER);
    let relay = Relay::start("127.0.0.1", SERVER.smtp()).await;
    let address = config(relay.address.port(), Security::StartTLS, Authentication::Login);
    let smtp = Smtp::new(address, mounted.secrets());
    let letter = letter("cut@contoso.example");
    assert_eq!(smtp.send(&letter).await, Sent::Delivered);
    relay.cut();
    assert_eq!(smtp.send(&letter).await, Sent::Delivered);
    assert_eq!(relay.connections(), 2);
}

#[tokio::test]
async fn a_letter_that_is_too_large_for_the_server_is_never_sent() {
    let server =
        Mailpit::start(&Options { args: vec!["--max-message-size=1".into()], ..options(Tls::Required) }).unwrap();
    let mounted = Mounted::of(&server);
    let smtp = Smtp::new(config(server.smtp(), Security::StartTLS, Authentication::Plain), mounted.secrets());
    let large = "x".repeat(700 * 1024);
    let letter = Letter { text: large.clone(), html: large, ..letter("large@contoso.example") };
    assert_never(&smtp.send(&letter).await, DeliveryStep::Content, "bytes, and the server takes");
    assert!(arrived(&server, &letter.to).await.is_empty());
}
