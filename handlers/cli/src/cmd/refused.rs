//! `tidegate refused`: records that were refused on AWS, each with its reason, and how they come back after what was wrong is mended.

use serde::Serialize;

use crate::args::RefusedArgs;
use crate::failure::Failure;

/// Characters of a body that are shown.
#[cfg(feature = "aws")]
const BODY_CHARS: usize = 200;

/// What `refused list --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct RefusedList {
    /// `tidegate.refused/1`
    pub schema: String,
    /// The queue.
    pub queue: String,
    /// What is in it, by id.
    pub refused: Vec<RefusedRecord>,
}

/// A record in it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct RefusedRecord {
    /// Its id in this queue.
    pub id: String,
    /// Why it was refused; `null` where its reader never finished it, and SQS moved it here.
    pub reason: Option<String>,
    /// The id that it had where it was refused.
    pub message_id: Option<String>,
    /// Which piece of the body is at fault, from 0.
    pub index: Option<u64>,
    /// The first 200 characters of the body.
    pub body: String,
    /// Characters of the whole body.
    pub body_chars: u64,
}

/// What `refused replay --json` prints.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Replay {
    /// `tidegate.replay/1`
    pub schema: String,
    /// From this queue.
    pub queue: String,
    /// To this one.
    pub to: String,
    /// Whether only what would be done is said.
    pub dry_run: bool,
    /// Sent there and deleted here.
    pub replayed: u64,
    /// Deleted here only: other pieces of a record that was sent.
    pub merged: u64,
    /// Left here.
    pub left: u64,
    /// Why it ended before its end.
    pub error: Option<String>,
}

/// Lists or replays.
///
/// # Errors
/// When the queue can't be read or written.
#[cfg(not(feature = "aws"))]
pub async fn run(_args: &RefusedArgs) -> Result<u8, Failure> {
    Err(Failure::without_aws("tidegate refused"))
}

/// Lists or replays.
///
/// # Errors
/// When the queue can't be read or written.
#[cfg(feature = "aws")]
pub async fn run(args: &RefusedArgs) -> Result<u8, Failure> {
    use crate::args::RefusedCommand;
    match &args.what {
        RefusedCommand::List { queue, json } => aws::list(queue, *json).await,
        RefusedCommand::Replay { queue, to, reason_contains, yes, json } => {
            if queue == to {
                return Err(Failure::Usage("`--queue` and `--to` are the same queue: expected the one that the records came from".into()));
            }
            aws::replay(queue, to, reason_contains, *yes, *json).await
        }
    }
}

#[cfg(feature = "aws")]
mod aws {
    use tidegate_aws::clients::Hub;
    use tidegate_aws::refused::{self, Letter};

    use super::{BODY_CHARS, RefusedList, RefusedRecord, Replay};
    use crate::failure::Failure;
    use crate::line;
    use crate::screen;

    fn url(name: &str, url: &str) -> Result<(), Failure> {
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        if is_url { Ok(()) } else { Err(Failure::Usage(format!("`{name} {url}` is no URL: expected `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`"))) }
    }

    async fn read(queue: &str) -> Result<(Hub, Vec<Letter>), Failure> {
        let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
        let letters = refused::list(&hub, queue, &mut |warning| screen::warn(&warning)).await;
        letters.map(|letters| (hub, letters)).map_err(|error| Failure::Usage(format!("`{queue}` can't be read: {error}")))
    }

    fn show(letter: &Letter) -> RefusedRecord {
        RefusedRecord {
            id: letter.id.clone(),
            reason: letter.reason.clone(),
            message_id: letter.message_id.clone(),
            index: letter.index.as_ref().and_then(|index| index.parse().ok()),
            body: letter.body.chars().take(BODY_CHARS).collect(),
            body_chars: u64::try_from(letter.body.chars().count()).unwrap_or(u64::MAX),
        }
    }

    pub(super) async fn list(queue: &str, json: bool) -> Result<u8, Failure> {
        url("--queue", queue)?;
        let (_, letters) = read(queue).await?;
        let list = RefusedList { schema: "tidegate.refused/1".into(), queue: queue.into(), refused: letters.iter().map(show).collect() };
        // Whatever lies here waits for a person.
        let code = u8::from(!list.refused.is_empty());
        if json {
            screen::print_json(&list)?;
            return Ok(code);
        }
        let mut text = String::new();
        for record in &list.refused {
            line!(text, "{}  {}", record.message_id.as_ref().unwrap_or(&record.id), clean(record.reason.as_deref().unwrap_or("not finished by its reader")));
            line!(text, "    {}{}", clean(&record.body), if record.body_chars > record.body.chars().count() as u64 { " ..." } else { "" });
        }
        line!(text, "{} record(s)", list.refused.len());
        screen::print(&text)?;
        Ok(code)
    }

    pub(super) async fn replay(queue: &str, to: &str, reason_contains: &str, yes: bool, json: bool) -> Result<u8, Failure> {
        url("--queue", queue)?;
        url("--to", to)?;
        let mut told =
            Replay { schema: "tidegate.replay/1".into(), queue: queue.into(), to: to.into(), dry_run: !yes, replayed: 0, merged: 0, left: 0, error: None };
        let done = if yes {
            let hub = Hub::load(None, tidegate_aws::trust::Trust::System).await;
            refused::replay(&hub, queue, to, reason_contains, &mut |warning| screen::warn(&warning)).await
        } else {
            let (_, letters) = read(queue).await?;
            Ok(refused::plan(&letters, reason_contains))
        };
        let done = done.unwrap_or_else(|(done, error)| {
            told.error = Some(error);
            done
        });
        (told.replayed, told.merged, told.left) = (done.replayed, done.merged, done.left);
        let counts = format!("{} sent again, {} merged into them, {} left", told.replayed, told.merged, told.left);
        if json {
            screen::print_json(&told)?;
        } else if told.dry_run {
            screen::print(&format!("would be: {counts}; `--yes` does it\n"))?;
        } else {
            screen::print(&format!("{counts}\n"))?;
        }
        match told.error {
            Some(error) => Err(Failure::Usage(format!("the replay broke off, and can be repeated: {error}"))),
            None => Ok(0),
        }
    }

    /// What anybody could have put into a queue does not drive the terminal.
    fn clean(text: &str) -> String {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
    }
}
