//! The server side of SOCKS5, as RFC 1928 and RFC 1929 have it, for one client.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The host as it came: a name, or an address with the kind in front (`v4 192.0.2.1`).
    pub host: String,
    pub port: u16,
    /// User and password, if the client gave them.
    pub credentials: Option<(String, String)>,
}

/// How the server answers.
#[derive(Clone)]
pub struct Manners {
    /// The way of authentication that it chooses.
    pub method: u8,
    /// Whether it takes user and password.
    pub takes_password: bool,
    /// The reply code.
    pub reply: u8,
    /// Kind of address and address that it says it goes on from.
    pub bound: Vec<u8>,
    /// Sent in one piece with the reply, as by a pool that speaks first.
    pub behind: Vec<u8>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            method: 0,
            takes_password: true,
            reply: 0,
            bound: vec![1, 127, 0, 0, 1],
            behind: Vec::new(),
        }
    }
}

/// Serves up to the reply, and gives the stream back for what comes after.
pub async fn serve(stream: &mut DuplexStream, manners: &Manners) -> Option<Asked> {
    let [5, methods] = read(stream).await? else {
        panic!("no SOCKS5 greeting")
    };
    let mut offered = vec![0; usize::from(methods)];
    stream.read_exact(&mut offered).await.ok()?;
    if !offered.contains(&manners.method) {
        stream.write_all(&[5, 0xff]).await.ok()?;
        return None;
    }
    stream.write_all(&[5, manners.method]).await.ok()?;
    let mut credentials = None;
    if manners.method == 2 {
        let [1] = read(stream).await? else {
            panic!("no user and password")
        };
        let user = text(stream).await?;
        let password = text(stream).await?;
        credentials = Some((user, password));
        let status = u8::from(!manners.takes_password);
        stream.write_all(&[1, status]).await.ok()?;
        if !manners.takes_password {
            return None;
        }
    }
    let [5, 1, 0, kind] = read(stream).await? else {
        panic!("no CONNECT")
    };
    let host = match kind {
        1 => {
            let address: [u8; 4] = read(stream).await?;
            format!("v4 {}", std::net::Ipv4Addr::from(address))
        }
        4 => {
            let address: [u8; 16] = read(stream).await?;
            format!("v6 {}", std::net::Ipv6Addr::from(address))
        }
        3 => text(stream).await?,
        other => panic!("address of kind {other}"),
    };
    let port = u16::from_be_bytes(read(stream).await?);
    let mut reply = vec![5, manners.reply, 0];
    reply.extend_from_slice(&manners.bound);
    reply.extend_from_slice(&[0, 80]);
    reply.extend_from_slice(&manners.behind);
    stream.write_all(&reply).await.ok()?;
    Some(Asked {
        host,
        port,
        credentials,
    })
}

async fn read<const N: usize>(stream: &mut DuplexStream) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(bytes)
}

async fn text(stream: &mut DuplexStream) -> Option<String> {
    let [len] = read(stream).await?;
    let mut bytes = vec![0; usize::from(len)];
    stream.read_exact(&mut bytes).await.ok()?;
    String::from_utf8(bytes).ok()
}
