//! An HTTP server on loopback whose answers are scripted, and the hub's side of an organization.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tidegate_aws::clients::{Hub, endpoint_config};
use tidegate_aws::cloud::{AwsCloud, CloudSettings};
use tidegate_aws::secret::Secret;

/// One request as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub operation: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
    /// Whether a form has this field, as the query protocol encodes it.
    pub fn has(&self, field: &str) -> bool {
        self.body.split('&').any(|part| part == field)
    }
    /// Who signed it.
    pub fn key(&self) -> &str {
        self.headers["authorization"].split_once("Credential=").unwrap().1.split('/').next().unwrap()
    }
}

pub enum Reply {
    Json(u16, Value),
    Text(u16, &'static str, String),
    Bytes(u16, &'static str, Vec<u8>),
    Reset,
    Hang,
}

pub fn fault(status: u16, code: &str, message: &str) -> Reply {
    Reply::Json(status, json!({ "__type": code, "message": message }))
}

/// An HTTP server whose answers are scripted.
pub struct Server {
    at: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    closed: Arc<AtomicBool>,
}

impl Server {
    pub fn start(script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { at: listener.local_addr().unwrap(), asked: Arc::default(), closed: Arc::default() };
        let (asked, closed, script) = (Arc::clone(&server.asked), Arc::clone(&server.closed), Arc::new(Mutex::new(script)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if closed.load(Ordering::SeqCst) {
                    return;
                }
                let (asked, script) = (Arc::clone(&asked), Arc::clone(&script));
                std::thread::spawn(move || serve(stream.unwrap(), &asked, &mut |request| (script.lock().unwrap())(request)));
            }
        });
        server
    }

    /// No connection is taken from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.at));
        while TcpStream::connect(self.at).is_ok() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Everything that was asked, in order.
    pub fn all(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn of(&self, operation: &str) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| asked.operation == operation).cloned().collect()
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.at)
    }

    /// The hub's clients, all of which ask here.
    pub fn hub(&self) -> Hub {
        Hub::new(endpoint_config(&self.url(), &"eu-west-1".parse().unwrap(), "AKIAIOSFODNN7EXAMPLE", &Secret::new("wJalrXUtnFEMI")), None)
    }

    pub fn cloud(&self, settings: CloudSettings) -> AwsCloud {
        AwsCloud::new(endpoint_config(&self.url(), &"eu-west-1".parse().unwrap(), "AKIAIOSFODNN7EXAMPLE", &Secret::new("wJalrXUtnFEMI")), settings)
    }
}

/// One request per connection: what is closed afterwards can't be reused by what follows.
fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>, script: &mut dyn FnMut(&Asked) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let target = headers.get("x-amz-target").and_then(|target| target.rsplit('.').next()).map(str::to_owned);
    let operation = target.or_else(|| body.strip_prefix("Action=").and_then(|rest| rest.split('&').next()).map(str::to_owned));
    let request = Asked { operation: operation.unwrap_or_else(|| line.split(' ').nth(1).unwrap().to_owned()), headers, body };
    asked.lock().unwrap().push(request.clone());
    let (status, kind, body) = match script(&request) {
        Reply::Json(status, value) => (status, "application/x-amz-json-1.1", value.to_string().into_bytes()),
        Reply::Text(status, kind, text) => (status, kind, text.into_bytes()),
        Reply::Bytes(status, kind, bytes) => (status, kind, bytes),
        Reply::Reset => return,
        Reply::Hang => return std::thread::sleep(Duration::from_secs(15)),
    };
    // A server whose clock is wrong by years must not change what is signed.
    let mut stream = stream;
    let _ = write!(
        stream,
        "HTTP/1.1 {status} X\r\nDate: Tue, 01 Jan 2030 00:00:00 GMT\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all(&body);
}

/// STS and an organization of three accounts: active, suspended, and one that is still being opened.
pub fn hub(asked: &Asked) -> Option<Reply> {
    let account = |id: &str, state: &str| json!({ "Id": id, "Name": id, "State": state });
    Some(match asked.operation.as_str() {
        "ListRoots" => Reply::Json(200, json!({ "Roots": [{ "Id": "r-ab12", "Name": "Root" }] })),
        "ListOrganizationalUnitsForParent" if asked.json()["ParentId"] == "r-ab12" => {
            Reply::Json(200, json!({ "OrganizationalUnits": [{ "Id": "ou-ab12-11111111", "Name": "prod" }] }))
        }
        "ListOrganizationalUnitsForParent" => Reply::Json(200, json!({ "OrganizationalUnits": [] })),
        "ListAccountsForParent" if asked.json()["ParentId"] == "r-ab12" => Reply::Json(200, json!({ "Accounts": [account("444455556666", "SUSPENDED")] })),
        // The first page is empty and has a next one.
        "ListAccountsForParent" if asked.json()["NextToken"].is_null() => Reply::Json(200, json!({ "Accounts": [], "NextToken": "2" })),
        "ListAccountsForParent" => {
            let old = json!({ "Id": "777788889999", "Name": "old endpoint", "Status": "ACTIVE" });
            Reply::Json(200, json!({ "Accounts": [account("111122223333", "ACTIVE"), account("123456789012", "PENDING_ACTIVATION"), old] }))
        }
        "AssumeRole" => {
            let ends = Timestamp::now() + SignedDuration::from_hours(1);
            let credentials = format!(
                "<AccessKeyId>ASIAIOSFODNN7EXAMPLE</AccessKeyId><SecretAccessKey>x</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{ends:.0}</Expiration>"
            );
            let body = format!("<AssumeRoleResponse><AssumeRoleResult><Credentials>{credentials}</Credentials></AssumeRoleResult></AssumeRoleResponse>");
            Reply::Text(200, "text/xml", body)
        }
        _ => return None,
    })
}

/// The hub, and this for everything else.
pub fn spoke_says(mut script: impl FnMut(&Asked) -> Reply + Send + 'static) -> Server {
    Server::start(move |asked| hub(asked).unwrap_or_else(|| script(asked)))
}
