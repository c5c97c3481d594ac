//! wimlib's language of update commands: one a line.
//!
//! ```text
//! # a comment
//! add 'source on this machine' '/place/in the image'
//! add --no-replace more /place
//! delete --recursive --force '/Windows/Temp'
//! rename "/old name" "/new name"
//! ```
//!
//! Words stand between blanks; in single or double quotes they may hold blanks (there is no escape: use the other quotes). A file of commands
//! is UTF-8, or UTF-16LE with or without byte order mark. Knowledge: the manual of wimlib's `wimupdate`.

use std::path::PathBuf;

/// What a command does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Adds a file, or a folder with all in it.
    Add {
        /// File or folder of the host.
        source: PathBuf,
        /// Path in the image.
        destination: String,
        /// How.
        options: AddOptions,
    },
    /// Deletes a file or folder.
    Delete {
        /// Path in the image.
        path: String,
        /// How.
        options: DeleteOptions,
    },
    /// Moves a file or folder.
    Rename {
        /// Path in the image.
        from: String,
        /// Its new path.
        to: String,
    },
}

/// Options of `add`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AddOptions {
    /// A file that is there already is an error.
    pub no_replace: bool,
    /// Record owner, group and mode.
    pub unix_data: bool,
    /// Take no security descriptors from the host: what is new inherits.
    pub no_acls: bool,
}

/// Options of `delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeleteOptions {
    /// Nothing there is fine.
    pub force: bool,
    /// Folders too, with all in them.
    pub recursive: bool,
}

/// A command and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Number of its line, from 1.
    pub line: usize,
    /// What it does.
    pub action: Action,
}

/// A line that is not a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct CommandError {
    /// Number of the line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

/// Reads the text of a file of commands.
///
/// # Errors
/// When it is neither UTF-8 nor UTF-16LE, or a line is not a command.
pub fn parse_bytes(bytes: &[u8]) -> Result<Vec<Command>, CommandError> {
    parse(&decode(bytes)?)
}

/// Reads commands, one a line.
///
/// # Errors
/// When a line is not a command.
pub fn parse(text: &str) -> Result<Vec<Command>, CommandError> {
    let mut commands = Vec::new();
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let refuse = |what: String| CommandError { line, what };
        let words = words(text).map_err(refuse)?;
        if let Some((verb, words)) = words.split_first() {
            commands.push(Command { line, action: action(verb, words).map_err(refuse)? });
        }
    }
    Ok(commands)
}

/// Text of a file: UTF-8, or UTF-16LE when a byte order mark or zero bytes say so.
///
/// # Errors
/// When it is neither.
pub fn decode(bytes: &[u8]) -> Result<String, CommandError> {
    let is_utf16 =
        bytes.starts_with(&[0xff, 0xfe]) || bytes.len() >= 2 && bytes[0] != 0 && bytes[1] == 0;
    let at = |before: &str, what: &str| {
        Err(CommandError { line: before.matches('\n').count() + 1, what: what.to_owned() })
    };
    if !is_utf16 {
        return match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => {
                let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
                at(&good, "it is neither UTF-8 nor UTF-16LE")
            }
        };
    }
    let units: Vec<u16> =
        bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    match String::from_utf16(&units) {
        Ok(text) if bytes.len().is_multiple_of(2) => Ok(text),
        _ => at("", "it looks like UTF-16LE and is not"),
    }
}

