//! What a requester did with an access, as the API server's audit events show it.
//!
//! A [`Ledger`] keeps an account for each access and is handed one [`Call`] after the other; [`read`] makes calls of the
//! text in which audit events arrive. Nothing in here reads a clock, a file or the network.
//!
//! Nearly every text in an event is chosen by the engineer whose access it is about: the user agent, the names of objects,
//! the path, even the event's id. All of them are cut and cleaned ([`text`]) when they are read, and every list is bounded.

mod account;
mod call;
mod event;
mod format;
mod gke;
mod ledger;
mod record;
mod report;
mod residue;
mod rights;
mod session;
mod text;
mod uri;

pub use account::{Access, Account};
pub use call::{Call, Stage};
pub use format::{Format, LONGEST_LINE, Unreadable, read, read_list, read_value};
pub use ledger::{Counters, Ledger, MOST_ACCOUNTS};
pub use record::{Belongs, Record};
pub use report::report;
