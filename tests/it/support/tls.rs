//! A TLS server on loopback in front of a plain one, with certificates of a
//! test authority.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// The kind of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certificate {
    Good,
    WrongHost,
    Expired,
}

/// A test authority, and the file that makes it trusted.
pub struct Authority {
    pub trusted: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

/// Files of a certificate and its key.
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
    config: ServerConfig,
}

impl Authority {
    /// A new authority, trusted only by those who read its file.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut parameters = CertificateParams::new(Vec::new()).expect("parameters");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        let trusted = folder.path().join("authority.pem");
        std::fs::write(&trusted, certificate.pem()).expect("written");
        Self {
            trusted,
            issuer: Issuer::new(parameters, key),
            folder,
        }
    }

    /// A certificate for names or addresses.
    pub fn issue(&self, names: &[&str], is_expired: bool) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let stem = names[0].replace('*', "any");
        let mut parameters = CertificateParams::new(names).expect("parameters");
        if is_expired {
            parameters.not_before = date_time_ymd(2020, 1, 1);
            parameters.not_after = date_time_ymd(2021, 1, 1);
        }
        let key = KeyPair::generate().expect("a key");
        let signed = parameters.signed_by(&key, &self.issuer).expect("signed");
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], private)
            .expect("a certificate for its key");
        let file = |ending: &str, text: String| {
            let path = self.folder.path().join(format!("{stem}.{ending}"));
            std::fs::write(&path, text).expect("written");
            path
        };
        Issued {
            certificate: file("pem", signed.pem()),
            key: file("key", key.serialize_pem()),
            config,
        }
    }

    /// Serves these names on a free loopback port and forwards everything.
    pub async fn serve(&self, names: &[&str], behind: SocketAddr) -> u16 {
        listen(self.issue(names, false), behind).await
    }
}

/// Port of the server, and the file that makes its authority trusted.
pub struct Server {
    pub port: u16,
    pub trusted: PathBuf,
    _authority: Authority,
}

/// Serves `localhost` with this certificate and forwards everything.
pub async fn start(certificate: Certificate, behind: SocketAddr) -> Server {
    let authority = Authority::new();
    let name = if certificate == Certificate::WrongHost {
        "other.example"
    } else {
        "localhost"
    };
    let issued = authority.issue(&[name], certificate == Certificate::Expired);
    Server {
        port: listen(issued, behind).await,
        trusted: authority.trusted.clone(),
        _authority: authority,
    }
}

async fn listen(issued: Issued, behind: SocketAddr) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let acceptor = TlsAcceptor::from(Arc::new(issued.config));
    tokio::spawn(pass_on(listener, acceptor, behind));
    port
}

/// A proxy on loopback that knows a few names and refuses all others.
///
/// The product reaches `*.vault.azure.net` through it, with its settings in Azure.
pub async fn proxy(names: Vec<(&'static str, u16)>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(connect(client, names.clone()));
        }
    });
    port
}

async fn connect(mut client: TcpStream, names: Vec<(&'static str, u16)>) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).ok()?;
    let name = head.strip_prefix("CONNECT ")?.split(':').next()?;
    let Some((_, port)) = names.iter().find(|(known, _)| *known == name) else {
        let refused = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        return client.write_all(refused).await.ok();
    };
    let mut server = TcpStream::connect(("127.0.0.1", *port)).await.ok()?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    Some(())
}

async fn pass_on(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut client) = acceptor.accept(client).await else {
                return;
            };
            let Ok(mut server) = TcpStream::connect(behind).await else {
                return;
            };
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
