//! A TLS server on loopback in front of a plain one, with certificates of a
//! test's own authority.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// What is wrong with the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Certificate {
    Good,
    WrongHost,
    Expired,
}

/// Port of the server, and the file that makes its authority trusted.
pub struct Server {
    pub port: u16,
    pub trusted: PathBuf,
    _folder: tempfile::TempDir,
}

/// Serves `localhost` with this certificate and passes everything on.
pub async fn start(certificate: Certificate, behind: SocketAddr) -> Server {
    let authority_key = KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_certificate = authority.self_signed(&authority_key).expect("signed");
    let name = if certificate == Certificate::WrongHost {
        "other.example"
    } else {
        "localhost"
    };
    let mut parameters = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    if certificate == Certificate::Expired {
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().expect("a key");
    let signed = parameters
        .signed_by(&key, &Issuer::new(authority, authority_key))
        .expect("signed");
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![signed.der().clone()], private)
        .expect("a certificate for its key");

    let folder = tempfile::tempdir().expect("a folder");
    let trusted = folder.path().join("authority.pem");
    std::fs::write(&trusted, authority_certificate.pem()).expect("written");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(pass_on(
        listener,
        TlsAcceptor::from(Arc::new(config)),
        behind,
    ));
    Server {
        port,
        trusted,
        _folder: folder,
    }
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
