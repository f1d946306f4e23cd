//! Frames: messages of the reference crates to bytes and back, and frames that no message stands for.

use codec_sv2::{EncodableFrame, MessageFrame};
use common_messages_sv2::SetupConnectionOwned;
use framing_sv2::header::Header;
use parsers_sv2::{
    AnyMessageOwned, CommonMessages, CommonMessagesOwned, IsSv2Message, Mining, MiningOwned,
};

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 6;
/// The bit of the extension type that says that a channel id comes first.
const CHANNEL_BIT: u16 = 0x8000;

/// A whole plain frame, header included. The header may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame(pub(super) Vec<u8>);

impl EncodableFrame for Frame {
    fn encoded_length(&self) -> usize {
        self.0.len()
    }

    fn encode_into(self, dst: &mut [u8]) -> Result<(), framing_sv2::Error> {
        if dst.len() != self.0.len() {
            return Err(framing_sv2::Error::UnexpectedDestinationLength {
                expected: self.0.len(),
                actual: dst.len(),
            });
        }
        dst.copy_from_slice(&self.0);
        Ok(())
    }
}

impl Frame {
    /// A frame of a mining message; `None` if the crate cannot encode it.
    pub(super) fn mining(message: MiningOwned) -> Option<Frame> {
        Frame::of(AnyMessageOwned::Mining(message))
    }

    /// A frame of a common message.
    pub(super) fn common(message: CommonMessagesOwned) -> Option<Frame> {
        Frame::of(AnyMessageOwned::Common(message))
    }

    /// A frame with any type and payload.
    pub(super) fn raw(extension: u16, channel: bool, message_type: u8, payload: &[u8]) -> Frame {
        let extension = extension | if channel { CHANNEL_BIT } else { 0 };
        let length = (payload.len() as u32).to_le_bytes();
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend(extension.to_le_bytes());
        bytes.push(message_type);
        bytes.extend(&length[..3]);
        bytes.extend(payload);
        Frame(bytes)
    }

    /// The same frame with another length in its header.
    pub(super) fn with_length(mut self, length: u32) -> Frame {
        if let Some(field) = self.0.get_mut(3..HEADER) {
            field.copy_from_slice(&length.to_le_bytes()[..3]);
        }
        self
    }

    /// The payload without its last bytes, in a whole frame.
    pub(super) fn shortened(self, bytes: usize) -> Frame {
        let keep = self.0.len().saturating_sub(bytes).max(HEADER);
        let mut frame = self;
        frame.0.truncate(keep);
        frame.with_length((keep - HEADER) as u32)
    }

    fn of(message: AnyMessageOwned) -> Option<Frame> {
        let (message_type, extension, channel) = (
            message.message_type(),
            message.extension_type(),
            message.channel_bit(),
        );
        let frame = MessageFrame::from_message(message, message_type, extension, channel).ok()?;
        let mut bytes = vec![0; frame.encoded_length()];
        EncodableFrame::encode_into(frame, &mut bytes).ok()?;
        Some(Frame(bytes))
    }
}

/// A message from a miner.
#[derive(Debug)]
pub(super) enum Message {
    SetUp(SetupConnectionOwned),
    /// A protocol that has no number in the crates; they refuse to read the message then.
    UnknownProtocol,
    Mining(MiningOwned),
    /// Something that is not for a pool.
    Other(String),
}

/// Reads a frame's payload.
///
/// # Errors
/// A text, if the type is known and the payload is not of that type.
pub(super) fn read(header: Header, payload: &mut [u8]) -> Result<Message, String> {
    let message_type = header.msg_type();
    let extension = header.ext_type_without_channel_msg();
    if extension != 0 {
        return Ok(Message::Other(format!(
            "a message of extension {extension:04x}, type {message_type:02x}"
        )));
    }
    let other = || {
        let name = parsers_sv2::message_type_to_name(message_type);
        Message::Other(format!("a message of type {message_type:02x} ({name})"))
    };
    if message_type == common_messages_sv2::MESSAGE_TYPE_SETUP_CONNECTION {
        if let Some(3..) = payload.first() {
            return Ok(Message::UnknownProtocol);
        }
        return match CommonMessages::try_from((message_type, payload)) {
            Ok(CommonMessages::SetupConnection(message)) => {
                Ok(Message::SetUp(message.into_owned()))
            }
            Ok(_) => Ok(other()),
            Err(error) => Err(format!("{error:?}")),
        };
    }
    if parsers_sv2::MiningTypes::try_from(message_type).is_err() {
        return Ok(other());
    }
    match Mining::try_from((message_type, payload)) {
        Ok(message) => Ok(Message::Mining(message.into_owned())),
        Err(error) => Err(format!("{error:?}")),
    }
}
