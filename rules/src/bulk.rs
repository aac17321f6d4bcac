//! Bulk runs: somebody names hosts instead of waiting for findings about them. A bulk run is a campaign with waves of its own,
//! under the policy that it was asked under: it may ask for more care than the policy, never for less.

pub mod apply;
pub mod ask;
pub mod cut;
pub mod documents;
pub mod plan;
pub mod scan;
pub mod state;
pub mod stop;
pub mod terms;

pub use cut::{Known, cut};
pub use plan::{Plan, plan};
pub use terms::{orders, policy_for};
