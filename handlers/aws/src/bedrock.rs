//! A Bedrock agent that puts the note of impact into words. Called without an SDK of its own: one operation, whose answer is an
//! event stream. What it says is other people's text, and decides nothing.

use std::fmt;
use std::time::Duration;

use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_types::event_stream::Message;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use tidegate_rules::impact::{self, Impact};

use crate::clients::Hub;
use crate::random;
use crate::signed::{Place, Signed};

/// The one call, as IAM names it.
const INVOKE: &str = "bedrock:InvokeAgent";
/// What signatures are checked for.
const SERVICE: &str = "bedrock";
/// Waiting for an answer to begin, in seconds; all of it is bounded by whoever asks.
const ANSWER_SECS: u64 = 20;
/// Bytes of words that are read.
const WORDS_MAX: usize = 64 * 1024;

/// An agent and one of its aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentId {
    agent: String,
    alias: String,
}

impl AgentId {
    /// Ids as Bedrock gives them: ten letters and digits each.
    ///
    /// # Errors
    /// When they are not.
    pub fn new(agent: &str, alias: &str) -> Result<Self, String> {
        for (id, what) in [(agent, "agent"), (alias, "alias of an agent")] {
            if id.is_empty() || id.len() > 10 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(format!("`{id}` is no id of a Bedrock {what}: expected up to ten letters and digits"));
            }
        }
        Ok(Self { agent: agent.to_owned(), alias: alias.to_owned() })
    }

    /// `AGENTID/ALIASID`
    ///
    /// # Errors
    /// When it is not of that form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (agent, alias) = text.split_once('/').ok_or_else(|| format!("`{text}` is no agent of Bedrock: expected `AGENTID/ALIASID`"))?;
        Self::new(agent, alias)
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.agent, self.alias)
    }
}

/// Bedrock's agent runtime in the hub's Region.
#[derive(Debug)]
pub struct Bedrock {
    signed: Signed,
}

impl Bedrock {
    /// The runtime in the hub's Region. `endpoint` is where it is called, where that is not AWS's own place. Sends nothing yet.
    ///
    /// # Errors
    /// When the endpoint is not one that credentials may be used at, or no Region is known.
    pub fn new(hub: Hub, endpoint: Option<&str>) -> Result<Self, String> {
        let region = hub.region().map(ToString::to_string).ok_or("the Region of the Bedrock agent is not known: set `AWS_REGION`")?;
        let usual = format!("https://bedrock-agent-runtime.{region}.amazonaws.com");
        let place = Place::parse(endpoint.unwrap_or(&usual), "Bedrock's agent runtime")?;
        Ok(Self { signed: Signed::new(hub, place, SERVICE, region, ANSWER_SECS) })
    }

    /// Adds an agent's words to a note. Where it fails, has nothing to say or takes longer than `patience`, the note stays as it is.
    pub async fn analysed(&self, mut impact: Impact, agent: &AgentId, patience: Duration) -> Impact {
        match tokio::time::timeout(patience, self.invoke(agent, &impact::prompt(&impact))).await {
            Ok(Ok(words)) => impact.analysis = impact::analysis(&words),
            Ok(Err(why)) => tracing::warn!(%agent, %why, "the note of impact goes without an analysis"),
            Err(_) => tracing::warn!(%agent, secs = patience.as_secs(), "the note of impact goes without an analysis: none came in time"),
        }
        impact
    }

