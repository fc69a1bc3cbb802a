//! What an attempt used and what it costs, as far as that can be known.

use bytes::Bytes;
use router_core::{Bill, Chunk, ChunkKind, EmbeddingReply, Headroom, Metered, Reply, Timestamp, Usage};

/// An attempt's account, kept beside its record in the route's trail.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) first_token: Option<Timestamp>,
    /// When the attempt was over, if that was later than its record says: a stream's end.
    pub(crate) ended: Option<Timestamp>,
    pub(crate) model: Option<Box<str>>,
    pub(crate) metered: Metered,
    pub(crate) bill: Bill,
}

/// Bytes of text that make a token, roughly.
const BYTES_PER_TOKEN: u64 = 4;

/// What the accounts take from a whole reply.
#[derive(Debug)]
pub(crate) struct Answer<'a> {
    pub(crate) usage: Option<Usage>,
    pub(crate) headroom: Option<Headroom>,
    pub(crate) model: Option<&'a str>,
    pub(crate) body: &'a Bytes,
    /// The length of the answer in tokens, for a provider that does not say.
    completion_estimate: u64,
}

impl<'a> From<&'a Reply> for Answer<'a> {
    fn from(reply: &'a Reply) -> Self {
        let text = if reply.usage.is_none() { reply.text() } else { None };
        Self {
            usage: reply.usage,
            headroom: reply.headroom,
            model: reply.model.as_deref(),
            body: &reply.body,
            completion_estimate: text.map_or(0, |text| (text.len() as u64).div_ceil(BYTES_PER_TOKEN)),
        }
    }
}

impl<'a> From<&'a EmbeddingReply> for Answer<'a> {
    fn from(reply: &'a EmbeddingReply) -> Self {
        Self {
            usage: reply.usage,
            headroom: reply.headroom,
            model: reply.model.as_deref(),
            body: &reply.body,
            completion_estimate: 0,
        }
    }
}

impl Answer<'_> {
    /// Returns the tokens it used: as the provider counted them, or estimated.
    pub(crate) fn metered(&self, prompt_estimate: u64) -> Metered {
        let estimate =
            Usage { prompt: prompt_estimate, completion: self.completion_estimate, ..Usage::default() };
        self.usage.map_or(Metered::Estimated(estimate), Metered::Reported)
    }
}

/// What a stream has brought so far.
#[derive(Debug, Default)]
pub(crate) struct StreamProgress {
    usage: Option<Usage>,
    model: Option<Box<str>>,
    pieces: u64,
    bytes: u64,
    smallest_piece: u64,
    /// The text so far, where the operator wants it kept.
    text: Option<String>,
}

impl StreamProgress {
    pub(crate) fn new(keeps_text: bool) -> Self {
        Self { text: keeps_text.then(String::new), ..Self::default() }
    }

    pub(crate) fn saw(&mut self, chunk: &Chunk) {
        // Counts are cumulative: the last one stands.
        self.usage = chunk.usage.or(self.usage);
        if self.model.is_none() {
            self.model = chunk.model();
        }
        if chunk.kind == ChunkKind::Content {
            let bytes = chunk.data.len() as u64;
            self.smallest_piece = if self.pieces == 0 { bytes } else { self.smallest_piece.min(bytes) };
            self.pieces += 1;
            self.bytes += bytes;
        }
        if let Some(text) = &mut self.text
            && let Some(more) = chunk.text()
        {
            text.push_str(&more);
        }
    }

    /// Returns the last usage that was told.
    pub(crate) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    pub(crate) fn take_model(&mut self) -> Option<Box<str>> {
        self.model.take()
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Returns what a stream used that came to its end.
    pub(crate) fn whole(&self, prompt_estimate: u64) -> Metered {
        self.usage.map_or_else(|| self.cut(prompt_estimate), Metered::Reported)
    }

    /// Returns what a stream used that was cut or left. What the provider told before counts the prompt well and the answer hardly.
    pub(crate) fn cut(&self, prompt_estimate: u64) -> Metered {
        let told = self.usage.unwrap_or(Usage { prompt: prompt_estimate, ..Usage::default() });
        Metered::Estimated(Usage { completion: told.completion.max(self.completion_estimate()), ..told })
    }

    /// A piece holds a token at least. Where pieces are larger, their text is what they have beyond the smallest one.
    fn completion_estimate(&self) -> u64 {
        let text = self.bytes.saturating_sub(self.pieces.saturating_mul(self.smallest_piece));
        self.pieces.max(text / BYTES_PER_TOKEN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(text: &str) -> Chunk {
        let data = format!(r#"{{"model":"m-1","choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#);
        Chunk { data: data.into(), kind: ChunkKind::Content, usage: None }
    }

    fn completion(progress: &StreamProgress) -> u64 {
        progress.cut(0).usage().unwrap().completion
    }

    #[test]
    fn a_cut_stream_is_estimated_by_its_pieces_or_by_their_text() {
        let mut tokens = StreamProgress::new(false);
        (0..50).for_each(|_| tokens.saw(&piece("word ")));
        assert_eq!(completion(&tokens), 50, "a token each");
        let mut blocks = StreamProgress::new(false);
        blocks.saw(&piece(""));
        (0..3).for_each(|_| blocks.saw(&piece(&"word".repeat(100))));
        assert_eq!(completion(&blocks), 300, "a hundred tokens each");
        assert_eq!(blocks.take_model().as_deref(), Some("m-1"));
    }

    #[test]
    fn what_the_provider_told_of_the_prompt_stands_in_a_cut_stream() {
        let mut progress = StreamProgress::new(false);
        let told = Usage { prompt: 900, completion: 1, cached_read: 800, ..Usage::default() };
        progress.saw(&Chunk { usage: Some(told), kind: ChunkKind::Preamble, ..piece("") });
        (0..7).for_each(|_| progress.saw(&piece("x")));
        assert_eq!(progress.cut(5), Metered::Estimated(Usage { completion: 7, ..told }));
        assert_eq!(progress.whole(5), Metered::Reported(told));
    }
}
