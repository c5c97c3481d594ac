//! What a capture captures: one folder, or several files and folders put together.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::ImageArguments;
use crate::{
    base::{filetime::FileTime, limits::Limits, ntpath::NtPath},
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        progress::Meter,
    },
    format::wim::Element,
    image::{
        self, FinishedImage, Image, ImageError, Watch,
        assembly::{
            commands::{decode, words},
            graft::GraftOptions,
        },
        import::{self, CaptureOptions, Restored, SidecarUse},
        patterns::Patterns,
    },
};

/// A file or folder of the host and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) host: PathBuf,
    pub(super) destination: NtPath,
}

/// The sources that the command line names.
pub(super) fn read(
    arguments: &ImageArguments,
    sources: &[PathBuf],
) -> Result<Vec<Source>, Failure> {
    if !arguments.source_list {
        return sources.iter().map(|source| of_argument(source)).collect();
    }
    let mut all = Vec::new();
    for file in sources {
        let name = file.display().to_string();
        let bytes = if name == "-" { stdin()? } else { list_file(file)? };
        let refuse =
            |line: usize, what: &str| Failure::usage(format!("{name}: line {line}: {what}"));
        let text = decode(&bytes).map_err(|error| refuse(error.line, &error.what))?;
        for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let words = words(text).map_err(|what| refuse(line, &what))?;
            // Without a target a source goes where its own path says, as wimlib has it.
            let (host, target) = match words.as_slice() {
                [] => continue,
                [source] => (source, source),
                [source, target] => (source, target),
                more => {
                    let what = format!("{} paths where there are at most two", more.len());
                    return Err(refuse(line, &what));
                }
            };
            let destination =
                NtPath::parse(target).map_err(|error| refuse(line, &error.to_string()))?;
            all.push(Source { host: host.into(), destination });
        }
    }
    if all.is_empty() {
        return Err(Failure::usage("the list of sources is empty"));
    }
    Ok(all)
}

fn list_file(file: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(file).map_err(|error| failures::input("the list of sources", error))
}

/// All of standard input.
pub(in crate::cli::commands::wim) fn stdin() -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .read_to_end(&mut bytes)
        .map_err(|error| failures::input("standard input", error))?;
    Ok(bytes)
}

/// `SOURCE` or `SOURCE=DEST`. A path that is there as it is written means itself.
fn of_argument(argument: &Path) -> Result<Source, Failure> {
    let whole = || Ok(Source { host: argument.to_owned(), destination: NtPath::root() });
    if fs::symlink_metadata(argument).is_ok() {
        return whole();
    }
    let Some((host, destination)) = argument.to_str().and_then(|text| text.rsplit_once('=')) else {
        return whole();
    };
    let destination = NtPath::parse(destination)
        .map_err(|error| Failure::usage(format!("{}: {error}", argument.display())))?;
    Ok(Source { host: host.into(), destination })
}

/// An image that is ready to be written, and its element of the XML.
pub(in crate::cli::commands::wim) struct Captured {
    pub(in crate::cli::commands::wim) image: FinishedImage,
    pub(in crate::cli::commands::wim) element: Element,
    /// The header's flag for links.
    pub(in crate::cli::commands::wim) rp_fix: bool,
    /// The sources, for the last line.
    pub(in crate::cli::commands::wim) from: String,
}

/// Captures the sources as one image.
pub(in crate::cli::commands::wim) fn capture(
    arguments: &ImageArguments,
    sources: &[PathBuf],
    output: &Path,
    context: &Context,
) -> Result<Captured, Failure> {
    let sources = read(arguments, sources)?;
    let Some(first) = sources.first() else { return Err(Failure::usage("there is no source")) };
    let epoch = arguments.epoch.or(context.settings.epoch);
    let mut captured = Vec::new();
    let mut restored = None;
    for source in &sources {
        let exclude = super::exclude::read(
            &arguments.exclude,
            &arguments.exclude_from,
            &source.host,
            output,
        )?;
        let (image, sidecar) = one(arguments, &source.host, exclude, context)?;
        // One of several is a part of another image.
        restored = sidecar.filter(|_| sources.len() == 1);
        captured.push((source, image));
    }
    let mut image = combine(captured)?;
    // Asked here so that the XML can tell which Windows this is, if it is one.
    image.facts();
    let mut finished = image.finish().map_err(|error| failures::capture(&first.host, error))?;
    let newest = settle_times(&mut finished, epoch);
    let name = arguments.name.clone().unwrap_or_else(|| folder_name(&first.host));
    let mut element = match &restored {
        Some(restored) => restored.element(&finished, newest),
        None => image::xml::create(&finished, &name, newest),
    };
    if arguments.name.is_some() {
        element.set_text(&["NAME"], &name);
    }
    for (place, text) in [("DESCRIPTION", &arguments.description), ("FLAGS", &arguments.flags)] {
        if let Some(text) = text {
            element.set_text(&[place], text);
        }
    }
    let from = match sources.len() {
        1 => first.host.display().to_string(),
        count => format!("{count} sources"),
    };
    let rp_fix = restored.is_none_or(|restored| restored.rp_fix);
    Ok(Captured { image: finished, element, rp_fix, from })
}

