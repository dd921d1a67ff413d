//! The bare axum server that the product is measured against.
//!
//! It answers every `GET` with the bytes of a file.
//!
//! `bare PORT FILE`

use std::net::Ipv4Addr;

use axum::{Router, http::header};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().ok_or("a port is missing")?.parse()?;
    let file = arguments.next().ok_or("a file is missing")?;
    let body: &'static [u8] = std::fs::read(file)?.leak();
    let answer = move || async move { ([(header::CONTENT_TYPE, "application/json")], body) };
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    Ok(axum::serve(listener, Router::new().fallback(answer)).await?)
}
