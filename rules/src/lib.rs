//! The decisions of Tidegate. No clock, no async, no AWS, no randomness, no environment: everything that a decision needs,
//! `now` included, comes in through the signature, and everything that it wants goes out as entries and actions.
//!
//! [`decide`] is the product on one screen.

pub mod apply;
pub mod approval;
pub mod backup;
pub mod bake;
pub mod batch;
pub mod blast_radius;
pub mod book;
pub mod bucket;
pub mod bulk;
pub mod campaign;
pub mod catalog;
pub mod cell;
pub mod check;
pub mod control;
pub mod cron;
pub mod deadline;
pub mod decide;
pub mod desk;
pub mod doctor;
pub mod exemption;
pub mod forecast;
pub mod freeze;
pub mod gate;
pub mod group;
pub mod health;
pub mod impact;
pub mod key;
pub mod lane;
pub mod mirror;
pub mod open;
pub mod pin;
pub mod plan;
pub mod policy;
pub mod retry;
pub mod schedule;
pub mod sending;
pub mod state;
pub mod stopping;
pub mod target;
pub mod verdict;
pub mod verdicts;
pub mod wave;
pub mod window;

pub use decide::decide;
pub use desk::{Desk, Missing};
pub use key::Key;
pub use state::State;
