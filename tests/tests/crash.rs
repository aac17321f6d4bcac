//! A process dies, or a call of it fails, at every moment of a small story; the next process takes up what it left. Real
//! processes are killed in `kill.rs`.

#![cfg(test)]

use tidegate_tests::crashing::{Fuse, How, Moment};
use tidegate_tests::story::{Life, Story};

/// What is told.
#[derive(Clone, Copy)]
struct Tale {
    hosts: u64,
    backups: bool,
}

impl Tale {
    fn begin(self) -> Story {
        let story = if self.backups { Story::with_backups(self.hosts) } else { Story::of_hosts(self.hosts) };
        story.expect("a story")
    }
}

/// Three waves, in two accounts.
const LONG: Tale = Tale { hosts: 12, backups: false };
/// Two waves are enough where twice as many moments count.
const SHORT: Tale = Tale { hosts: 6, backups: false };
/// Two waves whose hosts are backed up first.
const CAREFUL: Tale = Tale { hosts: 6, backups: true };
/// How long nobody starts the next process, in seconds: at once, as a service manager does, longer than a signature or a
/// search waits, after the next day's clearance, and when approvals have expired.
const PAUSES_SECS: [i64; 5] = [0, 7, 20 * 60, 26 * 3600, 8 * 86_400];
/// Calls that change something outside the process. Being killed around any other is being killed between two of these.
const LASTING: [&str; 6] = ["commit", "performed", "send", "cancel", "start_evaluation", "notify"];

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}

/// A story that nothing interrupts: the moments at which others are.
async fn moments_of(tale: Tale) -> Vec<Moment> {
    let mut story = tale.begin();
    let fuse = Fuse::never();
    assert_eq!(story.live(&fuse).await.expect("it comes to rest"), Life::Done);
    assert_eq!(story.complaints().await.expect("the store is read"), Vec::<String>::new());
    fuse.moments()
}

/// One life that ends at this moment, and one that ends by itself; what is wrong then.
async fn two_lives(tale: Tale, moment: usize, how: How) -> (Story, Vec<String>) {
    let mut story = tale.begin();
    let fuse = Fuse::at(moment, how);
    let mut lived = story.live(&fuse).await;
    assert!(fuse.has_struck(), "moment {moment} comes");
    if how == How::Killed {
        assert!(matches!(lived, Ok(Life::Killed)), "moment {moment}: {lived:?}");
        story.pause(PAUSES_SECS[moment / 2 % PAUSES_SECS.len()]).expect("time goes on");
        lived = story.live(&Fuse::never()).await;
    }
    let complaints = match lived {
        Ok(_) => story.complaints().await.expect("the store is read"),
        Err(error) => vec![error.to_string()],
    };
    (story, complaints)
}

/// What was wrong in the end, by the moment that spoiled it.
fn wrong_after(tale: Tale, how: How, counts: impl Fn(&Moment) -> bool) -> Vec<String> {
    run(async {
        let mut wrong = Vec::new();
        for (number, moment) in moments_of(tale).await.iter().enumerate().filter(|(_, moment)| counts(moment)) {
            let (story, complaints) = two_lives(tale, number, how).await;
            if complaints.is_empty() {
                continue;
            }
            if wrong.is_empty() {
                eprintln!("{}", story.journal().await.expect("the journal"));
            }
            wrong.push(format!("{how:?} at moment {number}, {moment:?}: {complaints:#?}"));
        }
        wrong
    })
}

#[test]
fn a_story_that_nobody_interrupts_uses_every_call() {
    let moments = run(moments_of(LONG));
    let called = |call: &str| moments.iter().filter(|moment| moment.call == call && moment.done).count();
    for call in ["commit", "performed", "send", "inventory", "describe", "invocations", "patch_states", "rules_with_findings", "notify"] {
        assert!(called(call) > 0, "the story calls `{call}`");
    }
    // Two sends for each batch, Install and Scan, and three waves.
    assert!(called("send") >= 6 && called("commit") > 100, "{} sends, {} commits", called("send"), called("commit"));
}

