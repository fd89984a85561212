//! The carrier of a real installation: texts from `lockbox_messages`, ways out from [`notify`](crate::notify).

use futures::{FutureExt as _, future::BoxFuture};
use lockbox_lifecycle::Recipient;
use lockbox_messages::{Scene, event, letter, message_id};

use super::{Carrier, Outcome, Parcel};
use crate::notify::{DeliveryStep, Letter, Notifications, Post, Sent, Smtp, Trouble, Webhooks};

/// Sends by a mail server and webhooks.
pub struct Postman {
    smtp: Option<Smtp>,
    webhooks: Webhooks,
}

impl Postman {
    /// With what the installation offers.
    pub fn new(offered: Notifications) -> Self {
        let Notifications { smtp, secrets } = offered;
        Self { smtp: smtp.map(|smtp| Smtp::new(smtp, secrets.clone())), webhooks: Webhooks::new(secrets) }
    }

    async fn send(&self, parcel: &Parcel<'_>, to: &Recipient) -> Outcome {
        let Some(smtp) = &self.smtp else {
            return nowhere("this installation has no mail server");
        };
        let made = letter(&parcel.scene(), to.audience);
        tell(parcel, made.trouble.as_deref());
        let letter = Letter {
            id: parcel.id(),
            to: to.address.clone(),
            subject: made.what.subject,
            text: made.what.text,
            html: made.what.html,
            at: parcel.message.at,
        };
        outcome(smtp.send(&letter).await, of_the_server)
    }

    async fn call(&self, parcel: &Parcel<'_>, name: &str) -> Outcome {
        let webhooks = parcel.settings.notifications.iter().flat_map(|rules| &rules.webhooks);
        let Some(webhook) = webhooks.into_iter().find(|webhook| webhook.name == name) else {
            return nowhere("the settings name no such webhook");
        };
        let made = event(&parcel.scene(), webhook);
        tell(parcel, made.trouble.as_deref());
        let post = Post {
            id: parcel.id(),
            at: chrono::Utc::now(),
            content_type: made.what.content_type.into(),
            body: made.what.bytes,
        };
        outcome(self.webhooks.send(name, &post).await, |_| true)
    }
}

impl Carrier for Postman {
    fn mail<'a>(&'a self, parcel: &'a Parcel<'a>, to: &'a Recipient) -> BoxFuture<'a, Outcome> {
        self.send(parcel, to).boxed()
    }

    fn post<'a>(&'a self, parcel: &'a Parcel<'a>, webhook: &'a str) -> BoxFuture<'a, Outcome> {
        self.call(parcel, webhook).boxed()
    }
}

impl Parcel<'_> {
    fn scene(&self) -> Scene<'_> {
        Scene { request: self.request, message: self.message, settings: self.settings }
    }

    /// What receivers know repeats by.
    fn id(&self) -> String {
        message_id(self.request.metadata.uid.as_deref().unwrap_or_default(), &self.message.id)
    }
}

/// A text of the settings that cannot be used is no reason to tell nobody.
fn tell(parcel: &Parcel<'_>, trouble: Option<&str>) {
    if let Some(trouble) = trouble {
        tracing::warn!(message = parcel.id(), trouble, "the built-in text was sent");
    }
}

/// Whether a step that failed would fail for every recipient.
const fn of_the_server(step: DeliveryStep) -> bool {
    !matches!(step, DeliveryStep::Recipient | DeliveryStep::Content | DeliveryStep::Status)
}

fn nowhere(words: &str) -> Outcome {
    Outcome::Never { words: words.into(), shown: words.into() }
}

fn outcome(sent: Sent, of_the_lane: impl FnOnce(DeliveryStep) -> bool) -> Outcome {
    match sent {
        Sent::Delivered => Outcome::Delivered,
        Sent::Later(trouble) => Outcome::Later {
            words: trouble.to_string(),
            lane: of_the_lane(trouble.step),
            after: trouble.after,
            uncertain: trouble.uncertain,
            shown: shown(&trouble),
        },
        Sent::Never(trouble) => Outcome::Never { words: trouble.to_string(), shown: shown(&trouble) },
    }
}

/// The step that failed, and the code that the other side gave. Its words can hold addresses and hosts of the customer's,
/// and are for the log.
fn shown(trouble: &Trouble) -> String {
    let code: String = trouble.words.chars().take_while(char::is_ascii_digit).take(3).collect();
    if code.len() == 3 { format!("{} {code}", trouble.step) } else { trouble.step.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_shows_the_step_and_the_code_and_no_words() {
        let shown = |step, words: &str| shown(&Trouble::new(step, words));
        assert_eq!(shown(DeliveryStep::Recipient, "550 no such user <soc@contoso.example>"), "recipient 550");
        assert_eq!(shown(DeliveryStep::Status, "503 Service Unavailable at 10.1.2.3"), "status 503");
        assert_eq!(shown(DeliveryStep::Connect, "10.1.2.3:25: connection refused"), "connect");
    }
}
