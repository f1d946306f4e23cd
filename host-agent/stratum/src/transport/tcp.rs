//! Plain TCP: names to addresses, and the race between addresses after RFC 8305, so that a
//! host with a dead IPv6 or IPv4 side costs a quarter of a second and not a time-out.

use std::collections::VecDeque;
use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Connector, Stream};

/// Plain TCP, without delay for small packets and with keepalive.
///
/// The addresses of a host are tried in turns of IPv6 and IPv4, in the order of the system's
/// resolver otherwise, each 250 ms after the one before; the first that answers is taken.
#[derive(Clone, Copy, Debug)]
pub struct TcpConnector {
    /// For each address of the host; default 10 s.
    pub connect_timeout: Duration,
    /// For the resolver; default 10 s.
    pub resolve_timeout: Duration,
}

impl Default for TcpConnector {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            resolve_timeout: Duration::from_secs(10),
        }
    }
}

impl Connector for TcpConnector {
    async fn connect(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let stream = dial(&Internet, host, port, self).await?;
        Ok(Box::new(stream))
    }
}

/// How long an address may be silent before the next one is tried as well; RFC 8305 section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses of a host that are tried.
const MAX_ADDRESSES: usize = 8;
/// Keepalive as ESP-Miner has it: first probe after a minute, then every 10 s, dead after 3.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;

/// What dialling needs of the network.
trait Network: Sync {
    type Stream: Send;

    fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;

    fn open(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// The network of this computer.
struct Internet;

impl Network for Internet {
    type Stream = TcpStream;

    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        // The system's resolver may hang for half a minute, and cannot be called off. On a
        // thread of tokio's it would hold up the end of the program.
        let (answer, answered) = oneshot::channel();
        let host = host.to_owned();
        std::thread::Builder::new()
            .name("resolver".to_owned())
            .spawn(move || {
                let found = (host.as_str(), port).to_socket_addrs();
                // Nobody may be waiting any more.
                let _ = answer.send(found.map(Iterator::collect));
            })?;
        answered.await.map_err(io::Error::other)?
    }

    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES)?;
        Ok(stream)
    }
}

async fn dial<N: Network>(
    network: &N,
    host: &str,
    port: u16,
    limits: &TcpConnector,
) -> io::Result<N::Stream> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => resolve(network, host, port, limits.resolve_timeout).await?,
    };
    race(network, in_turns(addresses), limits.connect_timeout).await
}

async fn resolve<N: Network>(
    network: &N,
    host: &str,
    port: u16,
    patience: Duration,
) -> io::Result<Vec<SocketAddr>> {
    // Asked elsewhere than through Tor, the name would tell others what it is about.
    if is_onion(host) {
        return Err(io::Error::other(format!(
            "{host} can be reached through Tor only; set a SOCKS5 proxy, usually \
             socks5://127.0.0.1:9050"
        )));
    }
    match timeout(patience, network.resolve(host, port)).await {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("the name {host} has no address; check the URL"),
        )),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => Err(unresolved(host, &error)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!(
                "no answer from the name server about {host} within {patience:?}; check the network \
                 and the name server of this computer"
            ),
        )),
    }
}

fn is_onion(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.rsplit('.')
        .next()
        .is_some_and(|last| last.eq_ignore_ascii_case("onion"))
}

/// Resolvers tell what went wrong in words only; those of glibc, musl and macOS are known.
fn unresolved(host: &str, error: &io::Error) -> io::Error {
    let words = error.to_string();
    let said = |texts: &[&str]| texts.iter().any(|text| words.contains(text));
    if said(&[
        "Name or service not known",
        "No address associated",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname",
    ]) {
        let text = format!("the name {host} is not known; check the URL for typing errors");
        io::Error::new(io::ErrorKind::NotFound, text)
    } else if said(&["Temporary failure", "Try again"]) {
        let text = format!(
            "no name server could be asked about {host}; check the network and the name server of \
             this computer"
        );
        io::Error::new(io::ErrorKind::HostUnreachable, text)
    } else {
        io::Error::new(
            error.kind(),
            format!("the name {host} could not be looked up: {words}"),
        )
    }
}

/// Alternates between the families, beginning with that of the first address.
fn in_turns(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (ours, theirs): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut turns = VecDeque::new();
    while turns.len() < MAX_ADDRESSES {
        let pair = [ours.next(), theirs.next()];
        if pair == [None, None] {
            break;
        }
        turns.extend(pair.into_iter().flatten());
    }
    turns.truncate(MAX_ADDRESSES);
    turns
}

