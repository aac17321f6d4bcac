//! The two doors. [`Engine::handle`] takes everything that comes in; [`Engine::perform`] does everything that goes out and
//! comes back through the first. Decisions are made in `tidegate-rules`; here they are loaded, committed and carried out.

mod bulk;
pub mod commit;
pub mod counts;
pub mod door;
pub mod error;
pub mod handle;
mod health;
pub mod impact;
mod lacking;
mod mirror;
pub mod perform;
pub mod ports;
pub mod probe;
mod question;
pub mod shell;
mod steer;
pub mod store;
pub mod sweep;
pub mod tokens;
mod watch;

pub use error::EngineError;
pub use handle::{Engine, Handled};
