//! What one session sends, of all that there is.

use super::functions::Function;
use super::{statements, trouble};
use crate::bench::choices::Choices;

/// How a statement travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Simple protocol.
    Simple,
    /// Extended protocol: parsed, bound, executed.
    Extended,
    /// `COPY ... FROM STDIN`, with rows that fit and rows that do not.
    CopyIn,
}

/// A statement to send.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The text.
    pub text: String,
    /// How it travels.
    pub how: How,
    /// The function that it calls, by its place in the list.
    pub function: Option<usize>,
}

/// An endless stream of statements.
#[derive(Debug)]
pub struct Stream {
    choices: Choices,
    functions: Vec<Function>,
    /// Functions come in turn, so that none is left out, each time in another order.
    turn: Vec<usize>,
    count: u64,
}

/// Statements after which a session is itself again, whatever it set.
const AFRESH: u64 = 40;
const AFRESH_STATEMENT: &str = "ROLLBACK; RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL";

impl Stream {
    /// The same for the same seed, session and functions.
    #[must_use]
    pub fn new(seed: u64, session: usize, functions: Vec<Function>) -> Self {
        // Neighbours differ in one bit, which some generators show for a while.
        let own = seed ^ (session as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self {
            choices: Choices::from_seed(own),
            functions,
            turn: Vec::new(),
            count: 0,
        }
    }

    fn function(&mut self) -> usize {
        if self.turn.is_empty() {
            self.turn = (0..self.functions.len()).collect();
        }
        self.turn.swap_remove(self.choices.below(self.turn.len()))
    }
}

impl Iterator for Stream {
    type Item = Sent;

    fn next(&mut self) -> Option<Sent> {
        self.count += 1;
        if self.count.is_multiple_of(AFRESH) {
            return Some(Sent {
                text: AFRESH_STATEMENT.into(),
                how: How::Simple,
                function: None,
            });
        }
        let mut function = None;
        let text = match self.choices.below(20) {
            0..=7 => {
                let number = self.function();
                function = Some(number);
                self.functions[number].call(&mut self.choices)
            }
            8..=12 => statements::query(&mut self.choices),
            13..=15 => statements::change(&mut self.choices),
            16 => {
                let table = self.choices.one(&[
                    "plain (id, amount)",
                    "no_log",
                    "hashed",
                    "line (id, amount)",
                    "nowhere",
                ]);
                return Some(Sent {
                    text: format!("COPY {table} FROM STDIN"),
                    how: How::CopyIn,
                    function,
                });
            }
            _ => trouble::any(&mut self.choices),
        };
        // Several statements in one message are for the simple protocol alone; the server says so else.
        let how = if self.choices.once_in(4) {
            How::Extended
        } else {
            How::Simple
        };
        Some(Sent {
            text,
            how,
            function,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn functions() -> Vec<Function> {
        let row = |name: &str| {
            vec![
                Some(format!("{name}(jsonb)")),
                Some(name.to_owned()),
                Some("f".to_owned()),
                Some("0".to_owned()),
                Some("x".to_owned()),
                Some("jsonb".to_owned()),
            ]
        };
        Function::from_rows(&[row("a"), row("b"), row("c")]).unwrap()
    }

    #[test]
    fn a_seed_and_a_session_repeat_their_stream() {
        let texts = |seed, session| -> Vec<String> {
            Stream::new(seed, session, functions())
                .take(300)
                .map(|sent| sent.text)
                .collect()
        };
        assert_eq!(texts(1, 0), texts(1, 0));
        assert_ne!(texts(1, 0), texts(1, 1));
        assert_ne!(texts(1, 0), texts(2, 0));
    }

    #[test]
    fn no_function_is_left_out() {
        let mut seen = [0; 3];
        for sent in Stream::new(7, 0, functions()).take(300) {
            if let Some(number) = sent.function {
                seen[number] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
    }
}
