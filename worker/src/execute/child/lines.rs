//! Bytes in, lines out, in bounded memory: the pure half of reading a child.

/// Room asked for before a read.
const CHUNK: usize = super::CHUNK;

/// A line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Text<'a> {
    /// The line.
    Whole(&'a [u8]),
    /// There was a line longer than the limit: nothing of it is kept.
    TooLong,
}

/// Cuts what is read into lines of at most `limit` bytes; never holds much more than one of them.
#[derive(Debug)]
pub(crate) struct LineBuffer {
    bytes: Vec<u8>,
    /// Where the first line not yet taken begins.
    start: usize,
    /// How far there is known to be no line's end.
    scanned: usize,
    limit: usize,
    /// In the middle of a line that is too long.
    skipping: bool,
}

impl LineBuffer {
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), start: 0, scanned: 0, limit, skipping: false }
    }

    /// Where the next bytes are to be appended; take all lines first.
    pub(crate) fn space(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.scanned -= self.start;
            self.start = 0;
        }
        // One long line must not keep its room for the life of a child.
        if self.bytes.is_empty() && self.bytes.capacity() > 4 * CHUNK {
            self.bytes = Vec::new();
        }
        if self.bytes.capacity() - self.bytes.len() < CHUNK / 8 {
            self.bytes.reserve(CHUNK);
        }
        &mut self.bytes
    }

    /// The next complete line.
    pub(crate) fn next(&mut self) -> Option<Text<'_>> {
        let found = self.bytes[self.scanned..].iter().position(|byte| *byte == b'\n');
        let Some(found) = found.map(|offset| self.scanned + offset) else {
            self.scanned = self.bytes.len();
            if self.bytes.len() - self.start > self.limit || self.skipping {
                self.skipping = true;
                self.forget();
            }
            return None;
        };
        let line = self.start..found;
        self.start = found + 1;
        self.scanned = self.start;
        if std::mem::take(&mut self.skipping) || line.len() > self.limit {
            return Some(Text::TooLong);
        }
        Some(Text::Whole(&self.bytes[line]))
    }

    /// What is left after the last line's end, once no more will come.
    pub(crate) fn rest(&mut self) -> Option<Text<'_>> {
        let line = self.start..self.bytes.len();
        self.start = self.bytes.len();
        self.scanned = self.start;
        if std::mem::take(&mut self.skipping) || line.len() > self.limit {
            return Some(Text::TooLong);
        }
        (!line.is_empty()).then(|| Text::Whole(&self.bytes[line]))
    }

    fn forget(&mut self) {
        self.bytes.clear();
        self.start = 0;
        self.scanned = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All lines of the chunks, `None` for one that was too long; and the most bytes ever held.
    fn lines(chunks: &[&[u8]], limit: usize) -> (Vec<Option<Vec<u8>>>, usize) {
        let owned = |text: Text<'_>| match text {
            Text::Whole(line) => Some(line.to_vec()),
            Text::TooLong => None,
        };
        let mut buffer = LineBuffer::new(limit);
        let (mut lines, mut most) = (Vec::new(), 0);
        for chunk in chunks {
            buffer.space().extend_from_slice(chunk);
            most = most.max(buffer.bytes.len());
            while let Some(text) = buffer.next() {
                lines.push(owned(text));
            }
        }
        lines.extend(buffer.rest().map(owned));
        (lines, most)
    }

    #[test]
    fn lines_may_come_in_pieces() {
        let whole = |line: &[u8]| Some(line.to_vec());
        assert_eq!(lines(&[b"a", b"b\nc\n\nd"], 9).0, [whole(b"ab"), whole(b"c"), whole(b""), whole(b"d")]);
        assert_eq!(lines(&[], 9).0, []);
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_is_read() {
        let whole = |line: &[u8]| Some(line.to_vec());
        assert_eq!(lines(&[b"123", b"456", b"789\nab\n"], 4).0, [None, whole(b"ab")]);
        assert_eq!(lines(&[b"12345678"], 4).0, [None]);
    }

    #[test]
    fn endless_lines_take_no_memory() {
        let chunk = [b'x'; 1000];
        let chunks: Vec<&[u8]> = (0..1000).map(|_| &chunk[..]).collect();
        let (lines, most) = lines(&chunks, 5000);
        assert_eq!(lines, [None]);
        assert!(most <= 7000, "{most}");
    }

    proptest! {
        #[test]
        fn cuts_as_split_does(text in "[ab\n]{0,60}", cuts in proptest::collection::vec(1usize..7, 1..60), limit in 0usize..20) {
            let (mut rest, mut chunks, mut cuts) = (text.as_bytes(), Vec::new(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (chunk, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            let mut expected: Vec<_> =
                text.split('\n').map(|line| (line.len() <= limit).then(|| line.as_bytes().to_vec())).collect();
            if text.is_empty() || text.ends_with('\n') {
                expected.pop();
            }
            prop_assert_eq!(lines(&chunks, limit).0, expected);
        }
    }
}
