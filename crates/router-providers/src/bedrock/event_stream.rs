//! `application/vnd.amazon.eventstream`: binary frames, from bytes that were cut anywhere
//! (<https://smithy.io/2.0/aws/amazon-eventstream.html>).
//!
//! A frame is its length, the length of its headers, a checksum of these two, the headers, the payload, and a checksum of it all.

use bytes::{Buf, Bytes, BytesMut};

/// Reasoning and documents are many kilobytes in one frame; AWS itself keeps to 16 MiB of payload and 128 KiB of headers.
const MAX_FRAME: usize = (16 << 20) + (128 << 10) + OVERHEAD;
const PRELUDE: usize = 12;
const CHECKSUM: usize = 4;
const OVERHEAD: usize = PRELUDE + CHECKSUM;

/// Splits a stream of bytes into frames: [`feed`](Self::feed) it, then take [`next`](Self::next) until there is none.
#[derive(Debug, Default)]
pub(super) struct FrameParser {
    buffer: BytesMut,
}

/// One frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// `event`, `exception` or `error`.
    pub(super) message_type: String,
    /// What happened: the type of the event, or of the exception, or the error's code.
    pub(super) name: String,
    /// An error's words, which have no payload.
    pub(super) error_message: Option<String>,
    pub(super) payload: Bytes,
}

/// The bytes are no frames, or were changed on the way.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) &'static str);

impl FrameParser {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether a frame has begun that is not complete.
    pub(super) fn is_amid_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Returns the next complete frame.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Broken> {
        let Some(prelude) = self.buffer.get(..PRELUDE) else { return Ok(None) };
        let mut numbers = prelude;
        let (total, headers) = (number(&mut numbers), number(&mut numbers));
        if crc32fast::hash(prelude.get(..8).unwrap_or_default()) != numbers.get_u32() {
            return Err(Broken("the checksum of a frame's head is wrong"));
        }
        if total > MAX_FRAME {
            return Err(Broken("a frame of the stream is too large"));
        }
        if total < OVERHEAD || headers > total - OVERHEAD {
            return Err(Broken("the lengths of a frame do not fit together"));
        }
        if self.buffer.len() < total {
            self.buffer.reserve(total - self.buffer.len());
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(total).freeze();
        let mut checksum = frame.split_off(total - CHECKSUM);
        if crc32fast::hash(&frame) != checksum.get_u32() {
            return Err(Broken("the checksum of a frame is wrong"));
        }
        frame.advance(PRELUDE);
        let payload = frame.split_off(headers);
        let mut read = Frame { payload, ..Frame::default() };
        read_headers(&frame, &mut read).ok_or(Broken("the headers of a frame cannot be read"))?;
        Ok(Some(read))
    }
}

fn number(bytes: &mut &[u8]) -> usize {
    usize::try_from(bytes.get_u32()).unwrap_or(usize::MAX)
}

fn read_headers(mut headers: &[u8], frame: &mut Frame) -> Option<()> {
    while !headers.is_empty() {
        let length = headers.try_get_u8().ok()?;
        let (name, rest) = headers.split_at_checked(length.into())?;
        headers = rest;
        // Booleans have no value; numbers, times and ids are as long as they are; bytes and texts tell their length.
        let length = match headers.try_get_u8().ok()? {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => headers.try_get_u16().ok()?.into(),
            9 => 16,
            _ => return None,
        };
        let (value, rest) = headers.split_at_checked(length)?;
        headers = rest;
        let text = || String::from_utf8_lossy(value).into_owned();
        match name {
            b":message-type" => frame.message_type = text(),
            b":event-type" | b":exception-type" | b":error-code" => frame.name = text(),
            b":error-message" => frame.error_message = Some(text()),
            _ => {}
        }
    }
    Some(())
}

/// Writes a frame, for tests.
#[cfg(test)]
pub(super) fn write(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.push(u8::try_from(name.len()).unwrap());
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let mut frame = Vec::new();
    frame.extend_from_slice(&length(written.len() + payload.len() + OVERHEAD));
    frame.extend_from_slice(&length(written.len()));
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&written);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &[u8]) -> Vec<u8> {
        write(&[(":message-type", "event"), (":event-type", "x"), ("other", "y")], payload)
    }

    fn read(pieces: &[&[u8]]) -> Result<Vec<Bytes>, Broken> {
        let mut parser = FrameParser::default();
        let mut payloads = Vec::new();
        for piece in pieces {
            parser.feed(piece);
            while let Some(frame) = parser.next()? {
                assert_eq!((frame.message_type.as_str(), frame.name.as_str()), ("event", "x"));
                payloads.push(frame.payload);
            }
        }
        Ok(payloads)
    }

    #[test]
    fn frames_are_read_wherever_they_are_cut() {
        let stream = [event(b"one"), event(b""), event(b"three")].concat();
        let expected = Ok(vec![Bytes::from("one"), Bytes::new(), Bytes::from("three")]);
        assert_eq!(read(&[&stream]), expected);
        for cut in 0..stream.len() {
            assert_eq!(read(&[&stream[..cut], &stream[cut..]]), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(read(&single), expected);
    }

    #[test]
    fn a_changed_bit_is_noticed_anywhere() {
        let frame = event(b"payload");
        for at in 0..frame.len() {
            let mut changed = frame.clone();
            changed[at] ^= 0x10;
            // A longer length may only show when the bytes that it promises do not come.
            assert!(read(&[&changed]).is_err(), "bit in byte {at}");
        }
    }

    #[test]
    fn impossible_lengths_are_refused_at_once() {
        let prelude = |total: u32, headers: u32| {
            let mut bytes = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
            read(&[&bytes]).unwrap_err().0
        };
        assert_eq!(prelude(u32::MAX, 0), "a frame of the stream is too large");
        assert_eq!(prelude(15, 0), "the lengths of a frame do not fit together");
        assert_eq!(prelude(20, 5), "the lengths of a frame do not fit together");
    }

    #[test]
    fn every_type_of_header_is_passed_over() {
        let headers = b"\x01a\x00\x01b\x01\x01c\x02x\x01d\x03xx\x01e\x04xxxx\x01f\x05xxxxxxxx\x01g\x06\x00\x02xx\x01h\x08xxxxxxxx\x01i\x09xxxxxxxxxxxxxxxx\x0b:event-type\x07\x00\x01y";
        let mut frame = Frame::default();
        assert_eq!(read_headers(headers, &mut frame), Some(()));
        assert_eq!(frame.name, "y");
        for broken in [&b"\x05ab"[..], b"\x01a\x0a", b"\x01a\x07\x00", b"\x01a\x07\x00\x05x"] {
            assert_eq!(read_headers(broken, &mut frame), None, "{broken:?}");
        }
    }
}
