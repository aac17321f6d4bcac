//! A model of an AWS organization: accounts, instances and their agents, Systems Manager, Config and EventBridge, with the
//! traps that the real ones have and with faults by the seed, in virtual time.
//!
//! A [`Spec`] says what there is; a [`World`] is what becomes of it. The engine acts on it through `ports::Cloud`, the driver
//! moves its time and carries its events, and checkers look behind the scenes. Nothing here knows the engine's rules: a world
//! that agreed with the engine by construction would prove nothing.

mod agenda;
mod alarm;
mod automation;
mod bus;
mod calendar;
mod calls;
mod clock;
mod cloud;
mod command;
mod config;
mod draw;
mod exception;
mod faults;
mod fleet;
mod generate;
mod host;
mod ledger;
pub mod listen;
mod locate;
mod log;
mod patch;
mod probe;
mod run;
mod setup;
mod spec;
mod ssm;
mod state;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use alarm::{AlarmSpec, AlarmTurn};
pub use automation::StartRecord;
pub use command::SendRecord;
pub use draw::{Draw, draw};
pub use exception::ExceptionSeen;
pub use faults::Faults;
pub use fleet::{FLEET_SCHEMA, Fleet, FleetAccount, FleetAccountState, FleetInstance};
pub use generate::REGIONS;
pub use ledger::Counts;
pub use patch::PatchSpec;
pub use setup::{Rival, RivalKind, SpokeSetup};
pub use spec::{AccountSpec, AccountState, HostSpec, RULE, Recording, Role, RuleSpec, Spec, Tempo, Trouble};
pub use world::{Delivery, HostTruth, World};
