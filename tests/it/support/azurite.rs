//! Azurite, Microsoft's storage emulator, over HTTPS with bearer tokens, behind
//! a server of the tests that can fail.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Response, StatusCode, Uri},
};
use tokio::net::TcpListener;

use super::{host::free_port, tls::Authority, tools};

const ACCOUNT: &str = "contoso";

/// The fate of a request that changes something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It goes through.
    Pass,
    /// It does not arrive, and this is the response.
    Refused(u16),
    /// The writer is killed before it arrives.
    KilledBefore,
    /// It is made, then the writer is killed.
    KilledAfter,
    /// It is made, but the response is this.
    Lost(u16),
}

type Judge = Box<dyn FnMut(usize, &str) -> Fate + Send>;

struct Front {
    judge: Mutex<Judge>,
    writes: Mutex<Vec<String>>,
    writer: Mutex<Option<u32>>,
    refused_reads: Mutex<(usize, u16)>,
    behind: String,
    client: reqwest::Client,
}

/// A running emulator; it ends when dropped.
pub struct Azurite {
    child: Child,
    front: Arc<Front>,
    /// Endpoint of the account, as a client must name it.
    pub endpoint: String,
    /// The file that makes its certificates trusted.
    pub trusted: PathBuf,
    _authority: Authority,
    _folder: tempfile::TempDir,
}

