//! `transom diff`: how two images differ.

mod narrow;
mod report;
mod show;
mod sides;

use clap::Args;
use rayon::join;

use self::{
    narrow::Narrow,
    report::{ImageReport, Label, Report},
    sides::{OpenImage, Said, Sides},
};
use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure},
        failures,
    },
    format::wim::Element,
    image::{
        Image, ImageError,
        diff::{self, Difference, Side},
    },
    servicing::inventory::{
        Inventory,
        diff::{Area, AreaChange, EntryChange, changes, measure},
    },
};

/// Show how two images differ
///
/// An image is a WIM, or FILE.wim:N or FILE.wim:NAME when the file has several; or a recipe, which means what its last build wrote; or RECIPE~1: the
/// image of the build before that gave something else, made again in memory from what the cache remembers. With one recipe alone, its last two builds
/// are compared. Of two files with several images, those of one name are compared, or those of one number.
///
/// First comes what changed in packages, features, capabilities, languages, drivers, services, apps, settings, pending work, the first boot, and in size by
/// folder, each with old and new; then how many files and registry values differ. --files and --registry list these. In lists + is new, - gone, ~ changed and >
/// renamed.
///
/// Files are compared by the SHA-1 of their content, attributes, security, links and names; the registry by keys and values, not by how a hive's file is laid out.
/// Times are no difference without --times. A recipe with secrets is compared by what the cache remembers, where these are placeholders.
///
/// Exit codes: 0 no difference, 10 they differ, 5 a side cannot be read.
#[derive(Debug, Args)]
#[command(after_long_help = r#"Examples:
  transom diff server.toml
  transom diff install.wim:2 out/server.wim
  transom diff server.toml~1 server.toml --files --registry
  transom diff old.wim new.wim --path 'C:\Windows\System32\drivers' --path 'HKLM\SYSTEM\CurrentControlSet\Services'"#)]
pub(crate) struct DiffArguments {
    /// The first image: FILE.wim, FILE.wim:N, FILE.wim:NAME, RECIPE or RECIPE~1
    #[arg(value_name = "A")]
    first: String,

    /// The second image; may be left out when A is a recipe
    #[arg(value_name = "B")]
    second: Option<String>,

    /// List the files that differ
    #[arg(long)]
    files: bool,

    /// List the registry keys and values that differ
    #[arg(long)]
    registry: bool,

    /// Look only at this file, folder or registry key and what is below it, and list what differs there; * and ? stay within a name, ** crosses folders;
    /// may be repeated
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,

    /// Count times of files and of registry keys as differences
    #[arg(long)]
    times: bool,

    /// Take this variant of a recipe's [matrix]
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,

    /// Set a value over the recipe's, as for the build; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,

    /// Print JSON: {first, second, differ, images: [{first, second, differ, areas, files, registry, hives, notes}], only-in-first, only-in-second}
    #[arg(long)]
    json: bool,
}

/// Runs `transom diff`.
pub(crate) fn run(arguments: &DiffArguments, context: &Context) -> Result<(), Failure> {
    let narrow = Narrow::new(&arguments.path)?;
    let sides = Sides::open(arguments, context)?;
    let options = diff::Options { times: arguments.times };
    let mut report = Report {
        first: sides.first.what.clone(),
        second: sides.second.what.clone(),
        differ: !sides.only_in_first.is_empty() || !sides.only_in_second.is_empty(),
        images: Vec::new(),
        only_in_first: sides.only_in_first,
        only_in_second: sides.only_in_second,
    };
    let mut missing = vec![true; arguments.path.len()];
    for (first, second) in sides.pairs {
        let image = compare(first, second, &narrow, &mut missing, options)?;
        report.differ |= image.differ;
        report.images.push(image);
    }
    narrow.check(&missing)?;
    if arguments.json {
        context.printer.json(&report)?;
    } else {
        let lists = !narrow.is_everything();
        let shown = show::Shown {
            files: arguments.files || lists,
            registry: arguments.registry || lists,
            narrowed: lists,
        };
        show::print(&report, shown, context)?;
    }
    if report.differ { Err(Failure::silent(Exit::Differences)) } else { Ok(()) }
}

