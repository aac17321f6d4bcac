//! The run inputs of a policy's schedules: named by the policy, read at the edge, and part of the policy from then on.

use tidegate_events::wire::run_input;

use crate::policy::Policy;

/// A policy with its run inputs is pinned in one item of the store: so many bytes it may have.
const POLICY_BYTES_MAX: usize = 256 * 1024;

impl Policy {
    /// Takes in the run input of every schedule. `read` brings the bytes of a file beside the policy.
    ///
    /// # Errors
    /// Everything that is wrong, each with the file that it is in. Nobody should start with a schedule that can't fire.
    pub fn with_runs(mut self, mut read: impl FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Self, Vec<String>> {
        let mut wrong = Vec::new();
        for schedule in &mut self.schedules {
            match read(&schedule.run) {
                Ok(bytes) => match run_input::parse(&bytes) {
                    Ok(parsed) => schedule.input = Some(Box::new(parsed.run)),
                    Err(problems) => wrong.extend(problems.lines().map(|line| format!("{}: {line}", schedule.run))),
                },
                Err(why) => wrong.push(format!("{}: schedule `{}` can't read its run input: {why}", schedule.run, schedule.name)),
            }
        }
        let bytes = self.to_json().len();
        if wrong.is_empty() && bytes > POLICY_BYTES_MAX {
            wrong.push(format!(
                "the policy has {bytes} bytes with the runs of its schedules: expected at most {POLICY_BYTES_MAX}; select hosts by tags instead of naming them"
            ));
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}
