//! The console as its callers reach it who have an AWS identity: requests signed with Signature Version 4, as an HTTP API or a
//! function URL with `AWS_IAM` wants them.

use aws_smithy_http_client::Connector;

use crate::clients::Hub;
use crate::signed::{self, Ask};
use crate::trust::Trust;

/// A whole answer, in seconds: the first one after a while starts the function.
const ANSWER_SECS: u64 = 30;

/// What the console answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// A console, by its URL.
#[derive(Debug)]
pub struct Console {
    hub: Hub,
    url: String,
    host: String,
    service: &'static str,
    region: String,
    connector: Connector,
}

impl Console {
    /// The console at this URL, with the credentials of this hub. Sends nothing yet.
    ///
    /// # Errors
    /// When the URL is not one that credentials may be used at, or no Region is known.
    pub fn new(hub: Hub, url: &str) -> Result<Self, String> {
        let url = url.trim().trim_end_matches('/');
        let (secure, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(format!("`{url}` is no URL of a console: expected `https://...`, as `TIDEGATE_CONSOLE_URL` has it")),
        };
        if rest.is_empty() || rest.contains(['/', '?', '#', '@']) || rest.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(format!("`{url}` is no URL of a console: expected a host and nothing behind it"));
        }
        // A session's token goes with the request.
        if !secure && !is_loopback(rest) {
            return Err(format!("`{url}` is not encrypted: only `https://` keeps what the request is signed with to yourself"));
        }
        let named = hub.region().map(ToString::to_string);
        let (service, in_host) = place_of(rest);
        let region = in_host.or(named).ok_or_else(|| format!("the Region of `{url}` is not known: set `AWS_REGION`"))?;
        Ok(Self { hub, url: url.to_owned(), host: rest.to_owned(), service, region, connector: signed::connector(Trust::System, ANSWER_SECS) })
    }

    /// `GET` of this path with these fields.
    ///
    /// # Errors
    /// When there are no credentials, or no answer.
    pub async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        // In a query signed with SigV4 a space is `%20`.
        self.ask("GET", &format!("{path}?{}", query.replace('+', "%20")), Vec::new()).await
    }

    /// `POST` of this JSON to this path. It is sent once.
    ///
    /// # Errors
    /// When there are no credentials, or no answer: whether it was taken is not known then.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Answer, String> {
        self.ask("POST", path, json).await
    }

    async fn ask(&self, method: &str, path: &str, body: Vec<u8>) -> Result<Answer, String> {
        let mut headers = vec![("host".to_owned(), self.host.clone())];
        if !body.is_empty() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let ask = Ask { service: self.service, region: &self.region, method, uri: format!("{}{path}", self.url), headers, body };
        let (status, body) = signed::send(&self.hub, &self.connector, ask).await.map_err(|why| format!("`{}`: {why}", self.url))?;
        Ok(Answer { status, body })
    }
}

/// The service that signatures are checked for, and the Region, where the host's name has it. What is neither a function URL nor an
/// HTTP API is asked as a function URL is.
fn place_of(host: &str) -> (&'static str, Option<String>) {
    let between = |before: &str, after: &str| Some(host.split_once(before)?.1.split_once(after)?.0.to_owned());
    match between(".execute-api.", ".amazonaws.com") {
        Some(region) => ("execute-api", Some(region)),
        None => ("lambda", between(".lambda-url.", ".on.aws")),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn console(url: &str, region: Option<&str>) -> Result<Console, String> {
        let region = region.map(|region| region.parse().unwrap()).unwrap_or_else(|| "us-east-1".parse().unwrap());
        let config = crate::clients::endpoint_config("http://127.0.0.1:9", &region, "AKIDEXAMPLE", &Secret::new("secret"));
        Console::new(Hub::new(config, None), url)
    }

    #[test]
    fn the_region_is_the_urls_own() {
        assert_eq!(console("https://abc123.lambda-url.eu-central-1.on.aws/", Some("us-east-1")).unwrap().region, "eu-central-1");
        assert_eq!(console("http://127.0.0.1:8080", Some("us-east-1")).unwrap().region, "us-east-1");
    }

    #[test]
    fn signatures_are_for_whoever_checks_them() {
        let signed_for = |url: &str| console(url, None).map(|console| (console.service, console.region)).unwrap();
        assert_eq!(signed_for("https://abc123.lambda-url.eu-central-1.on.aws"), ("lambda", "eu-central-1".to_owned()));
        assert_eq!(signed_for("https://abc123.execute-api.eu-central-1.amazonaws.com"), ("execute-api", "eu-central-1".to_owned()));
        assert_eq!(signed_for("https://abc123.execute-api.cn-north-1.amazonaws.com.cn"), ("execute-api", "cn-north-1".to_owned()));
        assert_eq!(signed_for("http://127.0.0.1:8080"), ("lambda", "us-east-1".to_owned()));
    }

    #[test]
    fn credentials_go_nowhere_in_the_clear() {
        for wrong in
            ["console", "http://example.com", "http://127.0.0.1.example.com", "https://", "https://user@host", "https://host/path", "ftp://host", "http://[::1"]
        {
            assert!(console(wrong, None).is_err(), "{wrong}");
        }
        for right in ["http://[::1]:80", "http://localhost:1", "https://abc.lambda-url.us-east-1.on.aws"] {
            assert!(console(right, None).is_ok(), "{right}: {:?}", console(right, None));
        }
    }
}
