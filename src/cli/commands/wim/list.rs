//! `transom wim list`: the files of an image.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{
    select::{self, ImageChoice},
    tree::{self, Entry},
};
use crate::{
    base::{
        bytes::Reader,
        digest::{Sha1, to_hex},
        malformed::Malformed,
    },
    cli::{app::Context, exit::Failure, failures, output::Out},
    format::{
        security::{SecurityDescriptor, to_sddl},
        wim::{ImageMetadata, StreamKind, Wim},
    },
    image::{patterns::Patterns, reparse},
};

/// List the files of an image
///
/// Prints one path a line, a folder before what is in it. A pattern without a separator (`*.dll`) means any entry of that name; one with a
/// separator (`/Windows/*.exe`) is compared with the whole path from the image's root; without case, `\` and `/` alike. `*` and `?` stay within a
/// name, `**` crosses folders. What matches a folder lists everything below it.
///
/// --long prints in columns: attributes (d folder, l link, r read-only, h hidden, s system, a archive, p sparse, c compressed, e encrypted,
/// o offline, n not indexed, t temporary), number of the security descriptor, names of the file, size, last write, SHA-1, path, what a link points
/// to, short name; a line for each named stream. --security adds a line with each descriptor in SDDL. --json has everything there is.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom wim list boot.wim --index 2
  transom wim list install.wim --image 'Windows Server 2025' 'Windows/System32/drivers/*.sys' --long"#)]
pub(crate) struct ListArguments {
    /// The WIM
    #[arg(value_name = "WIM")]
    wim: PathBuf,

    /// Which paths [default: all]
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,

    #[command(flatten)]
    choice: ImageChoice,

    /// Print attributes, sizes, times, SHA-1, links and streams too
    #[arg(long, short, conflicts_with = "json")]
    long: bool,

    /// Print security descriptors in SDDL too
    #[arg(long, requires = "long")]
    security: bool,

    /// Print one JSON object a line: {path, attributes, size, sha1, ...}
    #[arg(long)]
    json: bool,
}

/// What `--json` prints for an entry. Fields are only ever added. `null` means unknown or none.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    path: &'a str,
    short_name: Option<String>,
    attributes: u32,
    attribute_names: Vec<&'static str>,
    size: Option<u64>,
    sha1: Option<Sha1>,
    created: String,
    accessed: String,
    modified: String,
    security_id: Option<u32>,
    security: Option<String>,
    links: u32,
    hard_link_group: u64,
    reparse_tag: Option<u32>,
    reparse_flags: Option<u16>,
    reparse_size: Option<u64>,
    reparse_sha1: Option<Sha1>,
    target: Option<String>,
    streams: Vec<StreamLine>,
    tagged_items: Vec<TaggedItem>,
    unknown: u32,
}

/// A tagged item in a [`Line`]: what is known of its tag, and its bytes in hexadecimal.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct TaggedItem {
    tag: u32,
    name: Option<&'static str>,
    size: usize,
    data: String,
}

/// A named stream in a [`Line`].
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StreamLine {
    name: String,
    size: Option<u64>,
    sha1: Option<Sha1>,
}

/// Runs `transom wim list`.
pub(crate) fn run(arguments: &ListArguments, context: &Context) -> Result<(), Failure> {
    let path = &arguments.wim;
    let patterns = Patterns::new(&arguments.patterns).map_err(failures::patterns)?;
    let wim = select::open(path, context)?;
    let image = select::metadata(&wim, path, arguments.choice.one(&wim, path)?, context)?;
    let entries = tree::entries(&image);
    let paths = entries.iter().map(|entry| (entry.path.as_str(), entry.parent));
    let chosen = patterns.choose(paths).map_err(failures::patterns)?;
    let links = tree::link_counts(&image);
    let mut out = context.printer.stdout();
    for (entry, _) in entries.iter().zip(&chosen).filter(|(_, chosen)| **chosen) {
        if !arguments.long && !arguments.json {
            out.line(&entry.path)?;
            continue;
        }
        let count = links.get(&tree::link_key(entry.dentry)).copied().unwrap_or(1);
        let line = line(&wim, &image, entry, count);
        if arguments.json {
            out.json_line(&line)?;
            continue;
        }
        print_long(&line, &mut out)?;
        if let (true, Some(security)) = (arguments.security, &line.security) {
            out.line(format_args!("{:4}{security}", ""))?;
        }
    }
    out.finish()
}

