//! Requests as they come off the wire: JSON if the first byte is `{`, else text.

use serde_json::Value as Json;

use super::reply::{Format, Reply};

/// A command and its parameter.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) command: String,
    pub(super) parameter: Option<String>,
}

/// Why there is no command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    InvalidJson,
    NoCommand,
    InvalidCommand,
}

impl Fault {
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::InvalidJson => Reply::error(23, "Invalid JSON".to_owned()),
            Self::NoCommand => Reply::error(24, "Missing JSON 'command'".to_owned()),
            Self::InvalidCommand => Reply::invalid_command(),
        }
    }
}

/// Reads a request. People send theirs with a shell's `echo`, so the end of the line is no part of it.
pub(super) fn parse(bytes: &[u8]) -> (Format, Result<Request, Fault>) {
    let bytes = trimmed(bytes);
    if bytes.first() == Some(&b'{') {
        return (Format::Json, json(bytes));
    }
    (Format::Text, text(bytes))
}

/// Whether it begins a JSON object that does not end.
pub(super) fn is_beginning(bytes: &[u8]) -> bool {
    let bytes = trimmed(bytes);
    bytes.first() == Some(&b'{')
        && serde_json::from_slice::<Json>(bytes).is_err_and(|error| error.is_eof())
}

fn trimmed(bytes: &[u8]) -> &[u8] {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
    let Some(start) = bytes.iter().position(|byte| !space(byte)) else {
        return &[];
    };
    let end = bytes.iter().rposition(|byte| !space(byte));
    &bytes[start..=end.unwrap_or(start)]
}

fn json(bytes: &[u8]) -> Result<Request, Fault> {
    let parsed: Json = serde_json::from_slice(bytes).map_err(|_| Fault::InvalidJson)?;
    let object = parsed.as_object().ok_or(Fault::InvalidJson)?;
    let command = object.get("command").ok_or(Fault::NoCommand)?;
    let command = command.as_str().ok_or(Fault::InvalidCommand)?;
    let parameter = match object.get("parameter") {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    Ok(Request {
        command: command.to_owned(),
        parameter,
    })
}

fn text(bytes: &[u8]) -> Result<Request, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::InvalidCommand)?;
    let (command, parameter) = match text.split_once('|') {
        Some((command, parameter)) => (command, Some(parameter.to_owned())),
        None => (text, None),
    };
    Ok(Request {
        command: command.to_owned(),
        parameter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(bytes: &[u8]) -> (Format, String, Option<String>) {
        let (format, request) = parse(bytes);
        let request = request.unwrap();
        (format, request.command, request.parameter)
    }

    fn request(command: &str, parameter: Option<&str>) -> (String, Option<String>) {
        (command.to_owned(), parameter.map(str::to_owned))
    }

    #[test]
    fn both_forms_are_read_with_and_without_the_end_of_a_line() {
        for end in ["", "\n", "\r\n", "\0", " \n\0"] {
            let (format, command, parameter) = good(format!("asc|1{end}").as_bytes());
            assert_eq!(format, Format::Text);
            assert_eq!((command, parameter), request("asc", Some("1")));
            let sent = format!("{{\"command\":\"asc\",\"parameter\":\"1\"}}{end}");
            let (format, command, parameter) = good(sent.as_bytes());
            assert_eq!(format, Format::Json);
            assert_eq!((command, parameter), request("asc", Some("1")));
        }
    }

    #[test]
    fn parameters_may_be_numbers_and_nothing_else() {
        let parameter = |value: &str| {
            let sent = format!("{{\"command\":\"asc\",\"parameter\":{value},\"other\":[1]}}");
            good(sent.as_bytes()).2
        };
        assert_eq!(parameter("1").as_deref(), Some("1"));
        assert_eq!(parameter("1.5").as_deref(), Some("1.5"));
        assert_eq!(parameter("true"), None);
        assert_eq!(parameter("null"), None);
        assert_eq!(parameter("[1]"), None);
    }

    #[test]
    fn the_first_pipe_splits() {
        let (_, command, parameter) = good(b"addpool|a,b|c");
        assert_eq!((command, parameter), request("addpool", Some("a,b|c")));
    }

    #[test]
    fn bad_json_is_told_from_a_missing_command() {
        let fault = |text: &str| parse(text.as_bytes()).1.unwrap_err();
        assert_eq!(fault("{"), Fault::InvalidJson);
        assert_eq!(fault("{\"command\":\"x\"} trailing"), Fault::InvalidJson);
        assert_eq!(fault("{\"commands\":\"x\"}"), Fault::NoCommand);
        assert_eq!(fault("{\"command\":1}"), Fault::InvalidCommand);
        assert_eq!(parse(b"\xff\xfe").1.unwrap_err(), Fault::InvalidCommand);
    }

    #[test]
    fn only_json_that_has_not_ended_waits_for_more() {
        assert!(is_beginning(b"{\"command\":"));
        assert!(!is_beginning(b"{\"command\":\"x\"}"));
        assert!(!is_beginning(b"{]"));
        assert!(!is_beginning(b"summ"));
        assert!(!is_beginning(b""));
    }
}
