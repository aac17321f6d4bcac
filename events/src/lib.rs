//! The words of Tidegate: what can be said.
//!
//! *Events* are told to us, *entries* are true for us, *actions* are asked by us, and a *hold* names why something is not
//! happening. This crate is pure: it knows no clock, no network and no environment. Bytes become events in [`wire`], once,
//! at the edge; past it there is no raw JSON and no raw string id.

pub mod action;
pub mod automation;
pub mod bulk;
pub mod control;
pub mod deadline;
pub mod entry;
pub mod event;
pub mod fact;
pub mod health;
pub mod hold;
pub mod host;
pub mod id;
pub mod journal;
pub mod kev;
pub mod mirror;
pub mod patch;
pub mod run;
pub mod schedule;
pub mod spelling;
pub mod standing;
pub mod wire;

pub use action::Action;
pub use entry::Entry;
pub use event::Event;
pub use hold::Hold;
pub use jiff::Timestamp;
