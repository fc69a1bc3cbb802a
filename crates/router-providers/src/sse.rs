//! Server-sent events, from bytes that were cut anywhere (WHATWG HTML, section 9.2.6).

use bytes::{Buf, Bytes};

/// A single event may be this large: signed and encrypted reasoning is many kilobytes in one line, images are megabytes.
const MAX_EVENT: usize = 16 << 20;

/// Splits a stream of bytes into events: [`feed`](Self::feed) it, then take [`next`](Self::next) until there is none.
///
/// An event that lies within one piece of input is a slice of it; only what crosses a border is copied.
#[derive(Debug)]
pub(crate) struct SseParser {
    input: Bytes,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    name: Bytes,
    data: Data,
    /// The last line ended with CR, so that an LF right after it belongs to it.
    after_cr: bool,
    is_first_line: bool,
    limit: usize,
}

/// One event that has data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The event's name; empty when it has none.
    pub(crate) name: Bytes,
    pub(crate) data: Bytes,
}

/// An event grew beyond what is reasonable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EventTooLarge;

#[derive(Debug)]
enum Data {
    None,
    Line(Bytes),
    Lines(Vec<u8>),
}

impl SseParser {
    pub(crate) fn new() -> Self {
        Self::with_limit(MAX_EVENT)
    }

    fn with_limit(limit: usize) -> Self {
        Self {
            input: Bytes::new(),
            line: Vec::new(),
            name: Bytes::new(),
            data: Data::None,
            after_cr: false,
            is_first_line: true,
            limit,
        }
    }

    /// Takes the next bytes. Those fed before must have been used up.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.input = bytes;
    }

    /// Returns the next complete event.
    pub(crate) fn next(&mut self) -> Result<Option<SseEvent>, EventTooLarge> {
        loop {
            if self.after_cr && !self.input.is_empty() {
                self.after_cr = false;
                if self.input.starts_with(b"\n") {
                    self.input.advance(1);
                }
            }
            let Some(end) = self.input.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.check_size(self.input.len())?;
                self.line.extend_from_slice(&self.input);
                self.input.clear();
                return Ok(None);
            };
            let mut line = self.input.split_to(end);
            self.after_cr = self.input.starts_with(b"\r");
            self.input.advance(1);
            self.check_size(line.len())?;
            if !self.line.is_empty() {
                self.line.extend_from_slice(&line);
                line = std::mem::take(&mut self.line).into();
            }
            if let Some(event) = self.take_line(line) {
                return Ok(Some(event));
            }
        }
    }

    /// Returns the event that the end of the bytes has cut short, as far as it came. The standard drops it; but a server that
    /// forgets the last line break has still said all it wanted to.
    pub(crate) fn rest(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty()
            && let Some(event) = self.take_line(line.into())
        {
            return Some(event);
        }
        self.take_line(Bytes::new())
    }

    fn check_size(&self, more: usize) -> Result<(), EventTooLarge> {
        let data = match &self.data {
            Data::None => 0,
            Data::Line(line) => line.len(),
            Data::Lines(lines) => lines.len(),
        };
        if self.line.len() + data + more > self.limit { Err(EventTooLarge) } else { Ok(()) }
    }

    fn take_line(&mut self, mut line: Bytes) -> Option<SseEvent> {
        if self.is_first_line {
            self.is_first_line = false;
            if line.starts_with(b"\xEF\xBB\xBF") {
                line.advance(3);
            }
        }
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = match std::mem::replace(&mut self.data, Data::None) {
                Data::None => return None,
                Data::Line(line) => line,
                Data::Lines(lines) => lines.into(),
            };
            return Some(SseEvent { name, data });
        }
        let (field, mut value) = match line.iter().position(|byte| *byte == b':') {
            Some(colon) => {
                let field = line.split_to(colon);
                line.advance(1);
                (field, line)
            }
            None => (line, Bytes::new()),
        };
        if value.starts_with(b" ") {
            value.advance(1);
        }
        match &field[..] {
            b"data" => {
                self.data = match std::mem::replace(&mut self.data, Data::None) {
                    Data::None => Data::Line(value),
                    Data::Line(line) => Data::Lines([&line[..], &value[..]].join(&b'\n')),
                    Data::Lines(mut lines) => {
                        lines.push(b'\n');
                        lines.extend_from_slice(&value);
                        Data::Lines(lines)
                    }
                };
            }
            b"event" => self.name = value,
            _ => {} // comments have an empty field name; ids and retry times mean nothing here
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
        let mut parser = SseParser::new();
        let mut events = Vec::new();
        for piece in pieces {
            parser.feed(Bytes::copy_from_slice(piece));
            while let Some(event) = parser.next().unwrap() {
                events.push(text(&event));
            }
        }
        events
    }

    fn text(event: &SseEvent) -> (String, String) {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        (text(&event.name), text(&event.data))
    }

    #[test]
    fn events_are_read_as_the_standard_says() {
        let check = |input: &str, expected: &[(&str, &str)]| {
            let expected: Vec<_> =
                expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            assert_eq!(parse([input.as_bytes()]), expected, "{input:?}");
            for cut in 0..input.len() {
                let (a, b) = input.as_bytes().split_at(cut);
                assert_eq!(parse([a, b]), expected, "{input:?} cut at {cut}");
            }
            assert_eq!(parse(input.as_bytes().chunks(1)), expected, "{input:?} byte by byte");
        };
        check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
        check("data:a\r\n\r\ndata: b\r\rdata:  c\n\n", &[("", "a"), ("", "b"), ("", " c")]);
        check("event: x\ndata: 1\n\ndata: 2\n\n", &[("x", "1"), ("", "2")]);
        check("data: a\ndata: b\ndata:\n\n", &[("", "a\nb\n")]);
        check(": comment\n\n:\ndata: a\nid: 7\nretry: 1\nother\n\n", &[("", "a")]);
        check("event: lost\n\ndata: a\n\n", &[("", "a")]);
        check("data\n\n", &[("", "")]);
        check("\u{FEFF}data: ü🦀\n\n", &[("", "ü🦀")]);
        check("data: never ended", &[]);
        check("\n\n\r\n", &[]);
    }

    #[test]
    fn an_event_within_one_piece_is_not_copied() {
        let input = Bytes::from_static(b"data: hello\n\ndata: wor");
        let mut parser = SseParser::new();
        parser.feed(input.clone());
        let event = parser.next().unwrap().unwrap();
        assert_eq!(event.data.as_ptr(), input[6..].as_ptr());
    }

    #[test]
    fn the_end_of_the_bytes_ends_the_last_event() {
        let mut parser = SseParser::new();
        parser.feed(Bytes::from_static(b"event: e\ndata: [DONE]"));
        assert_eq!(parser.next(), Ok(None));
        assert_eq!(parser.rest().as_ref().map(text), Some(("e".into(), "[DONE]".into())));
        assert_eq!(parser.rest(), None);
    }

    #[test]
    fn an_endless_event_is_refused() {
        for piece in [&b"data: 0123456789"[..], b"data: 0123456789\n"] {
            let mut parser = SseParser::with_limit(40);
            let result = (0..5).try_for_each(|_| {
                parser.feed(Bytes::from_static(piece));
                parser.next().map(|event| assert_eq!(event, None))
            });
            assert_eq!(result, Err(EventTooLarge));
        }
    }
}