/// The words of a line; none for a blank line or a comment.
///
/// # Errors
/// When a quote is not closed.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_matches([' ', '\t', '\r', '\n']);
    if rest.starts_with('#') {
        return Ok(words);
    }
    while !rest.is_empty() {
        let mut word = String::new();
        // Quotes may stand in the middle of a word, as in a shell.
        while let Some(first) = rest.chars().next().filter(|first| !is_blank(*first)) {
            if first == '\'' || first == '"' {
                let inside = &rest[1..];
                let Some(end) = inside.find(first) else {
                    return Err(format!("the quote {first} is not closed"));
                };
                word.push_str(&inside[..end]);
                rest = &inside[end + 1..];
            } else {
                word.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        words.push(word);
        rest = rest.trim_start_matches(is_blank);
    }
    Ok(words)
}

fn is_blank(character: char) -> bool {
    character == ' ' || character == '\t'
}

fn action(verb: &str, words: &[String]) -> Result<Action, String> {
    let (options, paths): (Vec<&String>, Vec<&String>) = {
        // Options come first; `--` ends them.
        let end = words.iter().position(|word| !word.starts_with("--") || word == "--");
        let (options, paths) = words.split_at(end.unwrap_or(words.len()));
        let skip = usize::from(paths.first().is_some_and(|word| word == "--"));
        (options.iter().collect(), paths[skip..].iter().collect())
    };
    match verb {
        "add" => {
            let mut add = AddOptions::default();
            for option in options {
                match option.as_str() {
                    "--no-replace" => add.no_replace = true,
                    "--unix-data" => add.unix_data = true,
                    "--no-acls" => add.no_acls = true,
                    // What cannot be read from the host is an error anyhow.
                    "--strict-acls" => {}
                    other => return Err(unknown(other, verb)),
                }
            }
            let [source, destination] = exactly(&paths, "add [OPTION...] SOURCE DESTINATION")?;
            Ok(Action::Add { source: source.into(), destination, options: add })
        }
        "delete" => {
            let mut delete = DeleteOptions::default();
            for option in options {
                match option.as_str() {
                    "--force" => delete.force = true,
                    "--recursive" => delete.recursive = true,
                    other => return Err(unknown(other, verb)),
                }
            }
            let [path] = exactly(&paths, "delete [OPTION...] PATH")?;
            Ok(Action::Delete { path, options: delete })
        }
        "rename" => {
            if let Some(option) = options.first() {
                return Err(unknown(option, verb));
            }
            let [from, to] = exactly(&paths, "rename OLD NEW")?;
            Ok(Action::Rename { from, to })
        }
        other => Err(format!("`{other}` is no command; there are add, delete and rename")),
    }
}

fn unknown(option: &str, verb: &str) -> String {
    format!("{verb} has no option {option}")
}

fn exactly<const COUNT: usize>(paths: &[&String], usage: &str) -> Result<[String; COUNT], String> {
    let found: Vec<String> = paths.iter().map(|path| (*path).clone()).collect();
    <[String; COUNT]>::try_from(found)
        .map_err(|found| format!("{} paths where `{usage}` wants {COUNT}", found.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_wimlibs() {
        let text = "\u{feff}# nothing\n\n  add 'a b' \"/c 'd'\"\r\nadd --no-replace --unix-data x /y\n\tdelete --force --recursive '/z z'\nrename /a /b\n";
        let commands = parse(text).unwrap();
        assert_eq!(commands.iter().map(|command| command.line).collect::<Vec<_>>(), [3, 4, 5, 6]);
        let options = AddOptions::default();
        let add = Action::Add { source: "a b".into(), destination: "/c 'd'".to_owned(), options };
        assert_eq!(commands[0].action, add);
        let Action::Add { options, .. } = &commands[1].action else { panic!() };
        assert!(options.no_replace && options.unix_data && !options.no_acls);
        let options = DeleteOptions { force: true, recursive: true };
        assert_eq!(commands[2].action, Action::Delete { path: "/z z".to_owned(), options });
        let rename = Action::Rename { from: "/a".to_owned(), to: "/b".to_owned() };
        assert_eq!(commands[3].action, rename);
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse_bytes(&utf16).unwrap(), commands);
        assert_eq!(parse_bytes(&utf16[2..]).unwrap().len(), 4, "no byte order mark");
    }

    #[test]
    fn mistakes_have_their_line() {
        let said = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            said("#\nadd x"),
            "line 2: 1 paths where `add [OPTION...] SOURCE DESTINATION` wants 2"
        );
        assert!(said("rename --force a b").starts_with("line 1: rename has no option --force"));
        assert!(said("remove a").contains("add, delete and rename"));
        assert!(said("delete 'a").contains("not closed"));
        assert!(parse_bytes(b"add a b\nadd \xff c").unwrap_err().to_string().starts_with("line 2"));
    }
}
