//! INF text becomes sections, lines and fields.
//!
//! `;` begins a comment, `[name]` a section; a line is `key = field, field` or `field, field`. `"` toggles quoting and `""` inside is
//! one `"`; blanks around a field go unless quoted; a `\` at the end of a line (a comment may follow it) joins the next one, anywhere else it
//! is itself. After the first comma `=` is text. Source: `facts/inf.md`, whose account of the states was taken from Windows' and Wine's behaviour.
//!
//! One pass; every look ahead is consumed or bounded, so the time is linear in the text. Fields lie one after the other in one string.

use super::error::{InfCause, InfDefect};

/// Defects kept of one file; more say nothing new.
const DEFECTS: usize = 256;
/// Longest section name, in characters.
const SECTION_NAME: usize = 255;
/// Longest field that Windows reads whole, in bytes here.
const FIELD: usize = 4096;
/// How far a `%` looks for its partner to keep a `;` between them.
const TOKEN: usize = 255;

/// One line: its fields are `first..first + count`, the first of them the key when `keyed`.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawLine {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) keyed: bool,
    pub(super) number: u32,
    pub(super) column: u32,
}

/// A section header and the lines that follow it.
#[derive(Debug)]
pub(super) struct RawSection {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) lines: std::ops::Range<usize>,
}

/// What the text holds.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// All fields, one after the other.
    pub(super) text: String,
    /// Where each field lies in `text`.
    pub(super) fields: Vec<(u32, u32)>,
    pub(super) lines: Vec<RawLine>,
    pub(super) sections: Vec<RawSection>,
    pub(super) defects: Vec<InfDefect>,
}

/// What ended a field.
#[derive(PartialEq)]
enum Stop {
    Equals,
    Comma,
    End,
}

struct Lexer<'a> {
    source: &'a str,
    bytes: &'a [u8],
    at: usize,
    number: u32,
    line_start: usize,
    out: Lexed,
}

/// Splits `source` (line ends are `\n`), reading at most `most_sections` + 1 section headers. `source` is shorter than 2^32 bytes.
pub(super) fn lex(source: &str, most_sections: usize) -> Lexed {
    let mut lexer = Lexer {
        source,
        bytes: source.as_bytes(),
        at: 0,
        number: 1,
        line_start: 0,
        out: Lexed::default(),
    };
    lexer.run(most_sections);
    lexer.out
}

fn is_blank(byte: u8) -> bool {
    byte <= b' ' && byte != b'\n'
}