impl Azurite {
    pub async fn start() -> Self {
        let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
        let issued = authority.issue(&["127.0.0.1"], false);
        let port = free_port();
        let program =
            tools::node_folder("azurite").join("node_modules/azurite/dist/src/blob/main.js");
        let child = Command::new("node")
            .arg(program)
            .args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()])
            .args([
                "--oauth",
                "basic",
                "--disableTelemetry",
                "--silent",
                "--inMemoryPersistence",
            ])
            .arg("--cert")
            .arg(&issued.certificate)
            .arg("--key")
            .arg(&issued.key)
            .current_dir(folder.path())
            .env("AZURITE_ACCOUNTS", format!("{ACCOUNT}:Y29udG9zbw=="))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let pem = std::fs::read(&authority.trusted).expect("written");
        let certificate = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([certificate])
            .build()
            .expect("a client");
        let front = Arc::new(Front {
            judge: Mutex::new(Box::new(|_, _| Fate::Pass)),
            writes: Mutex::default(),
            writer: Mutex::default(),
            refused_reads: Mutex::default(),
            behind: format!("https://127.0.0.1:{port}"),
            client,
        });
        let listening = serve(Arc::clone(&front)).await;
        let outside = authority
            .serve(&["127.0.0.1", "localhost"], listening)
            .await;
        let azurite = Self {
            child,
            front,
            endpoint: format!("https://127.0.0.1:{outside}/{ACCOUNT}"),
            trusted: authority.trusted.clone(),
            _authority: authority,
            _folder: folder,
        };
        azurite.wait().await;
        azurite
    }

    async fn wait(&self) {
        for _ in 0..1_000 {
            if self
                .front
                .client
                .get(&self.front.behind)
                .send()
                .await
                .is_ok()
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("Azurite does not answer");
    }

    /// Makes a container; returns its URL for `REPORTS_URL`.
    pub async fn container(&self, name: &str, token: &str) -> String {
        let url = format!("{}/{ACCOUNT}/{name}?restype=container", self.front.behind);
        let made = self
            .request(Method::PUT, &url, token)
            .send()
            .await
            .expect("an answer");
        assert_eq!(made.status(), StatusCode::CREATED);
        format!("{}/{name}", self.endpoint)
    }

    /// A file and its content type; `None` when it is not there.
    pub async fn read(&self, path: &str, token: &str) -> Option<(String, String)> {
        let url = format!("{}/{ACCOUNT}/{path}", self.front.behind);
        let answer = self
            .request(Method::GET, &url, token)
            .send()
            .await
            .expect("an answer");
        let kind = answer
            .headers()
            .get("content-type")
            .map(|kind| kind.to_str().expect("a text").to_owned());
        let found = answer.status() == StatusCode::OK;
        let text = answer.text().await.expect("a text");
        found.then(|| (text, kind.unwrap_or_default()))
    }

    /// Replaces a file.
    pub async fn write(&self, path: &str, text: String, token: &str) {
        let url = format!("{}/{ACCOUNT}/{path}", self.front.behind);
        let request = self
            .request(Method::PUT, &url, token)
            .header("x-ms-blob-type", "BlockBlob");
        let answer = request.body(text).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::CREATED);
    }

    fn request(&self, method: Method, url: &str, token: &str) -> reqwest::RequestBuilder {
        let request = self.front.client.request(method, url);
        request
            .bearer_auth(token)
            .header("x-ms-version", "2023-11-03")
    }

    /// Decides about every write from now on, by its number from 0 and its path.
    pub fn judge(&self, judge: impl FnMut(usize, &str) -> Fate + Send + 'static) {
        *self.front.judge.lock().expect("not poisoned") = Box::new(judge);
        self.front.writes.lock().expect("not poisoned").clear();
    }

    /// Sets the process that `Fate::KilledBefore` and `Fate::KilledAfter` kill.
    pub fn writer(&self, pid: u32) {
        *self.front.writer.lock().expect("not poisoned") = Some(pid);
    }

    /// Refuses this many of the next reads with a status.
    pub fn refuse_reads(&self, count: usize, status: u16) {
        *self.front.refused_reads.lock().expect("not poisoned") = (count, status);
    }

    /// Paths of the writes since the last `judge`.
    pub fn writes(&self) -> Vec<String> {
        self.front.writes.lock().expect("not poisoned").clone()
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(front: Arc<Front>) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let app = Router::new().fallback(pass).with_state(front);
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

async fn pass(
    State(front): State<Arc<Front>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fate = if method == Method::PUT {
        let mut writes = front.writes.lock().expect("not poisoned");
        writes.push(uri.path().to_owned());
        let mut judge = front.judge.lock().expect("not poisoned");
        judge(writes.len() - 1, uri.path())
    } else {
        let mut left = front.refused_reads.lock().expect("not poisoned");
        if left.0 > 0 {
            left.0 -= 1;
            Fate::Refused(left.1)
        } else {
            Fate::Pass
        }
    };
    match fate {
        Fate::Refused(status) => return refused(status),
        Fate::KilledBefore => {
            front.kill();
            return refused(503);
        }
        _ => {}
    }
    let answer = front.forward(method, &uri, headers, body).await;
    match fate {
        Fate::KilledAfter => {
            front.kill();
            refused(503)
        }
        Fate::Lost(status) => refused(status),
        _ => answer,
    }
}

fn refused(status: u16) -> Response<Body> {
    let code = match status {
        403 => "AuthorizationPermissionMismatch",
        404 => "ContainerNotFound",
        409 => "BlobImmutableDueToPolicy",
        412 => "ConditionNotMet",
        _ => "ServerBusy",
    };
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>made up</Message></Error>"
    );
    Response::builder()
        .status(status)
        .header("x-ms-error-code", code)
        .body(body.into())
        .expect("a response")
}

impl Front {
    fn kill(&self) {
        let writer = self.writer.lock().expect("not poisoned");
        let pid = writer.expect("a writer").to_string();
        let killed = Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.expect("kill runs").success());
    }

    async fn forward(
        &self,
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Response<Body> {
        let request = self.client.request(method, format!("{}{uri}", self.behind));
        let answer = request
            .headers(headers)
            .body(body)
            .send()
            .await
            .expect("an answer");
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if name != "transfer-encoding" {
                response = response.header(name, value);
            }
        }
        response
            .body(Body::from(answer.bytes().await.expect("a body")))
            .expect("a response")
    }
}
