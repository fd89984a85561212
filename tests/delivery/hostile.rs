//! Mail servers that misbehave as no real one can be told to.

use std::time::Duration;

use lockbox::notify::{Authentication, DeliveryStep, Security, Sent, Smtp};

use crate::{
    Mounted, PATIENCE, assert_later, assert_never, config, letter,
    script::{SILENCE, Script},
};

const HELLO: &str = "250-mail.contoso.example\r\n250 AUTH PLAIN LOGIN XOAUTH2\r\n";

fn to_script(script: &Script, security: Security, authentication: Authentication, mounted: &Mounted) -> Smtp {
    let mut config = config(script.port, security, authentication);
    // Between us and a script lies nothing.
    config.timeout = if authentication == Authentication::None { Duration::from_secs(1) } else { PATIENCE };
    Smtp::new(config, mounted.secrets())
}

async fn send(script: &Script) -> Sent {
    let smtp = to_script(script, Security::Plaintext, Authentication::None, &Mounted::new());
    tokio::time::timeout(PATIENCE, smtp.send(&letter("ada@contoso.example"))).await.expect("an attempt has an end")
}

#[tokio::test]
async fn a_server_that_stops_answering_ends_the_attempt_at_the_step_where_it_stopped() {
    let said = ["220 ready\r\n", HELLO, HELLO, "250 ok\r\n", "250 ok\r\n", "354 go on\r\n"];
    // Whether the message was taken is asked for longer than anything else.
    for (count, (step, seconds)) in [
        ("greeting", 1),
        ("greeting", 1),
        ("greeting", 1),
        ("sender", 1),
        ("recipient", 1),
        ("content", 1),
        ("content", 10),
    ]
    .iter()
    .enumerate()
    {
        let mut answers = said[..count].to_vec();
        answers.push(SILENCE);
        let script = Script::start(&answers).await;
        let sent = send(&script).await;
        assert_later(&sent, DeliveryStep::Timeout, &format!("{step}: no answer within {seconds} s"));
        let Sent::Later(trouble) = sent else { panic!("{sent:?}") };
        assert_eq!(trouble.uncertain, count == said.len(), "the whole message was handed over: {trouble:?}");
    }
}

#[tokio::test]
async fn what_is_no_mail_server_or_wants_no_mail_is_tried_again() {
    for (answer, words) in [
        ("HTTP/1.1 400 Bad Request\r\n\r\n", ""),
        ("421 too busy\r\n", "421 too busy"),
        ("554 no service for you\r\n", "554 no service"),
    ] {
        let script = Script::start(&[answer]).await;
        assert_later(&send(&script).await, DeliveryStep::Greeting, words);
    }
    let mut nobody = Script::start(&[]).await;
    nobody.port = 1;
    assert_later(&send(&nobody).await, DeliveryStep::Connect, "127.0.0.1:1");
}

#[tokio::test]
async fn words_of_a_server_are_one_bounded_line() {
    let long = format!("550-{}\r\n550 \u{1b}[2Jno\r\n", "é".repeat(400));
    let script = Script::start(&["220 ready\r\n", HELLO, HELLO, "250 ok\r\n", &long]).await;
    let Sent::Never(trouble) = send(&script).await else { panic!("a refused recipient is final") };
    assert!(trouble.words.starts_with("550 ") && trouble.words.len() <= 256, "{trouble:?}");
    assert!(!trouble.words.contains(char::is_control), "{trouble:?}");
}

#[tokio::test]
async fn what_somebody_in_between_appends_to_the_answer_to_starttls_is_not_heard() {
    let forged =
        format!("220 go on\r\n{HELLO}{HELLO}235 welcome\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 delivered\r\n");
    let script = Script::start(&["220 ready\r\n", "250-mail\r\n250 STARTTLS\r\n", &forged]).await;
    let mounted = Mounted::new();
    mounted.set("smtp-username", "lockbox");
    mounted.set("smtp-password", "hunter2");
    let smtp = to_script(&script, Security::StartTLS, Authentication::Plain, &mounted);
    assert_later(&smtp.send(&letter("ada@contoso.example")).await, DeliveryStep::Tls, "");
    assert!(!script.heard().concat().contains("AUTH"), "{:?}", script.heard());
}

#[tokio::test]
async fn an_address_of_other_letters_is_not_sent_to_a_server_that_cannot_take_it() {
    let script = Script::start(&["220 ready\r\n", HELLO, HELLO]).await;
    let smtp = to_script(&script, Security::Plaintext, Authentication::None, &Mounted::new());
    assert_never(&smtp.send(&letter("größe@contoso.example")).await, DeliveryStep::Recipient, "SMTPUTF8");
}

/// Mailpit knows no XOAUTH2, so the bytes of the command are compared with what Google and Microsoft document.
#[tokio::test]
async fn a_token_is_sent_as_the_providers_document_it_and_their_reason_for_a_refusal_is_heard() {
    let mounted = Mounted::new();
    mounted.set("smtp-username", "lockbox@contoso.example");
    mounted.set("smtp-token", "ya29.token\n");
    let taken =
        ["220 ready\r\n", HELLO, HELLO, "235 ok\r\n", "250 ok\r\n", "250 ok\r\n", "354 go on\r\n", "250 taken\r\n"];
    let script = Script::start(&taken).await;
    let smtp = to_script(&script, Security::Plaintext, Authentication::XOAuth2, &mounted);
    assert_eq!(smtp.send(&letter("ada@contoso.example")).await, Sent::Delivered);
    // base64 of "user=lockbox@contoso.example^Aauth=Bearer ya29.token^A^A"
    let expected = "AUTH XOAUTH2 dXNlcj1sb2NrYm94QGNvbnRvc28uZXhhbXBsZQFhdXRoPUJlYXJlciB5YTI5LnRva2VuAQE=\r\n";
    assert_eq!(script.heard()[2], expected);

    let refused = ["220 ready\r\n", HELLO, HELLO, "334 eyJzdGF0dXMiOiI0MDEifQ==\r\n", "535 5.7.8 token expired\r\n"];
    let script = Script::start(&refused).await;
    let smtp = to_script(&script, Security::Plaintext, Authentication::XOAuth2, &mounted);
    let sent = smtp.send(&letter("ada@contoso.example")).await;
    assert_later(&sent, DeliveryStep::Authentication, "535 5.7.8 token expired");
    assert_eq!(script.heard()[3], "\r\n", "an empty line asks for the reason");
}
