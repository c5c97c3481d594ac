//! `transom wim cat`: a file's content on standard output.

use std::path::PathBuf;

use clap::Args;

use super::{
    select::{self, ImageChoice},
    tree::{self, Entry},
};
use crate::{
    base::{digest::Sha1, name::Name},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        output::stdout_error,
        text,
    },
    format::wim::{Dentry, ImageMetadata, StreamKind, WimError},
};

/// Write a file of an image to standard output
///
/// The path is taken without case, `\` and `/` alike, with or without a drive letter; `PATH:STREAM` names a stream. The content is checked
/// against its SHA-1.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim cat boot.wim --index 2 Windows/System32/startnet.cmd
  transom wim cat install.wim --index 1 'C:\Windows\System32\config\SYSTEM' > SYSTEM"#)]
pub(crate) struct CatArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// The file in the image, or FILE:STREAM
    #[arg(value_name = "PATH")]
    path: String,

    #[command(flatten)]
    choice: ImageChoice,
}

/// Runs `transom wim cat`.
pub(crate) fn run(arguments: &CatArguments, context: &Context) -> Result<(), Failure> {
    let wim_path = &arguments.wim;
    let wim = select::open(wim_path, context)?;
    let image = select::metadata(&wim, wim_path, arguments.choice.one(&wim, wim_path)?, context)?;
    let (names, stream) = split(&arguments.path);
    let dentry = look_up(&image, &names).ok_or_else(|| not_found(&image, &arguments.path))?;
    let sha1 = content(dentry, stream.as_deref(), &arguments.path)?;
    let mut out = context.printer.raw();
    if !sha1.is_zero() {
        let blob = wim.blob(&sha1).ok_or_else(|| {
            let needed_by = arguments.path.clone();
            failures::wim_read(wim_path, WimError::MissingBlob { sha1, needed_by })
        })?;
        // The reader passes on what the writer says: only the writer knows whose fault it was.
        let mut is_written = true;
        let result = wim
            .stream_blob(blob, &mut |bytes| out.write(bytes).inspect_err(|_| is_written = false));
        match result {
            Err(WimError::Io(error)) if !is_written => return Err(stdout_error(error)),
            result => result.map_err(|error| failures::wim_read(wim_path, error))?,
        }
    }
    out.finish()
}

/// The names of a path and the stream after the colon.
fn split(path: &str) -> (Vec<&str>, Option<String>) {
    let bytes = path.as_bytes();
    let has_drive = bytes.len() >= 2
        && bytes[0].is_ascii_alphabetic()
        && bytes[1] == b':'
        && matches!(bytes.get(2), None | Some(b'\\' | b'/'));
    let path = if has_drive { &path[2..] } else { path };
    let (path, stream) = match path.split_once(':') {
        Some((path, stream)) => (path, Some(stream.to_owned())),
        None => (path, None),
    };
    (path.split(['\\', '/']).filter(|name| !name.is_empty()).collect(), stream)
}

/// The entry that the names lead to.
fn look_up<'a>(image: &'a ImageMetadata, names: &[&str]) -> Option<&'a Dentry> {
    let child = |folder: &Dentry, name: &str| {
        let entries =
            || folder.children.iter().filter_map(|child| image.dentries.get(*child as usize));
        let exact = Name::from(name);
        entries()
            .find(|entry| entry.name == exact)
            .or_else(|| entries().find(|entry| entry.name.is(name)))
    };
    names.iter().try_fold(image.dentries.first()?, |folder, name| child(folder, name))
}

/// SHA-1 of what is asked for.
fn content(dentry: &Dentry, stream: Option<&str>, path: &str) -> Result<Sha1, Failure> {
    let problem = |message: String| Problem::new("wim::no-content", message).exit(Exit::BadInput);
    if let Some(name) = stream.filter(|name| !name.is_empty()) {
        let named = || dentry.streams.iter().filter(|stream| stream.kind == StreamKind::Named);
        return named().find(|stream| stream.name.is(name)).map(|stream| stream.sha1).ok_or_else(
            || {
                let names: Vec<String> = named().map(|stream| stream.name.to_string()).collect();
                let help = if names.is_empty() {
                    "it has no named streams".to_owned()
                } else {
                    format!("its streams are: {}", text::few(&names, 20))
                };
                Problem::new("wim::no-content", format!("`{path}` is not there"))
                    .help(help)
                    .exit(Exit::BadInput)
            },
        );
    }
    if dentry.reparse.is_some() && tree::main_sha1(dentry).is_zero() {
        return Err(problem(format!(
            "`{path}` is a link; `transom wim list --long` shows what it points to"
        )));
    }
    if tree::is_directory(dentry) {
        return Err(problem(format!(
            "`{path}` is a folder; `transom wim list` shows what is in it"
        )));
    }
    Ok(tree::main_sha1(dentry))
}

fn not_found(image: &ImageMetadata, path: &str) -> Failure {
    let problem = Problem::new("wim::no-such-file", format!("the image has no `{path}`"));
    let wanted = split(path).0.join("\\");
    let paths: Vec<Entry<'_>> = tree::entries(image);
    let near =
        text::nearest(&wanted, paths.iter().map(|entry| entry.path.trim_start_matches('\\')));
    match near {
        Some(near) => problem.help(format!("did you mean `\\{near}`?")),
        None => problem,
    }
    .exit(Exit::BadInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drive_letters_are_not_streams() {
        assert_eq!(split(r"C:\a\b"), (vec!["a", "b"], None));
        assert_eq!(split("a/b:s"), (vec!["a", "b"], Some("s".to_owned())));
        assert_eq!(split("c:s"), (vec!["c"], Some("s".to_owned())));
        assert_eq!(split(r"\a"), (vec!["a"], None));
    }
}
