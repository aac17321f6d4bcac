//! What people see and decide in a browser, for both shells: requests in, responses out. The approval page, and what the command line sends; nothing here
//! knows HTTP servers, AWS or clocks.

mod control;
pub mod coverage;
pub mod http;
mod kev;
mod page;
pub mod router;
mod run;

pub use coverage::{Coverage, cover};
pub use http::{Request, Response};
pub use router::{Console, Decider};
