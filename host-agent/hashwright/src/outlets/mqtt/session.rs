//! One connection after the other to the same broker: what is told on each, and in which order.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::time::Duration;

use mqtt_protocol_core::mqtt::result_code::MqttError;
use outlets::mqtt::{Answer, Asked, Command, Message, Throttle, Topics, discovery, states};
use rpc::settings::{Changed, WriteOptions};
use rpc::tuner::DemandStatus;
use stratum::transport::{Connector, PoolConnector, Stream, connect_failure};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::super::{Links, Reached};
use super::client::{Client, Event, Incoming};
use crate::config::Mqtt;
use crate::settings::{Actor, Wish};
use crate::stop::Stop;

/// Longest time from the first byte to the broker's yes.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// A broker that takes no data for so long is gone.
const WRITE: Duration = Duration::from_secs(10);
/// How often it is looked for new events.
const LOOK: Duration = Duration::from_secs(1);
/// Events that are on the way unacknowledged, at most.
const WINDOW: usize = 8;
/// Commands that wait to be carried out, at most.
const COMMANDS: usize = 4;
/// After Home Assistant has come up it is told everything again, but not more often than this.
const BIRTHS: Duration = Duration::from_secs(10);

/// Why a connection ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The agent stops.
    Stopped,
    /// Something went wrong.
    Lost(String),
}

/// What outlives a connection.
pub(super) struct Session {
    wanted: Mqtt,
    links: Links,
    reached: Reached,
    topics: Topics,
    connector: PoolConnector,
    /// Number of the newest event up to which all have arrived.
    told: u64,
    /// Events on the way: id of the message and number of the event.
    under_way: VecDeque<(u16, u64)>,
    /// What the broker keeps for us, by topic.
    kept: HashMap<String, String>,
    throttle: Throttle,
    connected: bool,
    begun: Instant,
    last_birth: Option<Instant>,
    answers: mpsc::Receiver<Answer>,
    commands: mpsc::Sender<(String, Command)>,
}

impl Session {
    pub(super) fn new(
        wanted: Mqtt,
        links: Links,
        reached: Reached,
        topics: Topics,
        connector: PoolConnector,
    ) -> Self {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (answers_in, answers) = mpsc::channel(COMMANDS);
        let actor = Actor {
            name: "mqtt".to_owned(),
            role: wanted.role,
            via: "mqtt",
            peer: None,
        };
        // It ends when this is dropped, since nobody sends commands then.
        tokio::spawn(carry_out(links.clone(), actor, queue, answers_in));
        Self {
            wanted,
            links,
            reached,
            topics,
            connector,
            told: 0,
            under_way: VecDeque::new(),
            kept: HashMap::new(),
            throttle: Throttle::default(),
            connected: false,
            begun: Instant::now(),
            last_birth: None,
            answers,
            commands,
        }
    }

    /// Whether the last connection came about.
    pub(super) fn was_connected(&self) -> bool {
        self.connected
    }

    /// Connects, and serves the connection as long as it lives.
    pub(super) async fn run(&mut self, stop: &mut Stop) -> Ended {
        self.connected = false;
        self.under_way.clear();
        self.kept.clear();
        let broker = self.wanted.broker.clone();
        let opened = tokio::select! {
            () = stop.stopped() => return Ended::Stopped,
            opened = self.connector.connect(&broker.host, broker.port) => opened,
        };
        let stream = match opened {
            Ok(stream) => stream,
            Err(error) => {
                let reason = connect_failure(error);
                return Ended::Lost(format!("the MQTT broker is not reached: {reason}"));
            }
        };
        match self.serve(stream, stop).await {
            Ok(()) => Ended::Stopped,
            Err(Broken::Said(text)) => Ended::Lost(format!("the MQTT broker: {text}")),
            Err(Broken::Io(error)) => {
                Ended::Lost(format!("the connection to the MQTT broker broke: {error}"))
            }
            Err(Broken::Protocol(error)) => {
                Ended::Lost(format!("nothing can be said to the MQTT broker: {error:?}"))
            }
        }
    }