fn one(
    arguments: &ImageArguments,
    host: &Path,
    exclude: Patterns,
    context: &Context,
) -> Result<(Image, Option<Restored>), Failure> {
    let options = CaptureOptions {
        exclude,
        unix_data: arguments.unix_data,
        skip_bad_names: arguments.skip_bad_names,
        depth: Limits::default().depth,
    };
    let meter = Meter::new(&context.settings, "hashing", 0);
    let watch = Watch {
        progress: &|done, total| meter.at_of(done, total),
        cancelled: &|| context.interrupt.pressed(),
    };
    let sidecar = match arguments.ignore_sidecar {
        true => SidecarUse::Ignore,
        false => SidecarUse::Merge,
    };
    let captured = import::capture_with(host, &options, sidecar, watch);
    meter.finish();
    let (image, report) = captured.map_err(|error| failures::capture(host, error))?;
    super::warn(&report.warnings, context);
    Ok((image, report.restored))
}

/// Puts the sources into one image, the later over the earlier.
fn combine(mut captured: Vec<(&Source, Image)>) -> Result<Image, Failure> {
    let newest = captured.iter().map(|(_, image)| root_time(image)).max().unwrap_or_default();
    let is_base = captured.first().is_some_and(|(source, _)| source.destination.is_root());
    let mut image = if is_base { captured.remove(0).1 } else { Image::empty(newest) };
    image.set_epoch(newest);
    for (source, from) in captured {
        let root = from.tree().root();
        // A file by itself was captured as a folder that has just the file.
        let is_file = fs::metadata(&source.host).is_ok_and(|metadata| metadata.is_file());
        let node = match from.tree().children(root) {
            [file] if is_file && !source.destination.is_root() => *file,
            _ => root,
        };
        image
            .graft(&source.destination, &from, node, &GraftOptions::default())
            .map_err(|error| in_the_way(source, error))?;
    }
    Ok(image)
}

fn in_the_way(source: &Source, error: ImageError) -> Failure {
    Problem::new(
        "input::in-the-way",
        format!("{} does not go to {}", source.host.display(), source.destination),
    )
    .cause(error)
    .help("sources are put over each other in their order: a folder goes over a folder, a file over a file")
    .exit(Exit::BadInput)
}

fn root_time(image: &Image) -> FileTime {
    image.tree().inode(image.tree().root()).last_write_time
}

/// Sets times later than `epoch` to it; returns the newest time, which becomes the image's own.
fn settle_times(image: &mut FinishedImage, epoch: Option<FileTime>) -> FileTime {
    let mut newest = FileTime::default();
    for dentry in &mut image.metadata.dentries {
        for time in
            [&mut dentry.creation_time, &mut dentry.last_access_time, &mut dentry.last_write_time]
        {
            *time = epoch.map_or(*time, |epoch| epoch.min(*time));
        }
        newest = newest.max(dentry.last_write_time);
    }
    newest
}

fn folder_name(source: &Path) -> String {
    fs::canonicalize(source)
        .ok()
        .as_deref()
        .unwrap_or(source)
        .file_name()
        .map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_stands_behind_the_last_equals_sign() {
        let folder = tempfile::tempdir().unwrap();
        let odd = folder.path().join("a=b");
        fs::create_dir(&odd).unwrap();
        assert_eq!(of_argument(&odd).unwrap().destination, NtPath::root());
        let mut text = odd.as_os_str().to_owned();
        text.push("=/x/y");
        let source = of_argument(Path::new(&text)).unwrap();
        assert_eq!(source.host, odd);
        assert_eq!(source.destination, NtPath::parse("/x/y").unwrap());
        assert!(of_argument(Path::new("nothing=/a:b")).is_err());
    }
}
