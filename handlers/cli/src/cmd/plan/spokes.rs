//! The hosts of the accounts and Regions that a run names, asked of the organization itself: what the run would find if it was
//! asked for now.

use std::collections::BTreeSet;
use std::time::Duration;

use tidegate_engine::counts::count;
use tidegate_engine::ports::{Cloud, Spoke};
use tidegate_events::host::SpokeFault;
use tidegate_events::run::BulkRun;
use tidegate_rules::bulk;
use tidegate_rules::policy::Policy;

use super::Estate;
use crate::failure::Failure;
use crate::screen;

/// Asked again so often where no answer is a passing trouble.
const TRIES: u32 = 4;
/// The first wait before that; each further one is twice as long.
const WAIT: Duration = Duration::from_millis(500);

/// Reads them.
///
/// # Errors
/// When the organization can't be counted, or a spoke gives no answer: a plan of a part would look like a plan of all. A spoke that
/// does not let us in is a gap that the plan tells, since the run leaves it out too.
pub(super) async fn read<C: Cloud>(cloud: &C, policy: &Policy, run: &BulkRun) -> Result<Estate, Failure> {
    let counts = patiently(|| count(cloud, policy)).await.map_err(|fault| Failure::Usage(format!("the organization can't be counted: {fault}")))?;
    let mut estate = Estate { hosts: Vec::new(), accounts: counts.ous.clone(), closed: BTreeSet::new(), counts: Some(counts), gaps: Vec::new() };
    let spokes = bulk::ask::spokes(run);
    let bar = screen::bar("spokes", u64::try_from(spokes.len()).unwrap_or(0));
    for (account, region) in spokes {
        let spoke = Spoke { account, region: region.clone() };
        match nodes(cloud, &spoke, &mut estate).await {
            Ok(()) => {}
            Err(fault) if fault.is_passing() => return Err(Failure::Usage(format!("the nodes of {account} in {region} can't be listed: {fault}; try again"))),
            Err(fault) => estate.gaps.push(format!("{account} in {region} is not part of this plan, nor would it be of the run: {fault}")),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(estate)
}

async fn nodes<C: Cloud>(cloud: &C, spoke: &Spoke, estate: &mut Estate) -> Result<(), SpokeFault> {
    let mut next: Option<String> = None;
    loop {
        let page = patiently(|| cloud.managed_nodes(spoke, next.as_deref(), true)).await?;
        estate.hosts.extend(page.items.into_iter().map(|host| (spoke.account, spoke.region.clone(), host)));
        match page.next {
            Some(_) => next = page.next,
            None => return Ok(()),
        }
    }
}

async fn patiently<T, F: Future<Output = Result<T, SpokeFault>>>(ask: impl Fn() -> F) -> Result<T, SpokeFault> {
    let mut wait = WAIT;
    for _ in 1..TRIES {
        match ask().await {
            Err(fault) if fault.is_passing() => tokio::time::sleep(wait).await,
            answer => return answer,
        }
        wait = wait.saturating_mul(2);
    }
    ask().await
}

#[cfg(test)]
mod tests {
    use tidegate_events::wire::run_input;
    use tidegate_world::{AccountState, Fleet, Spec, World};

    use super::*;
    use crate::cmd::plan::{Asked, report};
    use crate::cmd::simulate;

    const RUN: &str = r#"{"accounts":["111122223333","444455556666","777788889999"],"regions":["eu-central-1","us-east-1"],
        "ssm":{"operation":"Install","maxConcurrency":"50%","maxErrors":"10%"}}"#;

    fn fleet() -> Fleet {
        let mut instances = Vec::new();
        for (account, region, hosts) in
            [("111122223333", "eu-central-1", 120), ("111122223333", "us-east-1", 3), ("444455556666", "us-east-1", 60), ("123456789012", "us-east-1", 40)]
        {
            for n in 0..hosts {
                let tags = format!(r#"{{"Env":"{}"}}"#, if n % 3 == 0 { "prod" } else { "dev" });
                let region_digit = region.len();
                let id = format!("i-{}{region_digit:03}{n:06}", &account[..8]);
                instances.push(format!(
                    r#"{{"account":"{account}","region":"{region}","instance":"{id}","platform":"Linux","tags":{tags},"missing":2,"online":{}}}"#,
                    n % 10 != 9
                ));
            }
        }
        let accounts: Vec<String> = ["111122223333", "444455556666", "123456789012"].map(|id| format!(r#"{{"id":"{id}","ous":["r-root","ou-{id}"]}}"#)).into();
        let text = format!(r#"{{"schema":"tidegate.fleet/1","accounts":[{}],"instances":[{}]}}"#, accounts.join(","), instances.join(","));
        Fleet::parse(text.as_bytes(), "fleet.json").unwrap()
    }

    fn planned(estate: &Estate, policy: &Policy) -> String {
        let asked = Asked { text: RUN.to_owned(), run: run_input::parse(RUN.as_bytes()).unwrap().run, warnings: Vec::new() };
        let at = simulate::start().unwrap();
        let plan = estate.plan(policy, &asked.run, at).unwrap();
        let mut report = report(&plan, &asked, at, None);
        // A file's hosts that the run does not name are not asked for.
        (report.inventory, report.left_out) = (0, 0);
        report.left_out_by_reason.remove("account not in the run");
        serde_json::to_string_pretty(&report).unwrap()
    }

    #[tokio::test]
    async fn a_plan_of_what_was_asked_for_is_the_plan_of_the_file() {
        let (fleet, at) = (fleet(), simulate::start().unwrap());
        let policy =
            tidegate_rules::policy::parse("name = \"p\"\n[blast_radius]\ntag = { key = \"Env\", limit = \"20%\" }\n[belts]\nshare_max = \"100%\"\n", "p.toml")
                .unwrap();
        let run = run_input::parse(RUN.as_bytes()).unwrap().run;
        let world = World::new(Spec::from_fleet(&fleet), at);
        let listed = read(&world, &policy, &run).await.unwrap();
        assert_eq!(listed.gaps.len(), 2, "an account that nobody knows, in two Regions: {:?}", listed.gaps);
        assert_eq!(listed.hosts.len(), 183, "and none of whom the run does not name");
        assert_eq!(planned(&listed, &policy), planned(&Estate::from(fleet), &policy));
    }

    #[tokio::test]
    async fn an_account_that_does_not_let_us_in_is_told() {
        let mut fleet = fleet();
        fleet.accounts[1].state = serde_json::from_str("\"SUSPENDED\"").unwrap();
        assert_eq!(AccountState::from(fleet.accounts[1].state), AccountState::Suspended);
        let policy = tidegate_rules::policy::parse("name = \"p\"\n", "p.toml").unwrap();
        let run = run_input::parse(RUN.as_bytes()).unwrap().run;
        let world = World::new(Spec::from_fleet(&fleet), simulate::start().unwrap());
        let listed = read(&world, &policy, &run).await.unwrap();
        assert_eq!(listed.hosts.len(), 123);
        assert!(listed.gaps.iter().any(|gap| gap.contains("444455556666") && gap.contains("suspended")), "{:?}", listed.gaps);
    }
}
