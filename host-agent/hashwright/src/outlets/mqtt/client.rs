//! The client's side of MQTT 3.1.1 on one connection: bytes and the time go in, bytes and packets come
//! out. A thin layer over `mqtt-protocol-core`, which does the protocol.

use std::collections::VecDeque;
use std::time::Duration;

use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::ConnectionOptions;
use mqtt_protocol_core::mqtt::packet::v3_1_1::{Connect, Disconnect, Publish, Subscribe};
use mqtt_protocol_core::mqtt::packet::{Packet, Qos, SubEntry, SubOpts};
use mqtt_protocol_core::mqtt::prelude::*;
use mqtt_protocol_core::mqtt::result_code::MqttError;
use mqtt_protocol_core::mqtt::{Connection, Version, role};
use outlets::mqtt::Message;
use stratum::Secret;
use tokio::time::Instant;

/// Largest packet that is taken, bytes. Commands are small; whatever is larger ends the connection before
/// it is read.
pub(super) const MAX_PACKET: u32 = 16 * 1024;
/// Messages that the broker may have on the way to us unacknowledged.
const MAX_INCOMING: u16 = 32;
/// A silent broker is asked so often whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// It has so long to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Incoming {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) retained: bool,
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The broker takes the connection.
    Connected,
    /// The broker refuses it; why, and what to do.
    Refused(&'static str),
    /// It lets us have only part of what we want to hear.
    NotSubscribed,
    /// A message.
    Message(Incoming),
    /// The message that was sent with this id has arrived.
    Arrived(u16),
}

/// One connection.
pub(super) struct Client {
    core: Connection<role::Client>,
    out: Vec<u8>,
    events: VecDeque<Event>,
    ping_at: Option<Instant>,
    silent_at: Option<Instant>,
    problem: Option<String>,
}

impl Client {
    /// A connection that says who it is, and leaves `will` for the time when it is gone.
    pub(super) fn connect(
        id: &str,
        user: Option<&str>,
        password: Option<&Secret>,
        will: &Message,
        now: Instant,
    ) -> Result<Self, MqttError> {
        let options = ConnectionOptions::new()
            .maximum_packet_size_recv(MAX_PACKET)
            .receive_maximum(MAX_INCOMING);
        let mut core = Connection::<role::Client>::with_options(Version::V3_1_1, options);
        core.set_auto_pub_response(true);
        core.set_pingresp_recv_timeout(PING_TIMEOUT.as_millis() as u64);
        let mut connect = Connect::builder()
            .client_id(id)?
            .clean_session(true)
            .keep_alive(KEEP_ALIVE.as_secs() as u16)
            .will_message(
                &will.topic[..],
                &will.payload[..],
                Qos::AtLeastOnce,
                will.retain,
            )?;
        if let Some(user) = user {
            connect = connect.user_name(user)?;
            if let Some(password) = password {
                connect = connect.password(password.expose())?;
            }
        }
        let mut client = Self {
            core,
            out: Vec::new(),
            events: VecDeque::new(),
            ping_at: None,
            silent_at: None,
            problem: None,
        };
        let events = client.core.checked_send(connect.build()?);
        client.take(events, now);
        Ok(client)
    }

    /// Asks for the messages of these filters.
    pub(super) fn subscribe(&mut self, filters: &[String], now: Instant) -> Result<(), MqttError> {
        let options = SubOpts::new().set_qos(Qos::AtLeastOnce);
        let entries = filters
            .iter()
            .map(|filter| SubEntry::new(&filter[..], options));
        let entries = entries.collect::<Result<Vec<_>, _>>()?;
        let id = self.core.acquire_packet_id()?;
        let packet = Subscribe::builder()
            .packet_id(id)
            .entries(entries)
            .build()?;
        let events = self.core.checked_send(packet);
        self.take(events, now);
        Ok(())
    }

    /// Sends a message. With `acknowledged` its id comes back once it has arrived.
    pub(super) fn publish(
        &mut self,
        message: &Message,
        acknowledged: bool,
        now: Instant,
    ) -> Result<Option<u16>, MqttError> {
        let mut packet = Publish::builder()
            .topic_name(&message.topic[..])?
            .retain(message.retain)
            .payload(message.payload.as_bytes());
        let mut id = None;
        if acknowledged {
            let fresh = self.core.acquire_packet_id()?;
            packet = packet.qos(Qos::AtLeastOnce).packet_id(fresh);
            id = Some(fresh);
        } else {
            packet = packet.qos(Qos::AtMostOnce);
        }
        let events = self.core.checked_send(packet.build()?);
        self.take(events, now);
        Ok(id)
    }