/// Compares two images.
fn compare(
    first: OpenImage,
    second: OpenImage,
    narrow: &Narrow,
    missing: &mut [bool],
    options: diff::Options,
) -> Result<ImageReport, Failure> {
    let labels = [first.label(), second.label()];
    let said = [first.said.clone(), second.said.clone()];
    let (one, other) = join(|| first.open(), || second.open());
    let (mut one, mut other) = (one?, other?);
    let failed = |label: &Label| {
        let path = std::path::PathBuf::from(&label.what);
        move |error: ImageError| failures::image(&path, error)
    };
    let difference = {
        let before = Side::of(&mut one).map_err(failed(&labels[0]))?;
        let after = Side::of(&mut other).map_err(failed(&labels[1]))?;
        diff::compare(&before, &after, options)
    };
    narrow.look(&mut one, missing);
    narrow.look(&mut other, missing);
    let mut difference = narrow.of(difference);
    let mut areas = Vec::new();
    if narrow.is_everything() {
        if !difference.is_empty() {
            areas = area_changes(&mut one, &mut other, &mut difference);
        }
        add_description(&mut areas, &said);
    }
    let differ = !difference.is_empty() || !areas.is_empty();
    let [first, second] = labels;
    Ok(ImageReport { first, second, differ, areas, difference })
}

/// What differs area by area. What an image could not tell becomes notes.
fn area_changes(
    one: &mut Image,
    other: &mut Image,
    difference: &mut Difference,
) -> Vec<AreaChange> {
    let (before, after) = join(|| Inventory::of(one), || Inventory::of(other));
    let mut areas = changes(&before, &after);
    measure(&mut areas, one.tree(), other.tree());
    for (which, inventory, rest) in [("first", &before, &after), ("second", &after, &before)] {
        // What neither side can tell is no reason to doubt the comparison.
        let notes = inventory.notes.iter().filter(|note| !rest.notes.contains(note));
        difference.notes.extend(notes.map(|note| format!("of the {which} image: {note}")));
    }
    areas
}

/// Elements of a WIM's XML that count, or tell when.
const COUNTED: [&str; 6] = [
    "DIRCOUNT",
    "FILECOUNT",
    "TOTALBYTES",
    "HARDLINKBYTES",
    "CREATIONTIME",
    "LASTMODIFICATIONTIME",
];

/// Adds what differs in what the WIMs themselves say of the image: its name, its description. What follows from the image is told by the areas already.
fn add_description(areas: &mut Vec<AreaChange>, [first, second]: &[Said; 2]) {
    let known = areas.iter().any(|change| change.area == Area::Image);
    let leaves = |element: &Element| {
        let mut leaves = std::collections::BTreeMap::new();
        for child in element.children().filter(|child| !COUNTED.contains(&child.name())) {
            if !(known && child.name() == "WINDOWS") {
                add_leaves(child, child.name(), 0, &mut leaves);
            }
        }
        leaves
    };
    let (old, new) = match (&first.rest, &second.rest) {
        (Some(first), Some(second)) => (leaves(first), leaves(second)),
        // Of an image that is made in memory no more is known.
        _ => (first.leaves(), second.leaves()),
    };
    let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let entries: Vec<EntryChange> = differing
        .map(|name| EntryChange {
            name: format!("WIM {name}"),
            label: None,
            old: old.get(name).cloned(),
            new: new.get(name).cloned(),
            old_bytes: None,
            new_bytes: None,
            old_folder: None,
            new_folder: None,
        })
        .collect();
    if entries.is_empty() {
        return;
    }
    match areas.first_mut().filter(|change| change.area == Area::Image) {
        Some(change) => change.entries.extend(entries),
        None => areas.insert(0, AreaChange { area: Area::Image, entries }),
    }
}

/// The texts in and below an element by path, those of several of one name together.
fn add_leaves(
    element: &Element,
    path: &str,
    depth: usize,
    leaves: &mut std::collections::BTreeMap<String, String>,
) {
    let mut is_leaf = true;
    for child in element.children().filter(|_| depth < 16) {
        is_leaf = false;
        add_leaves(child, &format!("{path}/{}", child.name()), depth + 1, leaves);
    }
    if is_leaf {
        let text = leaves.entry(path.to_owned()).or_default();
        if !text.is_empty() {
            text.push_str(", ");
        }
        text.push_str(element.text(&[]).unwrap_or_default());
    }
}