    async fn serve(&mut self, stream: Box<dyn Stream>, stop: &mut Stop) -> Result<(), Broken> {
        let now = Instant::now();
        let mut wire = Wire::new(stream);
        let mut client = Client::connect(
            &self.client_id(),
            self.wanted.user.as_deref(),
            self.wanted.password.as_ref(),
            &self.topics.available(false),
            now,
        )?;
        wire.write(&mut client).await?;
        let handshake = now + HANDSHAKE;
        let mut state_tick = interval(self.wanted.interval);
        let mut look = interval(LOOK);
        loop {
            while let Some(event) = client.next() {
                self.on(event, &mut client)?;
            }
            wire.write(&mut client).await?;
            if let Some(problem) = client.problem() {
                return Err(Broken::Said(problem.to_owned()));
            }
            let due = match self.connected {
                true => client.due(),
                false => Some(handshake),
            };
            tokio::select! {
                () = stop.stopped() => {
                    if self.connected {
                        client.publish(&self.topics.available(false), false, Instant::now())?;
                        client.disconnect(Instant::now());
                        wire.write(&mut client).await?;
                        wire.close().await;
                    }
                    return Ok(());
                }
                bytes = wire.read() => client.receive(&bytes?, Instant::now()),
                Some(answer) = self.answers.recv() => {
                    if self.connected {
                        client.publish(&self.topics.answer(&answer), true, Instant::now())?;
                        // What has changed shows at once.
                        state_tick.reset_after(LOOK);
                    }
                }
                _ = state_tick.tick(), if self.connected => self.tell_state(&mut client)?,
                _ = look.tick(), if self.connected => self.tell_events(&mut client)?,
                () = wait(due) => {
                    if !self.connected {
                        let text = format!("it did not answer within {HANDSHAKE:?}; is this an MQTT port?");
                        return Err(Broken::Said(text));
                    }
                    client.tick(Instant::now());
                }
            }
        }
    }

    fn on(&mut self, event: Event, client: &mut Client) -> Result<(), Broken> {
        let now = Instant::now();
        match event {
            Event::Connected => {
                self.connected = true;
                info!(broker = %self.wanted.broker, id = self.topics.id(), "connected to the MQTT broker");
                let filters = [Some(self.topics.commands()), self.topics.birth()];
                let filters: Vec<_> = filters.into_iter().flatten().collect();
                client.subscribe(&filters, now)?;
                self.tell_all(client)
            }
            Event::Refused(why) => Err(Broken::Said(why.to_owned())),
            Event::NotSubscribed => {
                warn!(
                    broker = %self.wanted.broker,
                    "the MQTT broker does not let this miner hear commands; its access list forbids it"
                );
                Ok(())
            }
            Event::Arrived(id) => {
                self.under_way.retain(|(under_way, number)| {
                    if *under_way == id {
                        self.told = self.told.max(*number);
                    }
                    *under_way != id
                });
                Ok(())
            }
            Event::Message(message) => self.heard(&message, client),
        }
    }

    fn heard(&mut self, message: &Incoming, client: &mut Client) -> Result<(), Broken> {
        let now = Instant::now();
        if self.topics.birth().as_ref() == Some(&message.topic) {
            let online = message.payload == b"online" && !message.retained;
            let lately = self.last_birth.is_some_and(|at| now - at < BIRTHS);
            if online && !lately {
                self.last_birth = Some(now);
                return self.tell_all(client);
            }
            return Ok(());
        }
        let Some(name) = self.topics.command(&message.topic) else {
            return Ok(());
        };
        if !self.throttle.pass(now - self.begun) {
            // An answer to each would be a flood of its own.
            debug!("commands come faster than they are carried out");
            return Ok(());
        }
        let asked = Asked {
            name,
            payload: &message.payload,
            retained: message.retained,
        };
        let read = Command::read(asked, self.wanted.role, &self.links.state.borrow());
        let problem = match read {
            Ok(command) => match self.commands.try_send((name.to_owned(), command)) {
                Ok(()) => return Ok(()),
                Err(_) => "too many commands wait already".to_owned(),
            },
            Err(problem) => problem.to_string(),
        };
        debug!(name, problem, "a command over MQTT is refused");
        let answer = Answer::new(name, Err(problem));
        client.publish(&self.topics.answer(&answer), true, now)?;
        Ok(())
    }

    /// Everything, to a broker or a Home Assistant that knows nothing of us.
    fn tell_all(&mut self, client: &mut Client) -> Result<(), Broken> {
        self.kept.clear();
        // Home Assistant reads the state of what it knows: what there is comes first.
        self.tell_state(client)?;
        client.publish(&self.topics.available(true), true, Instant::now())?;
        Ok(())
    }

    /// What is different from what the broker keeps.
    fn tell_state(&mut self, client: &mut Client) -> Result<(), Broken> {
        let state = self.links.state.borrow().clone();
        let page = self.page(&state.system.addresses);
        let description = discovery(&self.topics, &state, self.wanted.role, page.as_deref());
        let all: Vec<_> = description
            .into_iter()
            .chain(states(&self.topics, &state))
            .collect();
        let now = Instant::now();
        let gone = |topic: &String| !all.iter().any(|message| message.topic == *topic);
        let gone: Vec<_> = self
            .kept
            .keys()
            .filter(|topic| gone(topic))
            .cloned()
            .collect();
        for topic in gone {
            self.kept.remove(&topic);
            // An empty message is how a broker is told to forget.
            let message = Message {
                topic,
                payload: String::new(),
                retain: true,
            };
            client.publish(&message, false, now)?;
        }
        for message in all {
            if self.kept.get(&message.topic) != Some(&message.payload) {
                client.publish(&message, false, now)?;
                self.kept.insert(message.topic, message.payload);
            }
        }
        Ok(())
    }