type Attempt<'a, S> = Pin<Box<dyn Future<Output = (SocketAddr, io::Result<S>)> + Send + 'a>>;

/// Takes the first connection that comes about. A new address is tried when the one before has
/// failed, or has been silent for a while; that one goes on beside it.
async fn race<N: Network>(
    network: &N,
    mut addresses: VecDeque<SocketAddr>,
    patience: Duration,
) -> io::Result<N::Stream> {
    let mut running: Vec<Attempt<'_, N::Stream>> = Vec::new();
    let mut failures = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if running.is_empty() && addresses.is_empty() {
            return Err(all_failed(&failures, patience));
        }
        tokio::select! {
            biased;
            (address, opened) = first_done(&mut running), if !running.is_empty() => match opened {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    failures.push((address, error));
                    next_at = Instant::now();
                }
            },
            () = sleep_until(next_at), if !addresses.is_empty() => {
                if let Some(address) = addresses.pop_front() {
                    running.push(Box::pin(async move {
                        let opened = timeout(patience, network.open(address)).await;
                        (address, opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())))
                    }));
                }
                next_at = Instant::now() + ATTEMPT_DELAY;
            }
        }
    }
}

async fn first_done<S>(running: &mut Vec<Attempt<'_, S>>) -> (SocketAddr, io::Result<S>) {
    poll_fn(|cx| {
        for index in 0..running.len() {
            if let Poll::Ready(done) = running[index].as_mut().poll(cx) {
                drop(running.remove(index));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    })
    .await
}

/// One error of all, with what each address said.
fn all_failed(failures: &[(SocketAddr, io::Error)], patience: Duration) -> io::Error {
    let mut text = String::new();
    for (address, error) in failures {
        let words = match error.kind() {
            io::ErrorKind::ConnectionRefused => "nothing listens there".to_owned(),
            io::ErrorKind::TimedOut => format!("no answer within {patience:?}"),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                "no way there from this computer".to_owned()
            }
            _ => error.to_string(),
        };
        let separator = if text.is_empty() { "" } else { "; " };
        // Writing to a String does not fail.
        let _ = write!(text, "{separator}{address}: {words}");
    }
    let kind = failures
        .first()
        .map_or(io::ErrorKind::Other, |(_, error)| error.kind());
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What an address does in a made-up network.
    #[derive(Clone, Copy)]
    enum Way {
        Answers(u64),
        Refuses(u64),
        Swallows,
    }
    use Way::{Answers, Refuses, Swallows};

    /// A network of addresses with their ways; remembers when which was tried.
    struct MadeUp {
        names: io::Result<Vec<(SocketAddr, Way)>>,
        lookup: Duration,
        tried: Mutex<Vec<(SocketAddr, Duration)>>,
        start: Instant,
    }

    impl MadeUp {
        fn new(addresses: &[(&str, Way)]) -> Self {
            let address = |(text, way): &(&str, Way)| (text.parse().unwrap(), *way);
            Self::failing(Ok(addresses.iter().map(address).collect()))
        }

        fn failing(names: io::Result<Vec<(SocketAddr, Way)>>) -> Self {
            Self {
                names,
                lookup: Duration::ZERO,
                tried: Mutex::default(),
                start: Instant::now(),
            }
        }

        async fn dial(&self, host: &str) -> io::Result<SocketAddr> {
            dial(self, host, 3333, &TcpConnector::default()).await
        }

        fn tried(&self) -> Vec<(String, u64)> {
            let tried = self.tried.lock().unwrap();
            tried
                .iter()
                .map(|(address, at)| (address.to_string(), at.as_millis() as u64))
                .collect()
        }
    }

    impl Network for MadeUp {
        type Stream = SocketAddr;

        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            tokio::time::sleep(self.lookup).await;
            match &self.names {
                Ok(names) => Ok(names.iter().map(|(address, _)| *address).collect()),
                Err(error) => Err(io::Error::other(error.to_string())),
            }
        }

        async fn open(&self, address: SocketAddr) -> io::Result<SocketAddr> {
            self.tried
                .lock()
                .unwrap()
                .push((address, self.start.elapsed()));
            let known = self.names.as_ref().unwrap();
            let (_, way) = known.iter().find(|(one, _)| *one == address).unwrap();
            match way {
                Answers(after) => {
                    tokio::time::sleep(Duration::from_millis(*after)).await;
                    Ok(address)
                }
                Refuses(after) => {
                    tokio::time::sleep(Duration::from_millis(*after)).await;
                    Err(io::ErrorKind::ConnectionRefused.into())
                }
                Swallows => std::future::pending().await,
            }
        }
    }

    const V6: &str = "[2001:db8::1]:3333";
    const V6_OTHER: &str = "[2001:db8::2]:3333";
    const V4: &str = "192.0.2.1:3333";
    const V4_OTHER: &str = "192.0.2.2:3333";

    fn at(address: &str, ms: u64) -> (String, u64) {
        (address.to_owned(), ms)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_family_costs_a_quarter_of_a_second() {
        for (dead, alive) in [(V6, V4), (V4, V6)] {
            let network = MadeUp::new(&[(dead, Swallows), (alive, Answers(20))]);
            let reached = network.dial("pool.example").await.unwrap();
            assert_eq!(reached, alive.parse().unwrap());
            assert_eq!(network.start.elapsed(), Duration::from_millis(270));
            assert_eq!(network.tried(), [at(dead, 0), at(alive, 250)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn families_take_turns_however_many_addresses_are_dead() {
        let network = MadeUp::new(&[
            (V6, Swallows),
            (V6_OTHER, Swallows),
            (V4, Swallows),
            (V4_OTHER, Answers(0)),
        ]);
        network.dial("pool.example").await.unwrap();
        let order = [at(V6, 0), at(V4, 250), at(V6_OTHER, 500), at(V4_OTHER, 750)];
        assert_eq!(network.tried(), order);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win() {
        let network = MadeUp::new(&[(V6, Answers(300)), (V4, Answers(100))]);
        let reached = network.dial("pool.example").await.unwrap();
        assert_eq!(reached, V6.parse().unwrap());
        assert_eq!(network.tried(), [at(V6, 0), at(V4, 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_refusal_the_next_address_is_tried_at_once() {
        let network = MadeUp::new(&[(V6, Refuses(30)), (V4, Answers(0))]);
        network.dial("pool.example").await.unwrap();
        assert_eq!(network.tried(), [at(V6, 0), at(V4, 30)]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_fail_each_says_why() {
        let network = MadeUp::new(&[(V6, Swallows), (V4, Refuses(0))]);
        let error = network.dial("pool.example").await.unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("192.0.2.1:3333: nothing listens there"),
            "{said}"
        );
        assert!(
            said.contains("[2001:db8::1]:3333: no answer within 10s"),
            "{said}"
        );
        assert_eq!(network.start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_are_not_looked_up() {
        let mut network = MadeUp::new(&[("[::1]:3333", Answers(0))]);
        network.lookup = Duration::from_secs(3600);
        assert!(network.dial("::1").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn hundreds_of_addresses_are_not_all_tried() {
        let many: Vec<SocketAddr> = (1..200)
            .map(|last| SocketAddr::from(([192, 0, 2, last], 3333)))
            .collect();
        let network = MadeUp::failing(Ok(many.iter().map(|one| (*one, Refuses(0))).collect()));
        assert!(network.dial("pool.example").await.is_err());
        assert_eq!(network.tried().len(), 8);
    }

    #[tokio::test(start_paused = true)]
    async fn each_failure_of_the_name_service_has_its_words() {
        let told = async |error: &str| {
            let network = MadeUp::failing(Err(io::Error::other(format!(
                "failed to lookup address information: {error}"
            ))));
            let error = network.dial("pool.example").await.unwrap_err();
            (error.kind(), error.to_string())
        };
        let (kind, said) = told("Name or service not known").await;
        assert_eq!(kind, io::ErrorKind::NotFound);
        assert!(said.contains("pool.example is not known"), "{said}");
        let (_, said) = told("Temporary failure in name resolution").await;
        assert!(said.contains("no name server could be asked"), "{said}");
        let (_, said) = told("Memory allocation failure").await;
        assert!(said.contains("Memory allocation failure"), "{said}");

        let nothing = MadeUp::new(&[]);
        let error = nothing.dial("pool.example").await.unwrap_err();
        assert!(error.to_string().contains("has no address"));

        let mut silent = MadeUp::new(&[]);
        silent.lookup = Duration::from_secs(3600);
        let error = silent.dial("pool.example").await.unwrap_err();
        assert!(error.to_string().contains("within 10s"), "{error}");
        assert_eq!(silent.start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn onion_names_are_never_looked_up() {
        let network = MadeUp::failing(Err(io::Error::other("asked")));
        for host in ["abc.onion", "ABC.Onion."] {
            let said = network.dial(host).await.unwrap_err().to_string();
            assert!(said.contains("Tor"), "{said}");
        }
    }
}