fn small(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

impl Lexer<'_> {
    fn run(&mut self, most_sections: usize) {
        let mut told = false;
        while self.out.sections.len() <= most_sections {
            self.skip_blanks();
            match self.peek() {
                None => break,
                Some(b'\n') => self.newline(),
                Some(b';') => self.skip_line(),
                Some(b'[') => self.section(),
                Some(_) => {
                    if self.out.sections.is_empty() {
                        if !told {
                            self.defect(InfCause::BeforeSection, true);
                            told = true;
                        }
                        self.skip_line();
                    } else {
                        self.entry();
                    }
                }
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn newline(&mut self) {
        self.at += 1;
        self.number = self.number.saturating_add(1);
        self.line_start = self.at;
    }

    fn column(&self) -> u32 {
        small(self.source[self.line_start..self.at].chars().count()).saturating_add(1)
    }

    fn defect(&mut self, cause: InfCause, warning: bool) {
        if self.out.defects.len() < DEFECTS {
            let column = self.column();
            self.out.defects.push(InfDefect { line: self.number, column, cause, warning });
        }
    }

    fn section(&mut self) {
        let from = self.at + 1;
        let line = self.source[from..].split('\n').next().unwrap_or_default();
        let name = if let Some((name, _)) = line.split_once(']') {
            name
        } else {
            self.defect(InfCause::SectionNotClosed, false);
            line.split(';').next().unwrap_or_default()
        };
        let name = name.trim();
        if name.chars().count() > SECTION_NAME {
            self.defect(InfCause::SectionName, false);
        }
        let start = self.out.lines.len();
        let raw = RawSection { name: name.to_owned(), number: self.number, lines: start..start };
        self.out.sections.push(raw);
        self.skip_line();
    }

    fn entry(&mut self) {
        let (number, column) = (self.number, self.column());
        let first = self.out.fields.len();
        let mut keyed = false;
        let mut stop = self.field(true);
        if stop == Stop::Equals {
            keyed = true;
            stop = self.field(false);
        }
        while stop != Stop::End {
            stop = self.field(false);
        }
        let count = small(self.out.fields.len() - first);
        self.out.lines.push(RawLine { first: small(first), count, keyed, number, column });
        if let Some(section) = self.out.sections.last_mut() {
            section.lines.end = self.out.lines.len();
        }
    }

    /// Reads one field and what ends it; the end of the line is left for the caller.
    fn field(&mut self, key: bool) -> Stop {
        self.skip_blanks();
        let begin = self.out.text.len();
        // What lies before is kept; blanks after it go when the field ends.
        let mut keep = begin;
        let stop = loop {
            match self.peek() {
                None | Some(b'\n') => break Stop::End,
                Some(b';') => {
                    self.skip_line();
                    break Stop::End;
                }
                Some(b',') => {
                    self.at += 1;
                    break Stop::Comma;
                }
                Some(b'=') if key => {
                    self.at += 1;
                    break Stop::Equals;
                }
                Some(b'"') => {
                    self.quoted();
                    keep = self.out.text.len();
                }
                Some(b'\\') => {
                    if self.continuation() {
                        self.out.text.truncate(keep);
                    } else {
                        self.out.text.push('\\');
                        self.at += 1;
                        while self.peek() == Some(b'\\') {
                            self.out.text.push('\\');
                            self.at += 1;
                        }
                        keep = self.out.text.len();
                    }
                }
                Some(_) => keep = self.plain(key, keep),
            }
        };
        self.out.text.truncate(keep);
        if keep - begin > FIELD {
            self.defect(InfCause::LongField, true);
        }
        self.out.fields.push((small(begin), small(keep)));
        stop
    }

    /// Copies text up to the next byte that may mean something; returns the new end of what is kept.
    fn plain(&mut self, key: bool, keep: usize) -> usize {
        let mut end = self.at;
        while let Some(byte) = self.bytes.get(end) {
            match byte {
                b'\n' | b';' | b',' | b'"' | b'\\' => break,
                b'=' if key => break,
                b'%' => end = self.token_end(end),
                _ => end += 1,
            }
        }
        let run = &self.source[self.at..end];
        let kept = run.trim_end_matches(|c: char| c.is_ascii() && is_blank(c as u8)).len();
        let start = self.out.text.len();
        self.out.text.push_str(run);
        self.at = end;
        if kept == 0 { keep } else { start + kept }
    }

    /// Just after the `%token%` that begins at `at` when a `;` stands inside it, else just after the `%`.
    fn token_end(&self, at: usize) -> usize {
        let rest = &self.bytes[at + 1..];
        let inner = rest
            .iter()
            .take(TOKEN)
            .position(|byte| *byte <= b' ' || matches!(byte, b'%' | b',' | b'"' | b'=' | b'\\'));
        match inner {
            Some(length) if rest[length] == b'%' && rest[..length].contains(&b';') => {
                at + length + 2
            }
            _ => at + 1,
        }
    }

    /// Reads from a `"` to its partner or the end of the line.
    fn quoted(&mut self) {
        let opened = self.at;
        self.at += 1;
        loop {
            let rest = &self.source[self.at..];
            let Some(stop) = rest.find(['"', '\n']) else {
                self.out.text.push_str(rest);
                self.at = self.bytes.len();
                break;
            };
            self.out.text.push_str(&rest[..stop]);
            self.at += stop;
            if self.bytes[self.at] == b'\n' {
                break;
            }
            self.at += 1;
            if self.peek() != Some(b'"') {
                return;
            }
            self.out.text.push('"');
            self.at += 1;
        }
        let end = std::mem::replace(&mut self.at, opened);
        self.defect(InfCause::UnclosedQuote, true);
        self.at = end;
    }

    /// At a `\`: when nothing but blanks, more of them and a comment follow, goes to the text of the next line.
    fn continuation(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let run = rest.iter().take_while(|byte| **byte == b'\\').count();
        let blanks = rest[run..].iter().take_while(|byte| is_blank(**byte)).count();
        if !matches!(rest.get(run + blanks), None | Some(b'\n' | b';')) {
            return false;
        }
        self.skip_line();
        if self.peek().is_some() {
            self.newline();
        }
        self.skip_blanks();
        true
    }
}
