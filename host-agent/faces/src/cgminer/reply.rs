//! Replies and how they are written: numbers with as many decimals as typed clients expect, JSON and
//! text with their own escapes, joined replies, the NUL byte at the end.

use std::fmt::Write;

/// Which language was asked in, and is answered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Text,
}

/// A value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    /// A number with so many decimals.
    Fixed(f64, usize),
    Bool(bool),
    Records(Vec<Record>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! whole {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(number: $kind) -> Self {
                Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )*};
}
whole!(i32, i64, u8, u16, u32, u64, usize);

/// `value` with two decimals.
pub(super) fn two(value: f64) -> Value {
    Value::Fixed(value, 2)
}

/// `value` rounded to a whole number.
pub(super) fn whole(value: f64) -> Value {
    Value::Int(value.round() as i64)
}

/// Fields with their names, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record(pub(super) Vec<(&'static str, Value)>);

impl Record {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// Adds a field that is known only sometimes.
    pub(super) fn with_known(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Takes words of other makes out of all texts.
    fn without_brands(&mut self) {
        for (_, value) in &mut self.0 {
            match value {
                Value::Text(text) => *text = super::brand::without_brands(text),
                Value::Records(records) => records.iter_mut().for_each(Self::without_brands),
                _ => {}
            }
        }
    }
}

/// What follows the status.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    None,
    /// One record under a name.
    One(&'static str, Record),
    /// A list of records, each of which begins with its own number.
    List(&'static str, Vec<Record>),
    /// A list with one truth, as the pause of other firmware answers.
    Truth(&'static str, bool),
}

/// A whole reply.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    letter: char,
    code: u16,
    message: String,
    /// Who says so; not told with commands that do not exist.
    description: Option<String>,
    describes: bool,
    body: Body,
    /// The reply is this word instead.
    bare: Option<&'static str>,
}

impl Reply {
    pub(super) fn success(code: u16, message: &str) -> Self {
        Self::new('S', code, message.to_owned())
    }

    pub(super) fn info(code: u16, message: String) -> Self {
        Self::new('I', code, message)
    }

    pub(super) fn error(code: u16, message: String) -> Self {
        Self::new('E', code, message)
    }

    pub(super) fn invalid_command() -> Self {
        let mut reply = Self::error(14, "Invalid command".to_owned());
        reply.describes = false;
        reply
    }

    /// A reply that is one word.
    pub(super) fn bare(word: &'static str) -> Self {
        let mut reply = Self::success(0, "");
        reply.bare = Some(word);
        reply
    }

    pub(super) fn one(mut self, name: &'static str, record: Record) -> Self {
        self.body = Body::One(name, record);
        self
    }

    pub(super) fn list(mut self, name: &'static str, records: Vec<Record>) -> Self {
        self.body = Body::List(name, records);
        self
    }

    pub(super) fn truth(mut self, name: &'static str) -> Self {
        self.body = Body::Truth(name, true);
        self
    }

    pub(super) fn describe(&mut self, description: String) {
        if self.describes {
            self.description = Some(description);
        }
    }

    /// Takes words of other makes out of what it tells of the hardware.
    pub(super) fn without_brands(mut self) -> Self {
        match &mut self.body {
            Body::One(_, record) => record.without_brands(),
            Body::List(_, records) => records.iter_mut().for_each(Record::without_brands),
            Body::None | Body::Truth(..) => {}
        }
        self
    }

    fn new(letter: char, code: u16, message: String) -> Self {
        Self {
            letter,
            code,
            message,
            description: None,
            describes: true,
            body: Body::None,
            bare: None,
        }
    }

    /// The reply as it goes onto the wire, NUL byte included.
    pub(super) fn encode(&self, format: Format, unix_s: u64) -> Vec<u8> {
        let mut out = String::new();
        match (format, self.bare) {
            (Format::Json, Some(word)) => {
                let _ = write!(out, "{{\"STATUS\":\"{word}\",\"id\":1}}");
            }
            (Format::Text, Some(word)) => out.push_str(word),
            (Format::Json, None) => self.json(&mut out, unix_s),
            (Format::Text, None) => self.text(&mut out, unix_s),
        }
        ended(out)
    }

    fn status(&self, unix_s: u64) -> Record {
        Record::default()
            .with("STATUS", self.letter.to_string())
            .with("When", unix_s)
            .with("Code", self.code)
            .with("Msg", self.message.as_str())
            .with_known("Description", self.description.as_deref())
    }

    fn json(&self, out: &mut String, unix_s: u64) {
        out.push_str("{\"STATUS\":[");
        json_record(out, &self.status(unix_s));
        out.push(']');
        match &self.body {
            Body::None => {}
            Body::One(name, record) => {
                let _ = write!(out, ",\"{name}\":[");
                json_record(out, record);
                out.push(']');
            }
            Body::List(name, records) => {
                let _ = write!(out, ",\"{name}\":");
                json_list(out, records);
            }
            Body::Truth(name, truth) => {
                let _ = write!(out, ",\"{name}\":[{truth}]");
            }
        }
        out.push_str(",\"id\":1}");
    }

    fn text(&self, out: &mut String, unix_s: u64) {
        text_record(out, None, &self.status(unix_s));
        match &self.body {
            Body::None => {}
            Body::One(name, record) => text_record(out, Some(name), record),
            Body::List(_, records) => {
                for record in records {
                    text_record(out, None, record);
                }
            }
            Body::Truth(name, truth) => {
                let _ = write!(out, "{name}={truth}|");
            }
        }
    }
}

/// Several replies in one.
pub(super) fn encode_joined(parts: &[(&str, Reply)], format: Format, unix_s: u64) -> Vec<u8> {
    let mut out = String::new();
    match format {
        Format::Json => {
            out.push('{');
            for (name, reply) in parts {
                json_text(&mut out, name);
                out.push_str(":[");
                reply.json(&mut out, unix_s);
                out.push_str("],");
            }
            out.push_str("\"id\":1}");
        }
        Format::Text => {
            for (name, reply) in parts {
                out.push_str("CMD=");
                plain_text(&mut out, name);
                out.push('|');
                reply.text(&mut out, unix_s);
            }
        }
    }
    ended(out)
}

fn ended(out: String) -> Vec<u8> {
    let mut bytes = out.into_bytes();
    bytes.push(0);
    bytes
}

fn json_list(out: &mut String, records: &[Record]) {
    out.push('[');
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json_record(out, record);
    }
    out.push(']');
}

fn json_record(out: &mut String, record: &Record) {
    out.push('{');
    for (index, (name, value)) in record.0.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let _ = write!(out, "\"{name}\":");
        match value {
            Value::Text(text) => json_text(out, text),
            Value::Records(records) => json_list(out, records),
            other => number(out, other),
        }
    }
    out.push('}');
}

