//! Load: one keep-alive connection for each client, plain HTTP/1.1 over TCP.

use std::{
    io,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

/// The header that the Functions host adds.
const INVOCATION: &str = "X-Azure-Functions-InvocationId: 0f8fad5b-d9cb-469f-a165-70867728950e";

/// A client that sends the same request repeatedly.
struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    async fn connect(port: u16, path: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{INVOCATION}\r\n\r\n")
                .into_bytes();
        let answer = vec![0; 64 << 10];
        Ok(Self {
            stream,
            request,
            answer,
        })
    }

    /// Sends one request and reads its complete response, which must be a 200.
    async fn ask(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        let (mut filled, mut wanted) = (0, None);
        while wanted.is_none_or(|wanted| filled < wanted) {
            let read = self.stream.read(&mut self.answer[filled..]).await?;
            if read == 0 {
                return Err(io::Error::other("the server closed the connection"));
            }
            filled += read;
            if wanted.is_none() {
                wanted = length(&self.answer[..filled])?;
            }
        }
        Ok(())
    }
}

/// Bytes of the response with its header, once the header has arrived.
fn length(answer: &[u8]) -> io::Result<Option<usize>> {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let header = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    if !header.starts_with("http/1.1 200") {
        return Err(io::Error::other(header));
    }
    let length = header.lines().find_map(|line| {
        line.strip_prefix("content-length:")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    length
        .map(|length| Some(end + 4 + length))
        .ok_or_else(|| io::Error::other("no length"))
}

/// Requests per second of a number of clients.
///
/// Each client sends its next request after the last response.
pub(crate) async fn throughput(
    port: u16,
    path: &str,
    clients: usize,
    time: Duration,
) -> io::Result<f64> {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let mut client = Client::connect(port, path).await?;
        tasks.spawn(async move {
            let mut count = 0_u64;
            while began.elapsed() < time {
                client.ask().await?;
                count += 1;
            }
            Ok::<_, io::Error>(count)
        });
    }
    let mut total = 0;
    while let Some(done) = tasks.join_next().await {
        total += done.map_err(io::Error::other)??;
    }
    Ok(total as f64 / began.elapsed().as_secs_f64())
}

/// Latencies at a fixed rate, sorted.
///
/// They are counted from when a request was due: a request that waits behind a slow
/// response counts as slow too.
pub(crate) async fn latencies(
    port: u16,
    path: &str,
    clients: usize,
    rate: f64,
    time: Duration,
) -> io::Result<Vec<Duration>> {
    let period = Duration::from_secs_f64(clients as f64 / rate);
    let began = tokio::time::Instant::now() + Duration::from_millis(50);
    let mut tasks = JoinSet::new();
    for index in 0..clients {
        let mut client = Client::connect(port, path).await?;
        tasks.spawn(async move {
            let mut due = began + period.mul_f64(index as f64 / clients as f64);
            let mut taken = Vec::new();
            while due < began + time {
                // The timer of the runtime counts in milliseconds, which is far too coarse.
                while tokio::time::Instant::now() < due {
                    tokio::task::yield_now().await;
                }
                client.ask().await?;
                taken.push(due.elapsed());
                due += period;
            }
            Ok::<_, io::Error>(taken)
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(io::Error::other)??);
    }
    all.sort();
    Ok(all)
}

/// Time from now until `GET /` is answered with 200.
pub(crate) async fn until_answered(port: u16) -> io::Result<Duration> {
    let began = Instant::now();
    let asking = async {
        loop {
            if let Ok(mut client) = Client::connect(port, "/").await
                && client.ask().await.is_ok()
            {
                return began.elapsed();
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    timeout(Duration::from_secs(20), asking)
        .await
        .map_err(io::Error::other)
}

/// Sends a JSON body with `POST` on a new connection; returns the response's body.
pub(crate) async fn post(port: u16, path: &str, body: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| io::Error::other("no answer"))?;
    length(&answer)?;
    Ok(answer.split_off(end + 4))
}
