//! A process dies, or its store does not answer, at every moment of a small story; the next process takes up what it left.
//! Real processes are killed in `kill.rs`.

use tidegate_tests::crashing::{Fuse, How, Moment};
use tidegate_tests::story::{Life, Story};

const HOSTS: u64 = 12;

fn run<T>(story: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(story)
}

/// A story that nothing interrupts: the moments at which others are.
async fn undisturbed() -> Vec<Moment> {
    let mut story = Story::of_hosts(HOSTS).expect("a story");
    let fuse = Fuse::never();
    assert_eq!(story.live(&fuse).await.expect("it comes to rest"), Life::Done);
    assert_eq!(story.complaints().await.expect("the store is read"), Vec::<String>::new());
    fuse.moments()
}

#[test]
fn nothing_is_wrong_with_a_story_that_nobody_interrupts() {
    let start = std::time::Instant::now();
    let moments = run(undisturbed());
    let sends = moments.iter().filter(|moment| moment.call == "send").count();
    eprintln!("{} moments {sends} {:?}", moments.len(), start.elapsed());
    assert!(moments.len() > 200 && sends >= 2 * 2 * 2, "{} moments, {sends} of them before or after a send", moments.len());
    for call in ["commit", "performed", "send", "inventory", "describe", "invocations", "patch_states", "notify"] {
        assert!(moments.iter().any(|moment| moment.call == call), "the story calls `{call}`");
    }
}