fn json_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn text_record(out: &mut String, name: Option<&str>, record: &Record) {
    if let Some(name) = name {
        out.push_str(name);
        if !record.0.is_empty() {
            out.push(',');
        }
    }
    for (index, (name, value)) in record.0.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(name);
        out.push('=');
        match value {
            Value::Text(text) => plain_text(out, text),
            Value::Records(records) => {
                // The text form has no lists in lists.
                let mut inner = String::new();
                json_list(&mut inner, records);
                plain_text(out, &inner);
            }
            other => number(out, other),
        }
    }
    out.push('|');
}

fn plain_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            ',' | '|' | '=' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
}

fn number(out: &mut String, value: &Value) {
    let _ = match value {
        Value::Int(number) => write!(out, "{number}"),
        Value::Fixed(number, decimals) => {
            let number = if number.is_finite() { *number } else { 0.0 };
            write!(out, "{number:.decimals$}")
        }
        Value::Bool(truth) => write!(out, "{truth}"),
        Value::Text(_) | Value::Records(_) => Ok(()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(reply: &Reply, format: Format) -> String {
        let mut bytes = reply.encode(format, 1_700_000_000);
        assert_eq!(bytes.pop(), Some(0));
        String::from_utf8(bytes).unwrap()
    }

    fn reply() -> Reply {
        let record = Record::default()
            .with("Name", "a,b|c=d\\e\"f")
            .with("Count", 3u16)
            .with("MHS av", two(1234.5))
            .with("Alive", true);
        let mut reply = Reply::success(11, "Summary").one("SUMMARY", record);
        reply.describe("us".to_owned());
        reply
    }

    #[test]
    fn json_escapes_quotes_and_backslashes_only() {
        assert_eq!(
            told(&reply(), Format::Json),
            r#"{"STATUS":[{"STATUS":"S","When":1700000000,"Code":11,"Msg":"Summary","Description":"us"}],"SUMMARY":[{"Name":"a,b|c=d\\e\"f","Count":3,"MHS av":1234.50,"Alive":true}],"id":1}"#
        );
    }

    #[test]
    fn text_escapes_what_it_is_made_of() {
        assert_eq!(
            told(&reply(), Format::Text),
            r#"STATUS=S,When=1700000000,Code=11,Msg=Summary,Description=us|SUMMARY,Name=a\,b\|c\=d\\e"f,Count=3,MHS av=1234.50,Alive=true|"#
        );
    }

    #[test]
    fn records_of_a_list_have_no_name_in_text() {
        let records = vec![
            Record::default().with("POOL", 0),
            Record::default().with("POOL", 1),
        ];
        let text = told(
            &Reply::success(7, "2 Pool(s)").list("POOLS", records),
            Format::Text,
        );
        assert!(text.ends_with("Msg=2 Pool(s)|POOL=0|POOL=1|"), "{text}");
    }

    #[test]
    fn no_byte_of_a_value_can_end_a_reply_early() {
        let record = Record::default().with("Name", "a\0b\nc");
        let reply = Reply::success(1, "x").one("A", record);
        for format in [Format::Json, Format::Text] {
            assert!(!told(&reply, format).contains(['\0', '\n']));
        }
    }

    #[test]
    fn a_number_that_is_none_is_zero() {
        let record = Record::default()
            .with("A", two(f64::NAN))
            .with("B", two(f64::INFINITY));
        let text = told(&Reply::success(1, "x").one("S", record), Format::Json);
        assert!(text.contains("\"A\":0.00,\"B\":0.00"), "{text}");
    }

    #[test]
    fn an_unknown_command_is_not_signed() {
        let mut reply = Reply::invalid_command();
        reply.describe("us".to_owned());
        assert!(!told(&reply, Format::Json).contains("Description"));
    }
}