#[test]
fn a_process_that_is_killed_at_any_moment_is_taken_up_where_it_was() {
    let wrong = wrong_after(LONG, How::Killed, |moment| moment.done && LASTING.contains(&moment.call));
    assert!(wrong.is_empty(), "{} moments:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_call_that_fails_once_is_made_good() {
    // A read that fails after it has read is a read that failed.
    let wrong = wrong_after(SHORT, How::Failed, |moment| !moment.done || LASTING.contains(&moment.call));
    assert!(wrong.is_empty(), "{} moments:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_command_whose_sender_was_killed_before_it_heard_of_it_is_found_and_adopted() {
    run(async {
        let moments = moments_of(SHORT).await;
        let accepted: Vec<usize> = (0..moments.len()).filter(|number| moments[*number] == Moment { call: "send", done: true }).collect();
        assert!(accepted.len() >= 4, "{} sends", accepted.len());
        for moment in accepted {
            let (story, complaints) = two_lives(SHORT, moment, How::Killed).await;
            assert!(complaints.is_empty(), "moment {moment}: {complaints:#?}");
            let journal = story.journal().await.expect("the journal");
            assert_eq!(journal.matches(r#""adopted":true"#).count(), 1, "moment {moment}: found by a search, not sent again");
            assert_eq!(story.world.sends().len() * 2, moments.iter().filter(|moment| moment.call == "send").count(), "as many commands as without a crash");
        }
    });
}

#[test]
fn a_process_that_is_killed_around_a_backup_begins_none_twice() {
    let wrong = wrong_after(CAREFUL, How::Killed, |moment| moment.done && LASTING.contains(&moment.call));
    assert!(wrong.is_empty(), "{} moments:\n{}", wrong.len(), wrong.join("\n"));
    run(async {
        let sends = moments_of(CAREFUL).await.into_iter().enumerate().filter(|(_, moment)| *moment == Moment { call: "send", done: true });
        for (moment, _) in sends {
            let (story, _) = two_lives(CAREFUL, moment, How::Killed).await;
            let starts = story.world.starts();
            let mut hosts: Vec<_> = starts.iter().flat_map(|start| &start.instances).collect();
            hosts.sort();
            let all = hosts.len();
            hosts.dedup();
            // A backup that is older than a day, as after the longest pauses, is taken again.
            let pause = PAUSES_SECS[moment / 2 % PAUSES_SECS.len()];
            assert!(hosts.len() == 6 && (all == 6 || pause > 86_400), "moment {moment}: {all} backups of {} hosts", hosts.len());
        }
    });
}

#[test]
fn a_second_install_would_be_seen() {
    run(async {
        let moments = moments_of(SHORT).await;
        let first = moments.iter().position(|moment| *moment == Moment { call: "send", done: true }).expect("a send");
        let mut story = SHORT.begin();
        assert_eq!(story.live(&Fuse::at(first, How::Killed)).await.expect("it is killed"), Life::Killed);
        story.live(&Fuse::never().blind()).await.expect("it comes to rest");
        let complaints = story.complaints().await.expect("the store is read");
        assert!(complaints.iter().any(|complaint| complaint.contains("doubled: 1")), "{complaints:#?}");
    });
}

#[test]
fn a_process_that_is_killed_again_and_again_gets_there() {
    run(async {
        for seed in 0..12_u64 {
            let mut story = LONG.begin();
            let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
            let mut lives = 0;
            loop {
                // xorshift: which moment of this life is its last, and how long until the next.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let last = usize::try_from(random % 60).expect("small");
                let pause = PAUSES_SECS[usize::try_from(random >> 32).expect("64 bits") % 3];
                if story.live(&Fuse::at(last, How::Killed)).await.unwrap_or_else(|error| panic!("seed {seed}, life {lives}: {error}")) == Life::Done {
                    break;
                }
                story.pause(pause).expect("time goes on");
                lives += 1;
                assert!(lives < 2000, "seed {seed}: no end after {lives} lives");
            }
            assert!(lives > 5, "seed {seed}: {lives} lives");
            let complaints = story.complaints().await.expect("the store is read");
            assert!(complaints.is_empty(), "seed {seed}, {lives} lives: {complaints:#?}");
        }
    });
}
