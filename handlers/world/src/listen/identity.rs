//! Whose access key a call is signed with: a key of twelve digits is that account (a convention of emulators), any other is asked of an
//! STS endpoint, once.

use std::collections::HashMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tidegate_events::id::AccountId;

use super::answer::Refusal;

/// How long STS may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer of STS that is read, in bytes.
const ANSWER_MAX: u64 = 64 * 1024;

/// The accounts of access keys.
#[derive(Debug)]
pub(super) struct Identities {
    /// `host:port` of an STS endpoint.
    endpoint: Option<String>,
    hub: AccountId,
    known: Mutex<HashMap<String, AccountId>>,
}

impl Identities {
    /// `url` is `http://host:port`.
    pub fn new(url: Option<&str>, hub: AccountId) -> io::Result<Self> {
        let endpoint = url.map(|url| {
            let host = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
            host.filter(|host| host.contains(':') && !host.contains(['/', '@', '?', ' ']) && host.is_ascii())
                .map(str::to_owned)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("`{url}` is no STS endpoint: expected `http://host:port`")))
        });
        Ok(Self { endpoint: endpoint.transpose()?, hub, known: Mutex::default() })
    }

    /// The account of a key.
    pub async fn account(self: &Arc<Self>, key: &str) -> Result<AccountId, Refusal> {
        if let Ok(account) = key.parse() {
            return Ok(account);
        }
        let Some(endpoint) = &self.endpoint else { return Ok(self.hub) };
        if let Some(account) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(*account);
        }
        let (endpoint, hub, asked) = (endpoint.clone(), self.hub, key.to_owned());
        let answer = tokio::task::spawn_blocking(move || ask(&endpoint, hub, &asked)).await.unwrap_or_else(|error| Err(io::Error::other(error)));
        match answer {
            Ok(Some(account)) => {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned(), account);
                Ok(account)
            }
            Ok(None) => Err(Refusal::new("UnrecognizedClientException", "The security token included in the request is invalid.")),
            Err(error) => {
                tracing::warn!(%error, "STS can't be asked whose an access key is");
                Err(Refusal::server("InternalFailure", "The identity of the caller can't be established."))
            }
        }
    }
}

/// `sts:GetAccessKeyInfo`; `None` for a key that nobody has. The question names the hub's account as its key, which an emulator
/// takes for that account's root user, and is not signed further.
fn ask(endpoint: &str, hub: AccountId, key: &str) -> io::Result<Option<AccountId>> {
    let address = endpoint.to_socket_addrs()?.next().ok_or_else(|| io::Error::other(format!("`{endpoint}` has no address")))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let body = format!("Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId={key}");
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{hub}/{}/us-east-1/sts/aws4_request", stamp.get(..8).unwrap_or_default());
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {endpoint}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nX-Amz-Date: {stamp}\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={}\r\nContent-Length: {}\r\n\r\n",
        "0".repeat(64),
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    read(&String::from_utf8_lossy(&answer))
}

/// The account that an answer names.
fn read(answer: &str) -> io::Result<Option<AccountId>> {
    let between = |from: &str, to: &str| answer.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|(found, _)| found.trim());
    let status = between("HTTP/1.1 ", " ").unwrap_or_default();
    match (status, between("<Account>", "</Account>").and_then(|account| account.parse().ok())) {
        ("200", Some(account)) => Ok(Some(account)),
        ("400" | "403", _) if answer.contains("ValidationError") || answer.contains("InvalidClientTokenId") => Ok(None),
        _ => Err(io::Error::other(format!("sts:GetAccessKeyInfo was answered with status `{status}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_an_account_or_nobody_or_is_none() {
        let good = "HTTP/1.1 200 OK\r\n\r\n<GetAccessKeyInfoResponse><GetAccessKeyInfoResult><Account>111122223333</Account></GetAccessKeyInfoResult>";
        assert_eq!(read(good).unwrap(), "111122223333".parse().ok());
        assert_eq!(read("HTTP/1.1 400 Bad Request\r\n\r\n<Code>ValidationError</Code>").unwrap(), None);
        assert!(read("HTTP/1.1 500 Oops\r\n\r\n").is_err() && read("").is_err());
        assert!(read("HTTP/1.1 403 Forbidden\r\n\r\n<Code>AccessDenied</Code>").is_err(), "our fault, not the caller's");
    }

    #[test]
    fn only_a_plain_address_is_an_endpoint() {
        let hub: AccountId = "111122223333".parse().unwrap();
        assert!(Identities::new(Some("http://127.0.0.1:4566/"), hub).is_ok() && Identities::new(None, hub).is_ok());
        for wrong in ["127.0.0.1:4566", "https://sts.amazonaws.com", "http://host", "http://a:1/b", "http://a:1\r\nX: y"] {
            assert!(Identities::new(Some(wrong), hub).is_err(), "{wrong}");
        }
    }
}
