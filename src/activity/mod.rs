//! The API server's audit stream: where it is taken, from whom, and what is kept of it.

mod books;
mod credentials;
mod endpoint;
mod records;

pub use books::Books;
pub use endpoint::{Endpoint, Error};