fn line<'a>(wim: &Wim, image: &ImageMetadata, entry: &'a Entry<'_>, links: u32) -> Line<'a> {
    let dentry = entry.dentry;
    let known = |sha1: Sha1| (!sha1.is_zero()).then_some(sha1);
    let sha1 = tree::main_sha1(dentry);
    let has_data = !tree::is_directory(dentry) && dentry.reparse.is_none();
    let streams = dentry
        .streams
        .iter()
        .filter(|stream| stream.kind == StreamKind::Named)
        .map(|stream| StreamLine {
            name: stream.name.to_string(),
            size: tree::content_size(wim, &stream.sha1),
            sha1: known(stream.sha1),
        })
        .collect();
    let reparse_sha1 = tree::stream_sha1(dentry, StreamKind::Reparse);
    Line {
        path: &entry.path,
        short_name: (!dentry.short_name.is_empty()).then(|| dentry.short_name.to_string()),
        attributes: dentry.attributes,
        attribute_names: tree::attribute_names(dentry.attributes),
        size: if has_data || !sha1.is_zero() { tree::content_size(wim, &sha1) } else { None },
        sha1: known(sha1),
        created: dentry.creation_time.to_string(),
        accessed: dentry.last_access_time.to_string(),
        modified: dentry.last_write_time.to_string(),
        security_id: dentry.security_id,
        security: dentry.security_id.and_then(|id| sddl(image.security.get(id as usize)?)),
        links,
        hard_link_group: dentry.hard_link_group,
        reparse_tag: dentry.reparse.map(|reparse| reparse.tag),
        reparse_flags: dentry.reparse.map(|reparse| reparse.flags),
        reparse_size: reparse_sha1.and_then(|sha1| tree::content_size(wim, &sha1)),
        reparse_sha1: reparse_sha1.and_then(known),
        target: link_target(wim, dentry).map(|target| target.text),
        streams,
        tagged_items: tagged_items(&dentry.tagged_items),
        unknown: dentry.unknown,
    }
}

/// A descriptor as text; `None` for a damaged one.
fn sddl(descriptor: &[u8]) -> Option<String> {
    SecurityDescriptor::parse(descriptor).ok().map(|descriptor| to_sddl(&descriptor))
}

/// Tag, length, data, padded to 8, over and over; what does not fit ends it.
fn tagged_items(bytes: &[u8]) -> Vec<TaggedItem> {
    let mut items = Vec::new();
    let mut reader = Reader::new("tagged items", bytes);
    let mut next = || -> Result<(u32, Vec<u8>), Malformed> {
        let (tag, size) = (reader.u32()?, reader.u32()? as usize);
        let data = reader.bytes(size)?.to_vec();
        reader.bytes(size.next_multiple_of(8) - size).ok();
        Ok((tag, data))
    };
    while let Ok((tag, data)) = next() {
        let name = match tag {
            1 => Some("object-id"),
            2 => Some("extended-attributes"),
            0x337d_d873 => Some("unix-data"),
            0x337d_d874 => Some("linux-xattrs"),
            _ => None,
        };
        items.push(TaggedItem { tag, name, size: data.len(), data: to_hex(&data) });
    }
    items
}

/// Where a link points; `None` for what is no link, or a damaged one.
fn link_target(wim: &Wim, dentry: &crate::format::wim::Dentry) -> Option<reparse::Target> {
    let tag = dentry.reparse?.tag;
    let blob = wim.blob(&tree::stream_sha1(dentry, StreamKind::Reparse)?)?;
    if blob.size > reparse::MOST {
        return None;
    }
    reparse::target(tag, &wim.read_blob(blob).ok()?).ok()?
}

fn print_long(line: &Line<'_>, out: &mut Out) -> Result<(), Failure> {
    let dash = || "-".to_owned();
    let number = |number: Option<u64>| number.map_or_else(dash, |number| number.to_string());
    let sha1 = |sha1: &Option<Sha1>| sha1.map_or_else(dash, |sha1| sha1.to_hex());
    let security = line.security_id.map_or_else(dash, |id| id.to_string());
    let mut tail = String::new();
    if let Some(target) = &line.target {
        tail = format!(" -> {target}");
    } else if let Some(tag) = line.reparse_tag {
        tail = format!(" (reparse tag {tag:#010x})");
    }
    if let Some(short) = &line.short_name {
        tail = format!("{tail} ({short})");
    }
    out.line(format_args!(
        "{} {security:>5} {:>3} {:>12} {:<28} {:40} {}{tail}",
        tree::attribute_letters(line.attributes),
        line.links,
        number(line.size),
        line.modified,
        sha1(&line.sha1),
        line.path,
    ))?;
    for stream in &line.streams {
        out.line(format_args!(
            "{:12} {:>5} {:>3} {:>12} {:28} {:40} {}:{}",
            "",
            "",
            "",
            number(stream.size),
            "",
            sha1(&stream.sha1),
            line.path,
            stream.name
        ))?;
    }
    Ok(())
}
