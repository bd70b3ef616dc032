//! Decodes what a collector of traces receives: messages of OTLP in protobuf's wire format.
//! <https://github.com/open-telemetry/opentelemetry-proto> has the numbers of the fields.

use std::collections::BTreeMap;

/// A span as it arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Span {
    pub(super) trace: Vec<u8>,
    pub(super) id: Vec<u8>,
    /// Empty if it has no parent.
    pub(super) parent: Vec<u8>,
    pub(super) name: String,
    /// Its start and its end, in nanoseconds.
    pub(super) time: (u64, u64),
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) events: Vec<String>,
    pub(super) is_error: bool,
}

impl Span {
    /// An attribute that the span must have.
    #[track_caller]
    pub(super) fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    #[track_caller]
    pub(super) fn number(&self, name: &str) -> i64 {
        self.attribute(name).parse().expect("a number")
    }
}

/// Returns the attributes of the resource, and the spans.
pub(super) fn of_export(body: &[u8]) -> (BTreeMap<String, String>, Vec<Span>) {
    let (mut resource, mut spans) = (BTreeMap::new(), Vec::new());
    for of_resource in messages(body, 1) {
        for described in messages(of_resource, 1) {
            resource.extend(messages(described, 1).into_iter().map(attribute));
        }
        for of_scope in messages(of_resource, 2) {
            spans.extend(messages(of_scope, 2).into_iter().map(span));
        }
    }
    (resource, spans)
}

fn span(bytes: &[u8]) -> Span {
    let mut span = Span::default();
    for (number, field) in fields(bytes) {
        match (number, field) {
            (1, Field::Bytes(bytes)) => span.trace = bytes.to_vec(),
            (2, Field::Bytes(bytes)) => span.id = bytes.to_vec(),
            (4, Field::Bytes(bytes)) => span.parent = bytes.to_vec(),
            (5, Field::Bytes(bytes)) => span.name = text(bytes),
            (7, Field::Number(at)) => span.time.0 = at,
            (8, Field::Number(at)) => span.time.1 = at,
            (9, Field::Bytes(bytes)) => span.attributes.extend([attribute(bytes)]),
            (11, Field::Bytes(bytes)) => span.events.extend(messages(bytes, 2).into_iter().map(text)),
            (15, Field::Bytes(bytes)) => {
                span.is_error = fields(bytes).iter().any(|field| matches!(field, (3, Field::Number(2))));
            }
            _ => {}
        }
    }
    span
}

fn attribute(bytes: &[u8]) -> (String, String) {
    let name = messages(bytes, 1).first().map(|name| text(name)).expect("a name");
    let value = messages(bytes, 2).first().map(|value| fields(value)).expect("a value");
    let value = match value.first() {
        Some((1, Field::Bytes(bytes))) => text(bytes),
        Some((_, Field::Number(number))) => number.cast_signed().to_string(),
        other => panic!("a value that is neither text nor number: {other:?}"),
    };
    (name, value)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// A field of a message.
#[derive(Debug)]
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// Returns the fields of this number that are messages, texts or bytes.
fn messages(bytes: &[u8], asked: u64) -> Vec<&[u8]> {
    let of_number = fields(bytes).into_iter().filter(|(number, _)| *number == asked);
    let bytes = of_number.filter_map(|(_, field)| match field {
        Field::Bytes(bytes) => Some(bytes),
        Field::Number(_) => None,
    });
    bytes.collect()
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Number(varint(&mut bytes)),
            1 => Field::Number(u64::from_le_bytes(take(&mut bytes, 8).try_into().expect("eight bytes"))),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                Field::Bytes(take(&mut bytes, length))
            }
            5 => Field::Bytes(take(&mut bytes, 4)),
            kind => panic!("no such kind of field: {kind}"),
        };
        fields.push((tag >> 3, field));
    }
    fields
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(length);
    *bytes = rest;
    taken
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for (place, byte) in take_varint(bytes).iter().enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * place);
    }
    number
}

fn take_varint<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).expect("the last byte of a number") + 1;
    take(bytes, length)
}
