//! Answers of every form, in pieces of every size.

use proptest::prelude::*;

use super::answer::{Answers, Ended, Wrong};
use crate::record::Answer;

/// What came of an answer that was said in pieces; the end of the connection is said last.
fn read(pieces: &[&[u8]]) -> Result<Option<Ended>, Wrong> {
    read_of(true, pieces)
}

fn read_of(have_body: bool, pieces: &[&[u8]]) -> Result<Option<Ended>, Wrong> {
    let mut answers = Answers::new(have_body);
    for (number, piece) in pieces.iter().enumerate() {
        if let Some(ended) = answers.take(piece, &mut ())? {
            let is_last = number + 1 == pieces.len();
            return Ok(Some(Ended {
                is_kept: ended.is_kept && is_last,
                ..ended
            }));
        }
    }
    Ok(answers.end())
}

fn ended(status: u16, body_bytes: u64, is_kept: bool) -> Ended {
    Ended {
        answer: Answer {
            status: Some(status),
            body_bytes,
        },
        is_kept,
    }
}

/// Answers, and what they are.
const WHOLE: [(&str, u16, u64, bool); 15] = [
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        200,
        5,
        true,
    ),
    ("HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, 0, true),
    ("HTTP/1.1 204 No Content\r\n\r\n", 204, 0, true),
    (
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
        304,
        0,
        true,
    ),
    (
        "HTTP/1.1 503 No\r\nconnection: Close\r\ncontent-length: 2\r\n\r\nno",
        503,
        2,
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\nconnection: x, close\r\ncontent-length: 2\r\n\r\nok",
        200,
        2,
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nok",
        200,
        2,
        true,
    ),
    (
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        200,
        2,
        false,
    ),
    (
        "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
        200,
        2,
        true,
    ),
    ("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, 13, false),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nuntil the end",
        200,
        13,
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n0A;x=y\r\n0123456789\r\n0\r\n\r\n",
        200,
        15,
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 9\r\n\r\n1 \r\nx\r\n00\r\na: b\r\nc:\r\n\r\n",
        200,
        1,
        true,
    ),
    (
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        200,
        2,
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
        200,
        2,
        false,
    ),
];

#[test]
fn an_answer_is_the_same_in_whatever_pieces_it_comes() {
    for (text, status, body_bytes, is_kept) in WHOLE {
        let expected = Ok(Some(ended(status, body_bytes, is_kept)));
        let bytes = text.as_bytes();
        assert_eq!(read(&[bytes]), expected, "{text}");
        for middle in 1..bytes.len() {
            let (one, two) = bytes.split_at(middle);
            assert_eq!(read(&[one, two]), expected, "{text} at {middle}");
        }
        let each: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(read(&each), expected, "{text}");
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    let text = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(read_of(false, &[text]), Ok(Some(ended(200, 0, true))));
    let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    assert_eq!(read_of(false, &[text]), Ok(Some(ended(200, 0, true))));
}

#[test]
fn what_ends_too_soon_is_no_answer() {
    for (text, ..) in WHOLE {
        let until_close = text.ends_with("until the end");
        let head = text.rfind("\r\n\r\n").map_or(0, |at| at + 4);
        let end = if until_close { head } else { text.len() };
        // The last of them has something behind its end.
        let end = end.min(text.find("okHTTP").map_or(end, |at| at + 2));
        for length in 0..end {
            let said = &text[..length];
            assert_eq!(read(&[said.as_bytes()]), Ok(None), "{said}");
        }
    }
}

#[test]
fn another_protocol_that_nobody_asked_for_is_no_answer() {
    let text = "HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n";
    assert_eq!(read(&[text.as_bytes()]), Err(Wrong));
}

#[test]
fn interim_answers_without_end_are_none() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    let some = interim.repeat(100) + last;
    assert_eq!(read(&[some.as_bytes()]), Ok(Some(ended(200, 0, true))));
    let more = interim.repeat(101) + last;
    assert_eq!(read(&[more.as_bytes()]), Err(Wrong));
}

#[test]
fn what_is_not_of_the_protocol_is_refused() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}");
    let sized = |length: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nhello");
    let many: String = (0..101).map(|number| format!("x{number}: y\r\n")).collect();
    let long = "x".repeat(20_000);
    for text in [
        "SSH-2.0-nonsense\r\n\r\n".to_owned(),
        "HTTP/2 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 099 No\r\n\r\n".to_owned(),
        "HTTP/1.1 20 No\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(),
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(300_000)),
        sized(""),
        sized("+5"),
        sized("-5"),
        sized("5, 6"),
        sized("5\r\ncontent-length: 6"),
        sized("0x5"),
        sized("99999999999999999999"),
        chunked("\r\n"),
        chunked(";x\r\n"),
        chunked("g\r\n"),
        chunked("1\nx\r\n"),
        chunked("1\r\nxx\r\n"),
        chunked("1\r\nx\n"),
        chunked("fffffffffffffffff\r\n"),
        chunked(&format!("1;{long}")),
        chunked(&format!("0\r\nx: {long}")),
        chunked("1;x\ny"),
        chunked("0\r\n\n"),
    ] {
        let shown = &text[..text.len().min(90)];
        assert_eq!(read(&[text.as_bytes()]), Err(Wrong), "{shown}");
    }
}

proptest! {
    /// Whatever comes, and in whatever pieces: no panic, and the same as in one piece.
    #[test]
    fn no_bytes_can_hurt(
        choice in 0..WHOLE.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut bytes = WHOLE[choice].0.as_bytes().to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut begin) = (Vec::new(), 0);
        for cut in cuts {
            pieces.push(&bytes[begin..cut]);
            begin = cut;
        }
        pieces.push(&bytes[begin..]);
        pieces.retain(|piece| !piece.is_empty());
        prop_assert_eq!(read(&pieces), read(&[&bytes]));
    }
}