    /// Events that the broker has not acknowledged yet.
    fn tell_events(&mut self, client: &mut Client) -> Result<(), Broken> {
        let room = WINDOW - self.under_way.len().min(WINDOW);
        let last = self
            .under_way
            .back()
            .map_or(self.told, |(_, number)| *number);
        // The newest are worth more than all of them, if there are many.
        let fresh = self.links.events.after(last.max(self.told), 8 * WINDOW);
        for entry in fresh.iter().take(room) {
            let message = self.topics.event(entry);
            if let Some(id) = client.publish(&message, true, Instant::now())? {
                self.under_way.push_back((id, entry.number));
            }
        }
        Ok(())
    }

    /// Name of this client at the broker, which allows each name once.
    fn client_id(&self) -> String {
        format!("hashwright-{}", self.topics.id())
    }

    /// Address of the dashboard where others can reach it.
    fn page(&self, addresses: &[String]) -> Option<String> {
        let listen = self.reached.listen;
        let ip = match listen.ip() {
            ip if ip.is_loopback() => return None,
            ip if ip.is_unspecified() => addresses.first()?.parse().ok()?,
            ip => ip,
        };
        let scheme = if self.reached.tls { "https" } else { "http" };
        Some(format!(
            "{scheme}://{}/",
            std::net::SocketAddr::new(ip, listen.port())
        ))
    }
}

/// Carries out commands, one after the other.
async fn carry_out(
    links: Links,
    actor: Actor,
    mut queue: mpsc::Receiver<(String, Command)>,
    answers: mpsc::Sender<Answer>,
) {
    while let Some((name, command)) = queue.recv().await {
        let outcome = match command {
            Command::Feed(feed) => links.demand.feed(feed).await.map(|status| now(&status)),
            Command::Curtail(wish) => {
                let outcome = links.demand.curtail(wish).await;
                let params = serde_json::to_value(wish).unwrap_or_default();
                let told = outcome.as_ref().map(drop);
                links
                    .settings
                    .record(&actor, "tuner.curtail", &params, told);
                outcome.map(|status| now(&status))
            }
            Command::Pause => ask(&links, &actor, Wish::Pause).await,
            Command::Resume => ask(&links, &actor, Wish::Resume).await,
            Command::Restart => ask(&links, &actor, Wish::Restart).await,
            Command::Cooling(cooling) => ask(&links, &actor, Wish::Cooling(cooling)).await,
            Command::ClearFault(fault) => ask(&links, &actor, Wish::ClearFault(fault)).await,
            Command::PoolOrder(order) => ask(&links, &actor, Wish::PoolOrder(order)).await,
            Command::Tuner(tuner) => ask(&links, &actor, Wish::Tuner(tuner)).await,
        };
        match &outcome {
            Ok(_) => info!(name, "a command over MQTT is carried out"),
            Err(error) => info!(
                name,
                problem = error.text(),
                "a command over MQTT is refused"
            ),
        }
        let answer = Answer::new(&name, outcome.map_err(|error| error.text().to_owned()));
        if answers.send(answer).await.is_err() {
            return;
        }
    }
}

async fn ask(links: &Links, actor: &Actor, wish: Wish) -> Result<Changed, rpc::Error> {
    let settings = &links.settings;
    settings.ask(actor, wish, WriteOptions::default()).await
}

/// What holds after something was told, as the answer to it.
fn now(status: &DemandStatus) -> Changed {
    Changed {
        applied: true,
        notes: status.reasons.iter().map(|r| r.text.clone()).collect(),
        ..Changed::default()
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// How a connection ends before its time.
enum Broken {
    Said(String),
    Io(io::Error),
    Protocol(MqttError),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<MqttError> for Broken {
    fn from(error: MqttError) -> Self {
        Self::Protocol(error)
    }
}

/// The bytes of a connection.
struct Wire {
    reader: ReadHalf<Box<dyn Stream>>,
    writer: WriteHalf<Box<dyn Stream>>,
    buffer: Box<[u8]>,
}

impl Wire {
    fn new(stream: Box<dyn Stream>) -> Self {
        let (reader, writer) = split(stream);
        Self {
            reader,
            writer,
            buffer: vec![0; 4096].into_boxed_slice(),
        }
    }

    /// Cancelling it loses nothing.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        match self.reader.read(&mut self.buffer).await? {
            0 => Err(io::Error::other(
                "the broker closed it; another client may have the same name (id in [mqtt])",
            )),
            count => Ok(self.buffer[..count].to_vec()),
        }
    }

    async fn write(&mut self, client: &mut Client) -> io::Result<()> {
        let bytes = client.take_out();
        if bytes.is_empty() {
            return Ok(());
        }
        let written = async {
            self.writer.write_all(&bytes).await?;
            self.writer.flush().await
        };
        timeout(WRITE, written)
            .await
            .map_err(|_| io::Error::other(format!("it took no data for {WRITE:?}")))?
    }

    async fn close(&mut self) {
        // It is closed either way.
        let _ = timeout(Duration::from_secs(1), self.writer.shutdown()).await;
    }
}
