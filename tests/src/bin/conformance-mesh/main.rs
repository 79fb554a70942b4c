//! Brings up a mesh for a conformance tester that speaks plain HTTP/2: prints, as one line of JSON, the address of the consumer's
//! outbound listener; one that leads, by TLS with the consumer's certificate, to the provider's inbound listener; and one of the relay
//! alone, which refuses nothing. Ends when its standard input does.

mod bare;

use std::sync::Arc;

use anyhow::Result;
use chapar_tests::{
    attacker::{self, Disguise},
    mesh::Mesh,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

#[tokio::main]
async fn main() -> Result<()> {
    let mesh = Mesh::start().await?;
    let certificate = Disguise::stolen_from(mesh.consumer.state())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let bridge = listener.local_addr()?.to_string();
    tokio::spawn(lead(listener, mesh.provider.address("inbound").to_owned(), Arc::new(certificate)));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let relay = listener.local_addr()?.to_string();
    let served = tokio::spawn(bare::serve(listener));
    println!("{}", json!({"outbound": mesh.consumer.address("outbound"), "inbound": bridge, "relay": relay}));
    let mut rest = Vec::new();
    tokio::io::stdin().read_to_end(&mut rest).await?;
    served.abort();
    Ok(())
}

/// Leads each connection on to `address`, as the owner of `certificate`.
async fn lead(listener: TcpListener, address: String, certificate: Arc<Disguise>) -> Result<()> {
    loop {
        let (mut plain, _) = listener.accept().await?;
        let (address, certificate) = (address.clone(), Arc::clone(&certificate));
        tokio::spawn(async move { through(&mut plain, &address, &certificate).await });
    }
}

async fn through(plain: &mut TcpStream, address: &str, certificate: &Disguise) -> Result<()> {
    let mut encrypted = attacker::connect(TcpStream::connect(address).await?, Some(certificate)).await?;
    copy_bidirectional(plain, &mut encrypted).await?;
    Ok(())
}
