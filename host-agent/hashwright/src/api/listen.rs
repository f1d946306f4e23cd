//! Who may connect: so many at a time from this machine, so many from elsewhere, so many of one address, so
//! that a flood from outside neither grows without bound nor locks the owner out. A connection that does not
//! take what it asked for is cut off.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::{MAX_SOCKETS, MAX_SOCKETS_PER_ADDRESS, MAX_WEBSOCKETS};

/// How long a connection may refuse to take anything of what it is sent.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(20);

/// All seats: those of this machine and those of others are counted apart.
#[derive(Debug, Default)]
pub(super) struct Hall {
    near: Side,
    far: Side,
    /// Connections of each address elsewhere.
    addresses: Mutex<HashMap<IpAddr, usize>>,
}

#[derive(Debug, Default)]
struct Side {
    sockets: AtomicUsize,
    websockets: AtomicUsize,
}

/// The seat of a connection; it is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    hall: Arc<Hall>,
    address: IpAddr,
}

/// The seat of a WebSocket, with that of its connection.
#[derive(Debug)]
pub(super) struct WebSocketSeat(Arc<Seat>);

impl Hall {
    /// A seat for a connection from there, if one is free.
    pub(super) fn seat(self: &Arc<Self>, address: IpAddr) -> Option<Arc<Seat>> {
        let address = network(address.to_canonical());
        let side = self.side(address);
        if side.sockets.fetch_add(1, Ordering::Relaxed) >= MAX_SOCKETS {
            side.sockets.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let seat = Arc::new(Seat {
            hall: self.clone(),
            address,
        });
        let mut addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        *count += 1;
        let fits = address.is_loopback() || *count <= MAX_SOCKETS_PER_ADDRESS;
        drop(addresses);
        fits.then_some(seat)
    }

    fn side(&self, address: IpAddr) -> &Side {
        if address.is_loopback() {
            &self.near
        } else {
            &self.far
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.hall
            .side(self.address)
            .sockets
            .fetch_sub(1, Ordering::Relaxed);
        let mut addresses = self
            .hall
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

impl Seat {
    /// A seat among the WebSockets, if one is free.
    pub(super) fn websocket(self: &Arc<Self>) -> Option<WebSocketSeat> {
        let side = self.hall.side(self.address);
        if side.websockets.fetch_add(1, Ordering::Relaxed) >= MAX_WEBSOCKETS {
            side.websockets.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(WebSocketSeat(self.clone()))
    }
}

impl Drop for WebSocketSeat {
    fn drop(&mut self) {
        let side = self.0.hall.side(self.0.address);
        side.websockets.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One machine has as many IPv6 addresses as it likes within its /64.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((u128::from(v6) >> 64 << 64).into()),
        other => other,
    }
}

/// Says that the server stops. The server waits until all clones are gone.
#[derive(Clone, Debug)]
pub(super) struct Closing(watch::Receiver<bool>);

impl Closing {
    pub(super) fn new() -> (watch::Sender<bool>, Self) {
        let (say, closing) = watch::channel(false);
        (say, Self(closing))
    }

    /// Returns once the server stops.
    pub(super) async fn stopped(mut self) {
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

/// A connection that fails when the other side takes nothing for too long.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            waiting: None,
        }
    }

    /// What a write came to, or that it has waited too long.
    fn judged<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.waiting = None;
            return result;
        }
        let until = Instant::now() + STUCK_AFTER;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judged(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.judged(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judged(context, result)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn a_flood_from_outside_leaves_the_owners_seats_free() {
        let hall = Arc::new(Hall::default());
        let far = |n: usize| IpAddr::from([10, 0, (n >> 8) as u8, n as u8]);
        let taken: Vec<_> = (0..2 * MAX_SOCKETS)
            .filter_map(|n| hall.seat(far(n)))
            .collect();
        assert_eq!(taken.len(), MAX_SOCKETS);
        let near: Vec<_> = (0..2 * MAX_SOCKETS)
            .filter_map(|_| hall.seat([127, 0, 0, 1].into()))
            .collect();
        assert_eq!(near.len(), MAX_SOCKETS);
        drop((taken, near));
        assert!(hall.addresses.lock().unwrap().is_empty());
        assert!(hall.seat(far(1)).is_some());
    }

    #[test]
    fn one_address_cannot_take_all_seats() {
        let hall = Arc::new(Hall::default());
        let same = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, n]);
        let taken: Vec<_> = (0..200).filter_map(|n| hall.seat(same(n))).collect();
        assert_eq!(taken.len(), MAX_SOCKETS_PER_ADDRESS);
        assert!(
            hall.seat([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1].into())
                .is_some()
        );
    }

    #[test]
    fn websockets_are_fewer_than_connections() {
        let hall = Arc::new(Hall::default());
        let seat = hall.seat([127, 0, 0, 1].into()).unwrap();
        let taken: Vec<_> = (0..MAX_SOCKETS).filter_map(|_| seat.websocket()).collect();
        assert_eq!(taken.len(), MAX_WEBSOCKETS);
        drop(taken);
        assert!(seat.websocket().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_given_up() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut ours = Patient::new(ours);
        let error = ours.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
