//! How a message leaves the cluster: by SMTP, or as a signed HTTPS request. One message, one destination, one attempt;
//! what came of it is [`Sent`]. Nothing here queues, repeats or decides who is told what.

mod access;
mod config;
mod delivery;
mod letter;
mod post;
mod secrets;
mod session;
mod smtp;
mod stream;
mod trust;
mod webhooks;

pub use config::{Authentication, Error as ConfigError, Notifications, Security, SmtpConfig};
pub use delivery::{DeliveryStep, Sent, Trouble};
pub use letter::Letter;
pub use post::Post;
pub use secrets::Secrets;
pub use smtp::Smtp;
pub use webhooks::Webhooks;
