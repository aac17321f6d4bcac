//! The console as its callers reach it who have an AWS identity: requests signed with Signature Version 4, as an HTTP API or a
//! function URL with `AWS_IAM` wants them.

use crate::clients::Hub;
use crate::signed::{Place, Signed};

pub use crate::signed::Answer;

/// A whole answer, in seconds: the first one after a while starts the function.
const ANSWER_SECS: u64 = 30;

/// A console, by its URL.
#[derive(Debug)]
pub struct Console {
    signed: Signed,
}

impl Console {
    /// The console at this URL, with the credentials of this hub. Sends nothing yet.
    ///
    /// # Errors
    /// When the URL is not one that credentials may be used at, or no Region is known.
    pub fn new(hub: Hub, url: &str) -> Result<Self, String> {
        let place = Place::parse(url, "a console, which `TIDEGATE_CONSOLE_URL` has")?;
        let named = hub.region().map(ToString::to_string);
        let (service, in_host) = place_of(&place.host);
        let region = in_host.or(named).ok_or_else(|| format!("the Region of `{}` is not known: set `AWS_REGION`", place.url))?;
        Ok(Self { signed: Signed::new(hub, place, service, region, ANSWER_SECS) })
    }

    /// `GET` of this path with these fields.
    ///
    /// # Errors
    /// When there are no credentials, or no answer.
    pub async fn get(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer, String> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        // In a query signed with SigV4 a space is `%20`.
        self.signed.ask("GET", &format!("{path}?{}", query.replace('+', "%20")), Vec::new()).await
    }

    /// `POST` of this JSON to this path. It is sent once.
    ///
    /// # Errors
    /// When there are no credentials, or no answer: whether it was taken is not known then.
    pub async fn post(&self, path: &str, json: Vec<u8>) -> Result<Answer, String> {
        self.signed.ask("POST", path, json).await
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
        assert_eq!(console("https://abc123.lambda-url.eu-central-1.on.aws/", Some("us-east-1")).unwrap().signed.region(), "eu-central-1");
        assert_eq!(console("http://127.0.0.1:8080", Some("us-east-1")).unwrap().signed.region(), "us-east-1");
    }

    #[test]
    fn signatures_are_for_whoever_checks_them() {
        let signed_for = |url: &str| console(url, None).map(|console| (console.signed.service(), console.signed.region().to_owned())).unwrap();
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
