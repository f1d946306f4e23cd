//! A pool whose every line stands in the test, over any stream.

use std::io;

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, DuplexStream, Lines,
    ReadHalf, WriteHalf, duplex, split,
};
use tokio::sync::mpsc;

use super::rig::Pipes;
use super::{NotifyParts, notify};

/// A pool that a test plays line by line.
pub struct Played<S> {
    lines: Lines<BufReader<ReadHalf<S>>>,
    writer: WriteHalf<S>,
}

impl<S: AsyncRead + AsyncWrite> Played<S> {
    pub fn new(stream: S) -> Self {
        let (reader, writer) = split(stream);
        Self {
            lines: BufReader::new(reader).lines(),
            writer,
        }
    }

    pub async fn hear(&mut self) -> Value {
        let line = self.lines.next_line().await.unwrap().expect("a line");
        serde_json::from_str(&line).unwrap()
    }

    /// Whether nothing more comes from the miner.
    pub async fn has_hung_up(&mut self) -> bool {
        matches!(self.lines.next_line().await, Ok(None))
    }

    pub async fn say(&mut self, line: &Value) {
        let line = format!("{line}\n");
        self.writer.write_all(line.as_bytes()).await.unwrap();
    }

    /// Answers the handshake and sends a job.
    pub async fn welcome(&mut self) {
        for _ in 0..3 {
            let request = self.hear().await;
            let result = match request["method"].as_str().unwrap() {
                "mining.subscribe" => json!([[["mining.notify", "s1"]], "aabb", 4]),
                _ => json!(true),
            };
            self.say(&json!({"id": request["id"], "result": result, "error": null}))
                .await;
        }
        self.say(&notify("a", &NotifyParts::default())).await;
    }
}

/// Pipes whose other ends come out of a channel.
pub fn pipes(buffer: usize) -> (Pipes, mpsc::UnboundedReceiver<DuplexStream>) {
    let (ends, accepted) = mpsc::unbounded_channel();
    let pipes = Pipes::new(move |_, _| {
        let (ours, theirs) = duplex(buffer);
        ends.send(theirs).map_err(io::Error::other)?;
        Ok(Box::new(ours))
    });
    (pipes, accepted)
}