    /// Says goodbye, so that the broker keeps the will to itself.
    pub(super) fn disconnect(&mut self, now: Instant) {
        if let Ok(packet) = Disconnect::builder().build() {
            let events = self.core.checked_send(packet);
            self.take(events, now);
        }
    }

    /// Bytes from the broker.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Instant) {
        let mut cursor = Cursor::new(bytes);
        while self.problem.is_none() {
            let before = cursor.position();
            if before >= bytes.len() as u64 {
                break;
            }
            let events = self.core.recv(&mut cursor);
            self.take(events, now);
            if cursor.position() == before {
                // It takes nothing more of this.
                break;
            }
        }
    }

    /// When [`Client::tick`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ping_at.into_iter().chain(self.silent_at).min()
    }

    /// What the time brings.
    pub(super) fn tick(&mut self, now: Instant) {
        if self.ping_at.is_some_and(|at| at <= now) {
            self.ping_at = None;
            let events = self.core.notify_timer_fired(TimerKind::PingreqSend);
            self.take(events, now);
        }
        if self.silent_at.is_some_and(|at| at <= now) {
            self.silent_at = None;
            self.problem = Some("it has fallen silent".to_owned());
        }
    }

    /// Bytes for the broker.
    pub(super) fn take_out(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// The next thing that came.
    pub(super) fn next(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Why the connection is to be closed, if it is.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    fn take(&mut self, events: Vec<mqtt_protocol_core::mqtt::connection::Event>, now: Instant) {
        use mqtt_protocol_core::mqtt::connection::Event as Core;
        for event in events {
            match event {
                Core::RequestSendPacket { packet, .. } => {
                    self.out.extend(packet.to_continuous_buffer());
                }
                Core::NotifyPacketReceived(packet) => self.received(&packet),
                Core::RequestTimerReset { kind, duration_ms } => {
                    self.set(kind, Some(now + Duration::from_millis(duration_ms)));
                }
                Core::RequestTimerCancel(kind) => self.set(kind, None),
                Core::NotifyError(error) => {
                    let problem = match error {
                        MqttError::PacketTooLarge => {
                            format!("a message came that is larger than {MAX_PACKET} bytes")
                        }
                        error => {
                            format!("it said something that is not MQTT 3.1.1: {error:?}")
                        }
                    };
                    self.problem.get_or_insert(problem);
                }
                Core::RequestClose => {}
                Core::NotifyPacketIdReleased(_) => {}
            }
        }
    }

    fn set(&mut self, kind: TimerKind, at: Option<Instant>) {
        match kind {
            TimerKind::PingreqSend => self.ping_at = at,
            TimerKind::PingrespRecv => self.silent_at = at,
            TimerKind::PingreqRecv => {}
        }
    }

    fn received(&mut self, packet: &Packet) {
        let event = match packet {
            Packet::V3_1_1Connack(ack) if ack.return_code().is_success() => Event::Connected,
            Packet::V3_1_1Connack(ack) => Event::Refused(refusal(ack.return_code() as u8)),
            Packet::V3_1_1Suback(ack) => {
                if ack.return_codes().iter().all(|code| code.is_success()) {
                    return;
                }
                Event::NotSubscribed
            }
            Packet::V3_1_1Publish(message) => Event::Message(Incoming {
                topic: message.topic_name().to_owned(),
                payload: message.payload().as_slice().to_vec(),
                retained: message.retain(),
            }),
            Packet::V3_1_1Puback(ack) => Event::Arrived(ack.packet_id()),
            _ => return,
        };
        self.events.push_back(event);
    }
}

/// What the return codes of CONNACK mean for the owner (MQTT 3.1.1, table 3.1).
fn refusal(code: u8) -> &'static str {
    match code {
        1 => "it does not speak MQTT 3.1.1",
        2 => "it does not allow the client's name; set id in [mqtt] to another one",
        3 => "its service is not available now",
        4 | 5 => {
            "it refuses user or password; check them in [mqtt], and the broker's list of users"
        }
        _ => "it gives no known reason",
    }
}