    /// Asks once, in a session of its own: nothing is remembered from one note to the next.
    async fn invoke(&self, agent: &AgentId, prompt: &str) -> Result<String, String> {
        let path = format!("/agents/{}/agentAliases/{}/sessions/{}/text", agent.agent, agent.alias, random::name());
        let body = serde_json::json!({ "inputText": prompt, "enableTrace": false, "endSession": true }).to_string();
        let answer = self.signed.ask("POST", &path, body.into_bytes()).await?;
        match answer.status {
            200 => words(&answer.body),
            403 => Err(format!("{INVOKE} is not allowed for this alias (HTTP 403)")),
            // The body of a refusal may repeat what was sent; its kind is enough.
            status => Err(format!("{INVOKE} was answered with HTTP {status}")),
        }
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    bytes: String,
}

/// The words of an event stream.
fn words(stream: &[u8]) -> Result<String, String> {
    let mut decoder = MessageFrameDecoder::new();
    let mut rest = stream;
    let mut words: Vec<u8> = Vec::new();
    while !rest.is_empty() {
        let message = match decoder.decode_frame(&mut rest) {
            Ok(DecodedFrame::Complete(message)) => message,
            Ok(DecodedFrame::Incomplete) => return Err("Bedrock broke off its answer".to_owned()),
            Err(error) => return Err(format!("Bedrock's answer can't be read: {error}")),
        };
        match (header(&message, ":message-type"), header(&message, ":event-type")) {
            (Some("event"), Some("chunk")) => {
                let chunk: Chunk = serde_json::from_slice(message.payload()).map_err(|error| format!("a piece of Bedrock's answer can't be read: {error}"))?;
                let bytes = STANDARD.decode(chunk.bytes).map_err(|error| format!("a piece of Bedrock's answer can't be read: {error}"))?;
                words.extend(bytes.into_iter().take(WORDS_MAX.saturating_sub(words.len())));
            }
            // Traces and files, which nobody asked for.
            (Some("event"), _) => {}
            (_, kind) => {
                let exception = header(&message, ":exception-type").or(kind).unwrap_or_default();
                let name: String = exception.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
                return Err(format!("Bedrock ended its answer with `{name}`"));
            }
        }
    }
    Ok(String::from_utf8_lossy(&words).into_owned())
}

fn header<'a>(message: &'a Message, name: &str) -> Option<&'a str> {
    let header = message.headers().iter().find(|header| header.name().as_str() == name)?;
    header.value().as_string().ok().map(|value| value.as_str())
}

#[cfg(test)]
mod tests {
    use aws_smithy_eventstream::frame::write_message_to;
    use aws_smithy_types::event_stream::{Header, HeaderValue};

    use super::*;

    fn event(kind: &'static str, name: &'static str, payload: String) -> Vec<u8> {
        let key = if kind == "event" { ":event-type" } else { ":exception-type" };
        let message = Message::new(payload.into_bytes())
            .add_header(Header::new(":message-type", HeaderValue::String(kind.into())))
            .add_header(Header::new(key, HeaderValue::String(name.into())));
        let mut bytes = Vec::new();
        write_message_to(&message, &mut bytes).unwrap();
        bytes
    }

    fn chunk(words: &str) -> Vec<u8> {
        event("event", "chunk", serde_json::json!({ "bytes": STANDARD.encode(words) }).to_string())
    }

    #[test]
    fn pieces_are_put_together() {
        let stream = [chunk("Look at "), event("event", "trace", "{}".into()), chunk("the canary.")].concat();
        assert_eq!(words(&stream).unwrap(), "Look at the canary.");
        assert_eq!(words(b"").unwrap(), "");
    }

    #[test]
    fn what_is_broken_is_no_answer() {
        let whole = chunk("Look at the canary.");
        assert!(words(&whole[..whole.len() - 1]).is_err(), "cut off");
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert!(words(&changed).is_err(), "its checksum does not fit");
        let stream = [whole, event("exception", "throttlingException", "{}".into())].concat();
        assert_eq!(words(&stream).unwrap_err(), "Bedrock ended its answer with `throttlingException`");
        assert!(words(&event("event", "chunk", "{\"bytes\":\"?\"}".into())).is_err());
    }

    #[test]
    fn words_without_end_are_cut() {
        let stream: Vec<u8> = (0..5).flat_map(|_| chunk(&"x".repeat(20_000))).collect();
        assert_eq!(words(&stream).unwrap().len(), WORDS_MAX);
    }

    #[test]
    fn an_agent_is_named_by_two_ids() {
        assert!(AgentId::parse("ABCDEFGHIJ/TSTALIASID").is_ok());
        for wrong in ["ABCDEFGHIJ", "A/../B", "/", "ABCDEFGHIJK/B", "A B/C"] {
            assert!(AgentId::parse(wrong).is_err(), "{wrong}");
        }
    }
}
